# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The header block of an ordinary message, cut up in one pass over its bytes.

Only an accelerator: it answers for messages that have nothing unusual, and gives None for all others, which
``parser`` then reads the long way. So there is one truth about what is right and wrong, and it is not here. A test
holds that both give the same for every message that this one answers for.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.list cimport PyList_Append
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_DecodeUTF8, PyUnicode_Substring
from libc.string cimport memchr

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object)
    void *PyUnicode_1BYTE_DATA(object)
    Py_ssize_t PyUnicode_GET_LENGTH(object)

VERSION = 3
"""Raised with every change of what ``parser`` relies on, so that it leaves a stale compiled file alone."""

cdef unsigned char ALLOWED[256]
cdef int octet
for octet in range(256):
    ALLOWED[octet] = octet == 9 or 32 <= octet < 127 or octet >= 128

cdef dict KNOWN = {}
cdef object CANONICAL_NAME = None
# Spellings that are kept, and how long one may be: what peers send must not fill memory.
cdef enum:
    MAX_SPELLINGS = 4096
    MAX_KEPT = 64
cdef object VIA, FROM, TO, CALL_ID, CSEQ, CONTENT_LENGTH
cdef Py_ssize_t MAX_LINES = 0
cdef Py_ssize_t MAX_HEAD = 0


def prepare(dict canonical, canonical_name, Py_ssize_t max_lines, Py_ssize_t max_head):
    """Take over the names of header fields and the limits from the parser; called once."""
    global CANONICAL_NAME, VIA, FROM, TO, CALL_ID, CSEQ, CONTENT_LENGTH, MAX_LINES, MAX_HEAD
    for spelling, name in canonical.items():
        KNOWN[spelling.encode("ascii")] = name
    VIA, FROM, TO = canonical["Via"], canonical["From"], canonical["To"]
    CALL_ID, CSEQ, CONTENT_LENGTH = canonical["Call-ID"], canonical["CSeq"], canonical["Content-Length"]
    CANONICAL_NAME = canonical_name
    MAX_LINES = max_lines
    MAX_HEAD = max_head


def scan(bytes data):
    """(start line, names, lines, end of the head, content length or -1, CSeq number, CSeq method), or None.

    None says that something is unusual: a folded line, a control character, a mandatory field missing or repeated,
    a number that is not plain. Whether it is wrong is for the parser to say.
    """
    cdef const char *text = PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef Py_ssize_t position = 0, stop, colon, i, count = 0
    cdef int vias = 0, froms = 0, tos = 0, call_ids = 0, cseqs = 0, lengths = 0
    cdef Py_ssize_t cseq_from = 0, cseq_to = 0, length_from = 0, length_to = 0
    cdef const char *found
    cdef PyObject *known
    cdef list names = [], lines = []
    cdef object start = None, name
    cdef bytes spelling
    cdef unsigned char byte
    while True:
        found = <const char *> memchr(text + position, 10, size - position)
        if found is NULL:
            return None
        stop = found - text
        if stop == position or text[stop - 1] != 13 or stop > MAX_HEAD:
            return None
        stop -= 1
        if stop == position:
            break  # the empty line
        colon = -1
        for i in range(position, stop):
            byte = <unsigned char> text[i]
            if not ALLOWED[byte]:
                return None
            if byte == 58 and colon < 0:
                colon = i
        if start is None:
            start = PyUnicode_DecodeUTF8(text + position, stop - position, "surrogateescape")
        else:
            if colon < 0 or text[position] == 32 or text[position] == 9:
                return None
            spelling = PyBytes_FromStringAndSize(text + position, colon - position)
            known = PyDict_GetItem(KNOWN, spelling)
            name = _learn(spelling) if known is NULL else <object> known
            if name is None:
                return None
            count += 1
            if name is VIA:
                vias += 1
            elif name is FROM:
                froms += 1
            elif name is TO:
                tos += 1
            elif name is CALL_ID:
                call_ids += 1
            elif name is CSEQ:
                cseqs += 1
                cseq_from, cseq_to = colon + 1, stop
            elif name is CONTENT_LENGTH:
                lengths += 1
                length_from, length_to = colon + 1, stop
            PyList_Append(names, name)
            PyList_Append(lines, PyUnicode_DecodeUTF8(text + position, stop - position, "surrogateescape"))
        position = stop + 2
    if start is None or count >= MAX_LINES or vias == 0 or froms != 1 or tos != 1 or call_ids != 1 or cseqs != 1:
        return None
    if lengths > 1:
        return None
    cdef long content_length = -1
    if lengths:
        content_length = _number(text, &length_from, length_to)
        if content_length < 0 or length_from != length_to:
            return None
    cdef long number = _number(text, &cseq_from, cseq_to)
    if number < 0 or cseq_from >= cseq_to or text[cseq_from] != 32:
        return None
    method = text[cseq_from + 1 : cseq_to]
    return start, names, lines, stop + 2, content_length, number, method.decode("utf-8", "surrogateescape")


cdef object _learn(bytes spelling):
    """The canonical name for a spelling that was not met before, or None."""
    try:
        name = CANONICAL_NAME(spelling.decode("ascii"))
    except Exception:
        return None
    if len(KNOWN) < MAX_SPELLINGS and len(spelling) <= MAX_KEPT:
        KNOWN[spelling] = name
    return name


cdef enum:
    NAME = 1
    VALUE = 2
    MAX_PLAIN = 16

cdef unsigned char KIND[128]
for octet in range(128):
    KIND[octet] = 0
for octet in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.!%*_+`'~":
    KIND[octet] = NAME | VALUE
for octet in b":[]":
    KIND[octet] = VALUE


def plain_params(str text):
    """((name, value or None), ...) of ``;name=value`` in tokens alone, or None when it is anything else.

    At most 16, and no name twice: more, quotes, blanks and all else is for ``params`` to read or refuse.
    """
    if not PyUnicode_IS_COMPACT_ASCII(text):
        return None
    cdef const char *chars = <const char *> PyUnicode_1BYTE_DATA(text)
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(text)
    cdef Py_ssize_t position = 0, first, middle
    cdef list items = []
    cdef object name, value
    while position < size:
        if chars[position] != 59 or len(items) == MAX_PLAIN:
            return None
        position += 1
        first = position
        while position < size and KIND[<unsigned char> chars[position]] & NAME:
            position += 1
        if position == first:
            return None
        name = PyUnicode_Substring(text, first, position)
        value = None
        if position < size and chars[position] == 61:
            position += 1
            middle = position
            while position < size and KIND[<unsigned char> chars[position]] & VALUE:
                position += 1
            if position == middle:
                return None
            value = PyUnicode_Substring(text, middle, position)
        items.append((name, value))
    if len(items) > 1 and len({(<tuple> item)[0].lower() for item in items}) != len(items):
        return None
    return tuple(items)


cdef long _number(const char *text, Py_ssize_t *place, Py_ssize_t stop) noexcept:
    """The decimal number after blanks, at most nine digits; -1 when there is none. ``place`` moves behind it."""
    cdef Py_ssize_t i = place[0]
    cdef long value = 0
    cdef Py_ssize_t first
    while i < stop and text[i] == 32:
        i += 1
    first = i
    while i < stop and 48 <= text[i] <= 57 and i - first < 10:
        value = value * 10 + (text[i] - 48)
        i += 1
    place[0] = i
    return value if 0 < i - first < 10 else -1
