# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The header block of an ordinary message, cut up in one pass over its bytes, and the block of one put together.

Only an accelerator: it answers for messages that have nothing unusual, and gives None for all others, which
``parser`` then reads the long way. So there is one truth about what is right and wrong, and it is not here. A test
holds that both give the same for every message that this one answers for.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.list cimport PyList_Append
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from cpython.unicode cimport PyUnicode_DecodeUTF8, PyUnicode_Substring
from libc.string cimport memchr, memcmp, memcpy

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object)
    void *PyUnicode_1BYTE_DATA(object)
    Py_ssize_t PyUnicode_GET_LENGTH(object)
    str PyUnicode_New(Py_ssize_t, Py_UCS4)

VERSION = 5
"""Raised with every change of what ``parser`` relies on, so that it leaves a stale compiled file alone."""

cdef dict KNOWN = {}
cdef dict METHODS = {}
cdef object CANONICAL_NAME = None
# Spellings that are kept, and how long one may be: what peers send must not fill memory.
cdef enum:
    MAX_SPELLINGS = 4096
    MAX_KEPT = 64
    SLOTS = 512  # of the table of the spellings met last
    MAX_LIST = 64  # values of a list that is looked at here
    MAX_FAST = 46  # octets of a spelling in that table, so that a slot is one line of the cache

ctypedef unsigned long long Mask

cdef struct Spelling:
    unsigned char size
    char text[MAX_FAST]
    PyObject *name  # a reference of our own
    Mask mark

cdef struct Span:
    Py_ssize_t first
    Py_ssize_t stop

cdef Spelling MET[SLOTS]
cdef dict MARKS = {}
cdef Mask VIA = 0, CSEQ = 0, CONTENT_LENGTH = 0, FROM = 0, TO = 0, CALL_ID = 0, MAX_FORWARDS = 0
cdef Mask SINGLE = 0, NEEDED = 0, PLACED = 0
cdef Py_ssize_t MAX_LINES = 0
cdef Py_ssize_t MAX_HEAD = 0


def prepare(dict canonical, canonical_name, dict marks, methods, Py_ssize_t max_lines, Py_ssize_t max_head):
    """Take over the names of header fields, their marks and the limits from the parser; called once."""
    global CANONICAL_NAME, VIA, CSEQ, CONTENT_LENGTH, FROM, TO, CALL_ID, MAX_FORWARDS
    global SINGLE, NEEDED, PLACED, MAX_LINES, MAX_HEAD
    for spelling, name in canonical.items():
        KNOWN[spelling.encode("ascii")] = name
    for method in methods:
        METHODS[method.encode("ascii")] = method
    MARKS.update(marks)
    VIA, CSEQ, CONTENT_LENGTH = marks["Via"], marks["CSeq"], marks["Content-Length"]
    FROM, TO, CALL_ID, MAX_FORWARDS = marks["From"], marks["To"], marks["Call-ID"], marks["Max-Forwards"]
    NEEDED = VIA | CSEQ | FROM | TO | CALL_ID
    SINGLE = (NEEDED | CONTENT_LENGTH) & ~VIA
    PLACED = NEEDED | CONTENT_LENGTH | MAX_FORWARDS
    CANONICAL_NAME = canonical_name
    MAX_LINES = max_lines
    MAX_HEAD = max_head


