# Part of _scan.pyx: single values, as nearly every element writes them. What is not as plain is left to the parser.

cdef enum:
    NAME = 1
    VALUE = 2
    WORD = 4
    MAX_PLAIN = 16

cdef unsigned char KIND[256]
cdef int octet
for octet in range(256):
    KIND[octet] = 0
for octet in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.!%*_+`'~":
    KIND[octet] = NAME | VALUE | WORD
for octet in b":[]":
    KIND[octet] = VALUE | WORD
for octet in b"()<>\\\"/?{}":
    KIND[octet] = WORD


def plain_params(str text):
    """((name, value or None), ...) of ``;name=value`` in tokens alone, or None when it is anything else.

    At most 16, and no name twice: more, quotes, blanks and all else is for ``params`` to read or refuse.
    """
    cdef list items = []
    if not PyUnicode_IS_COMPACT_ASCII(text):
        return None
    if not _plain(<const char *> PyUnicode_1BYTE_DATA(text), 0, PyUnicode_GET_LENGTH(text), items, False):
        return None
    return tuple(items)


cdef bint _plain(const char *chars, Py_ssize_t position, Py_ssize_t size, list items, bint quoted) except -1:
    """Read plain parameters up to ``size`` into ``items``; false when there is anything else.

    ``quoted``: values may be in quotes too, if there is nothing in them that is escaped or not ASCII.
    """
    cdef Py_ssize_t first, middle
    cdef Py_ssize_t at[MAX_PLAIN]
    cdef Py_ssize_t sizes[MAX_PLAIN]
    cdef int count = 0, i
    cdef str name, value
    while position < size:
        if chars[position] != 59 or count == MAX_PLAIN:
            return False
        position += 1
        first = position
        while position < size and KIND[<unsigned char> chars[position]] & NAME:
            position += 1
        if position == first:
            return False
        at[count], sizes[count] = first, position - first
        for i in range(count):
            if sizes[i] == sizes[count] and _same(chars + at[i], chars + first, position - first):
                return False
        count += 1
        name = _text(chars + first, position - first, 0)
        value = None
        if position < size and chars[position] == 61:
            position += 1
            middle = position
            if quoted and position < size and chars[position] == 34:
                position += 1
                while position < size and 32 <= chars[position] < 127 and chars[position] not in (34, 92):
                    position += 1
                if position == size or chars[position] != 34:
                    return False
                position += 1
                items.append((name, _text(chars + middle, position - middle, 0)))
                continue
            while position < size and KIND[<unsigned char> chars[position]] & VALUE:
                position += 1
            if position == middle:
                return False
            value = _text(chars + middle, position - middle, 0)
        items.append((name, value))
    return True


cdef inline bint _same(const char *one, const char *other, Py_ssize_t size) noexcept:
    """Whether two tokens are the same without case."""
    cdef Py_ssize_t i
    cdef unsigned char a, b
    for i in range(size):
        a, b = <unsigned char> one[i], <unsigned char> other[i]
        if a != b and not ((a ^ b) == 32 and 97 <= (a | 32) <= 122):
            return False
    return True


cdef object _via(const char *text, Py_ssize_t position, Py_ssize_t stop):
    """(what stands before the parameters, the parameters, branch) of a lone plain value, or None."""
    cdef const char *found
    cdef Py_ssize_t first
    cdef list items = []
    cdef object branch = ""
    while position < stop and (text[position] == 32 or text[position] == 9):
        position += 1
    if position == stop or text[stop - 1] == 32 or text[stop - 1] == 9:
        return None
    stop = _first_of_list(text, position, stop)
    if stop < 0:
        return None
    found = <const char *> memchr(text + position, 59, stop - position)
    first = position
    position = stop if found is NULL else found - text
    if position == first:
        return None
    for i in range(first, position):
        if <unsigned char> text[i] >= 128:
            return None
    head = _text(text + first, position - first, 0)
    if not _plain(text, position, stop, items, True):
        return None
    for item in items:
        name, value = <tuple> item
        if name == "branch" or (<str> name).lower() == "branch":
            branch = (<str> value).strip('"') if value is not None else ""
    return head, tuple(items), branch


cdef tuple _tagged(const char *text, Span span):
    """(value, the address in it, tag or None) of an address with no parameter but a tag, or None."""
    cdef Py_ssize_t i, size
    cdef const char *value
    cdef unsigned char high
    _trim(text, &span)
    value = text + span.first
    size = span.stop - span.first
    if size == 0 or _dirt(value, size, &high) or high & 128:
        return None
    i = size - 1
    while i >= 0 and value[i] != 62:
        i -= 1
    if i == size - 1:
        whole = _text(value, size, 0)
        return whole, whole, None
    if i < 0 or size - i < 7 or memcmp(value + i, b">;tag=", 6) != 0:
        return None
    address = _text(value, i + 1, 0)
    i += 6
    for at in range(i, size):
        if not KIND[<unsigned char> value[at]] & NAME:
            return None
    return _text(value, size, 0), address, _text(value + i, size - i, 0)


cdef str _call_id(const char *text, Span span):
    """``word [ "@" word ]``, or None."""
    cdef Py_ssize_t i
    cdef bint parted = False
    cdef unsigned char octet
    _trim(text, &span)
    if span.first == span.stop or text[span.first] == 64 or text[span.stop - 1] == 64:
        return None
    for i in range(span.first, span.stop):
        octet = <unsigned char> text[i]
        if octet == 64 and not parted:
            parted = True
        elif not KIND[octet] & WORD:
            return None
    return _text(text + span.first, span.stop - span.first, 0)


cdef inline void _trim(const char *text, Span *span) noexcept:
    while span.first < span.stop and (text[span.first] == 32 or text[span.first] == 9):
        span.first += 1
    while span.first < span.stop and (text[span.stop - 1] == 32 or text[span.stop - 1] == 9):
        span.stop -= 1


cdef Py_ssize_t _first_of_list(const char *text, Py_ssize_t position, Py_ssize_t stop) noexcept:
    """Where the first of the values ends that commas part, none of them empty; -1 where it is not as simple."""
    cdef Py_ssize_t i, end = -1
    cdef int count = 0
    cdef bint empty = True, inside = False
    cdef const char *first = text + position
    if (
        memchr(first, 44, stop - position) is NULL
        and memchr(first, 60, stop - position) is NULL
        and memchr(first, 34, stop - position) is NULL
    ):  # one value, nothing in quotes: what there is almost always
        while stop > position and (text[stop - 1] == 32 or text[stop - 1] == 9):
            stop -= 1
        while position < stop and (text[position] == 32 or text[position] == 9):
            position += 1
        return stop if stop > position else -1
    for i in range(position, stop):
        if inside:
            if text[i] == 92:
                return -1
            inside = text[i] != 34
        elif text[i] == 44:
            count += 1
            if empty or count > MAX_LIST:
                return -1
            if end < 0:
                end = i
            empty = True
        elif text[i] == 60:
            return -1
        elif text[i] == 34:
            inside, empty = True, False
        elif text[i] != 32 and text[i] != 9:
            empty = False
    if empty or inside:
        return -1
    if end < 0:
        end = stop
    while end > position and (text[end - 1] == 32 or text[end - 1] == 9):
        end -= 1
    return end


def after_first(str line):
    """What follows the first value of a list in a header line, "" if nothing does; None where it is not as simple."""
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(line), position
    cdef const char *text
    cdef const char *found
    if not PyUnicode_IS_COMPACT_ASCII(line):
        return None
    text = <const char *> PyUnicode_1BYTE_DATA(line)
    found = <const char *> memchr(text, 58, size)
    if found is NULL or memchr(text, 10, size) is not NULL:
        return None
    position = _first_of_list(text, found - text + 1, size)
    if position < 0:
        return None
    while position < size and (text[position] == 32 or text[position] == 9):
        position += 1
    if position == size:
        return ""
    position += 1  # the comma
    while position < size and (text[position] == 32 or text[position] == 9):
        position += 1
    while text[size - 1] == 32 or text[size - 1] == 9:
        size -= 1
    return _text(text + position, size - position, 0)


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


cdef enum:
    CREDENTIALS = 10  # parameters of Digest credentials, in the order of ``Credentials``
    QOP = 8
    COUNT = 9


cdef inline int _which(const char *name, Py_ssize_t size) noexcept:
    """The place of a parameter among those of ``Credentials``, or -1."""
    if size == 8:
        return 0 if memcmp(name, b"username", 8) == 0 else 4 if memcmp(name, b"response", 8) == 0 else -1
    if size == 5:
        return 1 if memcmp(name, b"realm", 5) == 0 else 2 if memcmp(name, b"nonce", 5) == 0 else -1
    if size == 3:
        return 3 if memcmp(name, b"uri", 3) == 0 else QOP if memcmp(name, b"qop", 3) == 0 else -1
    if size == 9:
        return 5 if memcmp(name, b"algorithm", 9) == 0 else -1
    if size == 6:
        return 6 if memcmp(name, b"cnonce", 6) == 0 else 7 if memcmp(name, b"opaque", 6) == 0 else -1
    return COUNT if size == 2 and memcmp(name, b"nc", 2) == 0 else -1


cdef inline bint _hexadecimal(const char *text, Py_ssize_t size) noexcept:
    cdef Py_ssize_t i
    for i in range(size):
        if not (48 <= text[i] <= 57 or 65 <= text[i] <= 70 or 97 <= text[i] <= 102):
            return False
    return True


def usual_credentials(str text):
    """The parameters of Digest credentials in the order of ``Credentials``, unquoted, None for one that is absent.

    None for anything unusual: another scheme or spelling, an escape, a blank, a parameter that is unknown, repeated,
    or missing though it is needed, an nc that is none.
    """
    cdef list found = [None] * CREDENTIALS
    if not PyUnicode_IS_COMPACT_ASCII(text):
        return None
    cdef const char *chars = <const char *> PyUnicode_1BYTE_DATA(text)
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(text), position = 7, first
    cdef int place, met = 0
    if size < 8 or memcmp(chars, b"Digest ", 7) != 0:
        return None
    while True:
        first = position
        while position < size and 97 <= chars[position] <= 122:
            position += 1
        if position >= size or chars[position] != 61:
            return None
        place = _which(chars + first, position - first)
        if place < 0 or met >> place & 1:
            return None
        met |= 1 << place
        position += 1
        first = position
        if place == 5 or place >= QOP:  # algorithm, qop, nc: tokens
            while position < size and KIND[<unsigned char> chars[position]] & NAME:
                position += 1
            if position == first or (
                place == COUNT and (position - first != 8 or not _hexadecimal(chars + first, 8))
            ):
                return None
            found[place] = _text(chars + first, position - first, 0)
        else:
            if position >= size or chars[position] != 34:
                return None
            first += 1
            position += 1
            while position < size and 32 <= chars[position] < 127 and chars[position] not in (34, 92):
                position += 1
            if position >= size or chars[position] != 34:
                return None
            found[place] = _text(chars + first, position - first, 0)
            position += 1
        if position == size:
            break
        if chars[position] != 44:
            return None
        position += 1
        while position < size and chars[position] == 32:
            position += 1
    if met & 31 != 31 or (met >> QOP & 1 and not (met >> 6 & 1 and met >> COUNT & 1)):
        return None
    return tuple(found)