def scan(bytes data):
    """What an ordinary message consists of, or None; see ``Scanned`` in ``parser`` for the parts.

    None says that something is unusual: a folded line, a control character, a mandatory field missing or repeated,
    a number that is not plain, a method that is not registered. Whether it is wrong is for the parser to say.
    """
    cdef const char *text = PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef Py_ssize_t position = 0, stop, end, i, count = 0
    cdef Span none
    none.first = none.stop = 0
    cdef Span via = none, cseq = none, length = none, from_ = none, to = none, call_id = none, hops = none
    cdef const char *found
    cdef Mask mask = 0, mark
    cdef list names = [], lines = []
    cdef Spelling *met
    cdef unsigned char high
    cdef int status = 0
    cdef str what, method = None

    found = <const char *> memchr(text, 10, size)
    if found is NULL:
        return None
    stop = found - text
    if stop < 1 or stop > MAX_HEAD or text[stop - 1] != 13 or _dirt(text, stop - 1, &high):
        return None
    end = stop - 1
    if end >= 11 and memcmp(text, b"SIP/2.0 ", 8) == 0:
        status = _status(text + 8, end - 8)
        if not status:
            return None
        what = _text(text + 12, end - 12, high) if end > 12 else ""
    else:
        i = end - 8
        if i < 3 or memcmp(text + i, b" SIP/2.0", 8) != 0:
            return None
        found = <const char *> memchr(text, 32, i)
        if found is NULL:
            return None
        position = found - text + 1
        if position == i or memchr(text + position, 32, i - position) is not NULL:
            return None
        method = _method(text, position - 1)
        if method is None:
            return None
        what = _text(text + position, i - position, high)
    position = stop + 1
    while True:
        found = <const char *> memchr(text + position, 10, size - position)
        if found is NULL:
            return None
        stop = found - text
        if stop == position or text[stop - 1] != 13 or stop > MAX_HEAD:
            return None
        end = stop - 1
        if end == position:
            break  # the empty line
        if _dirt(text + position, end - position, &high):
            return None
        found = <const char *> memchr(text + position, 58, end - position)
        if found is NULL or text[position] == 32 or text[position] == 9:
            return None
        met = _spelling(text + position, found - text - position)
        if met is NULL:
            return None
        i = found - text + 1
        mark = met.mark
        if mark & mask & SINGLE:
            return None
        if mark & PLACED and not mark & mask:
            if mark == VIA:
                via.first, via.stop = i, end
            elif mark == CSEQ:
                cseq.first, cseq.stop = i, end
            elif mark == CONTENT_LENGTH:
                length.first, length.stop = i, end
            elif mark == FROM:
                from_.first, from_.stop = i, end
            elif mark == TO:
                to.first, to.stop = i, end
            elif mark == CALL_ID:
                call_id.first, call_id.stop = i, end
            else:
                hops.first, hops.stop = i, end
        mask |= mark
        count += 1
        PyList_Append(names, <object> met.name)
        PyList_Append(lines, _text(text + position, end - position, high))
        position = stop + 1
    if count >= MAX_LINES or mask & NEEDED != NEEDED:
        return None
    cdef long content_length = -1
    if mask & CONTENT_LENGTH:
        content_length = _number(text, &length.first, length.stop)
        if content_length < 0 or length.first != length.stop or content_length > size - stop - 1:
            return None
    cdef long number = _number(text, &cseq.first, cseq.stop)
    if number < 0 or cseq.first >= cseq.stop or text[cseq.first] != 32:
        return None
    cdef str counted = _method(text + cseq.first + 1, cseq.stop - cseq.first - 1)
    if counted is None or (method is not None and counted is not method):
        return None
    cdef long left = -1
    cdef tuple ends = None
    if method is not None:
        if mask & MAX_FORWARDS:
            left = _number(text, &hops.first, hops.stop)
            if hops.first != hops.stop or left > 255:
                left = -1
        ends = _tagged(text, from_), _tagged(text, to), _call_id(text, call_id), left
    return (
        status, counted, what, names, lines, mask, stop + 1, content_length, number,
        _via(text, via.first, via.stop), ends,
    )


cdef inline bint _dirt(const char *text, Py_ssize_t size, unsigned char *high) noexcept:
    """Whether a line has a control character; ``high`` says by its top bit that it is not all ASCII."""
    cdef Py_ssize_t i
    cdef unsigned char byte, bad = 0, all = 0
    for i in range(size):
        byte = <unsigned char> text[i]
        all |= byte
        bad |= (<unsigned char> (byte < 32) & <unsigned char> (byte != 9)) | <unsigned char> (byte == 127)
    high[0] = all
    return bad


cdef inline str _text(const char *text, Py_ssize_t size, unsigned char high):
    cdef str made
    if high & 128 or size == 0:
        return PyUnicode_DecodeUTF8(text, size, "surrogateescape")
    made = PyUnicode_New(size, 127)
    memcpy(PyUnicode_1BYTE_DATA(made), text, size)
    return made


cdef inline str _method(const char *text, Py_ssize_t size):
    """A registered method, always the same object for the same one, or None."""
    cdef PyObject *known
    if size > 9:
        return None
    cdef bytes spelling = PyBytes_FromStringAndSize(text, size)
    known = PyDict_GetItem(METHODS, spelling)
    return None if known is NULL else <str> known


cdef int _status(const char *text, Py_ssize_t size) noexcept:
    """The status code of "200 OK" or "200", or 0."""
    cdef int i, status = 0
    for i in range(3):
        if not 48 <= text[i] <= 57:
            return 0
        status = status * 10 + (text[i] - 48)
    if size > 3 and text[3] != 32:
        return 0
    return status if 100 <= status <= 699 else 0


cdef Spelling *_spelling(const char *text, Py_ssize_t size) except? NULL:
    """What is known of a spelling of a name; NULL for what is no name, and for one that is too long to be kept."""
    cdef Spelling *met
    cdef unsigned int place
    if size == 0 or size > MAX_FAST:
        return NULL
    place = <unsigned char> text[0]
    place = place * 31 + <unsigned char> text[size >> 1]
    place = place * 31 + <unsigned char> text[size - 1]
    place = (place * 31 + <unsigned int> size) % SLOTS
    met = &MET[place]
    if met.size != size or memcmp(met.text, text, size) != 0:
        name = _name(PyBytes_FromStringAndSize(text, size))
        if name is None:
            return NULL
        Py_INCREF(name)
        Py_XDECREF(met.name)
        met.name = <PyObject *> name
        met.mark = MARKS.get(name, 0)
        met.size = <unsigned char> size
        memcpy(met.text, text, size)
    return met


cdef object _name(bytes spelling):
    """The canonical name for a spelling, or None."""
    cdef PyObject *known = PyDict_GetItem(KNOWN, spelling)
    if known is not NULL:
        return <object> known
    try:
        name = CANONICAL_NAME(spelling.decode("ascii"))
    except Exception:
        return None
    if len(KNOWN) < MAX_SPELLINGS and len(spelling) <= MAX_KEPT:
        KNOWN[spelling] = name
    return name


def write(str start, list lines, bytes body):
    """The bytes of a message: the start line, the header lines, the empty line, the body."""
    cdef Py_ssize_t size = 4 + len(lines) * 2 + PyBytes_GET_SIZE(body)
    cdef str line
    cdef bint ascii = PyUnicode_IS_COMPACT_ASCII(start)
    cdef char *place
    size += PyUnicode_GET_LENGTH(start)
    for line in lines:
        ascii = ascii and PyUnicode_IS_COMPACT_ASCII(line)
        size += PyUnicode_GET_LENGTH(line)
    if not ascii:
        return "\r\n".join((start, *lines, "", "")).encode("utf-8", "surrogateescape") + body
    cdef bytes made = PyBytes_FromStringAndSize(NULL, size)
    place = PyBytes_AS_STRING(made)
    place = _put(place, start)
    for line in lines:
        place = _put(place, line)
    place[0] = 13
    place[1] = 10
    memcpy(place + 2, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
    return made


cdef inline char *_put(char *place, str line) noexcept:
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(line)
    memcpy(place, PyUnicode_1BYTE_DATA(line), size)
    place[size] = 13
    place[size + 1] = 10
    return place + size + 2


include "_scan_values.pxi"
