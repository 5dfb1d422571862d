"""Bytes of one datagram, or of one framed message, to a Request or Response.

One check over the whole header block proves that no stray CR, LF or control character is in it; then the
block is split and each line only cut at its colon. Values stay text until somebody asks (see ``headers``), as
RFC 3261 section 16.3 wants of a proxy: what it does not need, well-formed or not, it forwards unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from ringfence.message import grammar
from ringfence.message.errors import PeerError
from ringfence.message.fields import CALL_ID, CONTENT_LENGTH, CSEQ, FROM, MAX_FORWARDS, TO, VIA, CSeq
from ringfence.message.fields.addresses import plain_tagged
from ringfence.message.fields.cseq import METHODS
from ringfence.message.fields.via import plain_via
from ringfence.message.headers import Headers
from ringfence.message.message import Message, Request, Response
from ringfence.message.names import CANONICAL, MARKS, Spellings, canonical_name
from ringfence.message.params import Items

MAX_HEAD = 65_535
"""Longest start line and header block in bytes: no UDP datagram can carry more."""

MAX_HEADER_LINES = 512
"""Most header lines: a call through thirty proxies has under a hundred."""

MAX_METHOD = 64
"""Longest method name; the longest registered one has nine characters."""

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_CONTROL: Final = _CONTROLS.search
# Every octet that may stand in a header block, apart from CR and LF: HTAB, SP, visible ASCII, UTF-8.
_ALLOWED: Final = bytes([9, *range(32, 127), *range(128, 256)])
# quoted-pair may escape control characters, NUL included (RFC 3261 section 25.1).
_QUOTED_PAIR: Final = re.compile(rb"\\[\x00-\x09\x0b\x0c\x0e-\x7f]")
_STATUS: Final = re.compile(r"SIP/([0-9]+\.[0-9]+) ([0-9]+)(?: (.*))?", re.IGNORECASE | re.DOTALL).fullmatch
_VERSION: Final = re.compile(r"SIP/[0-9]+\.[0-9]+", re.IGNORECASE).fullmatch
SCANNER: Final = 5
"""The ``VERSION`` of the compiled scanner that fits this file."""

_Address = tuple[str, str, str | None]
_Ends = tuple[_Address | None, _Address | None, str | None, int]
Scanned = tuple[
    int, str, str, list[str], list[str], int, int, int, int, tuple[str, Items, str] | None, _Ends | None
]
"""What the scanner gives: the status, or 0 for a request; the method that CSeq has, too; Request-URI or reason phrase;
names, lines, and the marks of the names; where the body starts; Content-Length or -1; the number of CSeq; what stands
in the topmost Via before its parameters, these, and the branch, where it is plain; for a request what is plain of From
and To (the value, its address, its tag), Call-ID, and Max-Forwards or -1."""

scan: Callable[[bytes], Scanned | None] | None
try:
    from ringfence.message import _scan

    if getattr(_scan, "VERSION", None) != SCANNER:
        raise ImportError("compiled from another version of the source")
except ImportError:  # not compiled: everything is read the long way, with the same outcome
    scan = None
else:
    _scan.prepare(CANONICAL, canonical_name, MARKS, METHODS, MAX_HEADER_LINES, MAX_HEAD)
    scan = _scan.scan

_SPELLINGS = Spellings(CANONICAL)
_SINGLE: Final = ("From", "To", "Call-ID", "CSeq")


def parse(data: bytes) -> Request | Response:
    """Read one message.

    Checked here: the framing, the start line, that Via, From, To, Call-ID and CSeq are there and the last
    four once, that CSeq can be read and names the method, and Content-Length. The rest its readers check.

    Raises:
        PeerError: with the status to answer; its ``message`` holds what could be read.
    """
    if scan is not None and (found := scan(data)) is not None:
        message = _ordinary(data, found)
        if message is not None:
            return message
    if data[:2] == b"\r\n":
        data = data.lstrip(b"\r\n")  # "MUST ignore any CRLF appearing before the start-line" (RFC 3261 7.5)
    end = data.find(b"\r\n\r\n")
    if end < 0:
        try:
            _check_controls(data[: MAX_HEAD + 1])
        except PeerError as error:
            raise _with_bare_lines(error, data[: MAX_HEAD + 1]) from None
        raise PeerError(400, "the header block does not end with an empty line")
    if end > MAX_HEAD:
        raise PeerError(513, f"the header block is longer than {MAX_HEAD} bytes")
    head = data[:end]
    lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    if head.translate(None, _ALLOWED) != b"\r\n" * (len(lines) - 1):
        try:
            _check_controls(head)
        except PeerError as error:
            raise _with_clean_lines(error, lines) from None
    if len(lines) > MAX_HEADER_LINES:
        raise _with_clean_lines(PeerError(400, f"more than {MAX_HEADER_LINES} header lines"), lines)
    start = lines.pop(0)
    fault: PeerError | None = None
    try:
        names = [_SPELLINGS[line[: line.index(":")]] for line in lines]
    except (ValueError, PeerError):  # folded, or malformed
        names, lines, fault = _join_folded(lines)
    message, start_fault = _start(start, Headers.received(names, lines))
    fault = start_fault or fault
    if fault is not None:
        raise PeerError(fault.status, fault.reason, header=fault.header, message=message)
    try:
        _check_mandatory(message, names)
        message.body = _body(data, end + 4, message.headers)
    except PeerError as error:
        error.message = message
        raise
    return message


def _check_controls(head: bytes) -> None:
    """The slow way: control characters are legal only in a quoted-pair."""
    rest = _QUOTED_PAIR.sub(b"", head)
    if rest.translate(None, _ALLOWED) == b"\r\n" * rest.count(b"\r\n"):
        return
    if b"\n" in rest.replace(b"\r\n", b""):
        raise PeerError(400, "a line ends with LF alone, not CRLF")
    if b"\r" in rest.replace(b"\r\n", b""):
        raise PeerError(400, "a CR without its LF in the header block")
    raise PeerError(400, "a control character in the header block")


def _with_clean_lines(error: PeerError, lines: list[str]) -> PeerError:
    """The fault with what can be answered: the lines without control characters, none of which may go back."""
    start, *lines = lines[: MAX_HEADER_LINES + 1]
    names, kept, _ = _join_folded([line for line in lines if not _CONTROL(line)])
    error.message, _ = _start(_CONTROLS.sub("?", start), Headers.received(names, kept))
    if not _CONTROL(start):
        # None has any when it stands beyond the limit on lines.
        name = next((line for line in lines if _CONTROL(line)), "").partition(":")[0]
        error.header = None if not name or _CONTROL(name) else name[:40]
    return error


def _with_bare_lines(error: PeerError, data: bytes) -> PeerError:
    """The same for a message whose lines end with LF alone: it is refused, but whoever wrote it is told why."""
    head, end, _ = data.replace(b"\r\n", b"\n").partition(b"\n\n")
    if end:
        _with_clean_lines(error, head.decode("utf-8", "surrogateescape").split("\n"))
        error.header = None
    return error


def _join_folded(lines: list[str]) -> tuple[list[str], list[str], PeerError | None]:
    """The slow way: names and whole lines, and the first fault."""
    names: list[str] = []
    kept: list[str] = []
    fault: PeerError | None = None
    for line in lines:
        name, colon, _ = line.partition(":")
        if line[:1] in {" ", "\t"} and kept:
            kept[-1] += "\r\n" + line  # a folded value, kept as received (RFC 3261 section 7.3.1)
            continue
        try:
            if not colon:
                raise PeerError(400, f"the header line {line[:40]!r} has no colon")
            names.append(canonical_name(name))
            kept.append(line)
        except PeerError as error:
            fault = fault or error
    return names, kept, fault


def _start(line: str, headers: Headers) -> tuple[Request | Response, PeerError | None]:
    if line[:4].upper() == "SIP/":
        return _status_line(line, headers)
    return _request_line(line, headers)


def _status_line(line: str, headers: Headers) -> tuple[Response, PeerError | None]:
    match = _STATUS(line)
    if match is None:
        return Response(400, "", headers), PeerError(400, f"malformed status line {line[:60]!r}")
    version, status, reason = match.groups()
    if len(status) != 3 or not "100" <= status <= "699":
        return Response(400, "", headers), PeerError(400, f"{status[:40]} is no status code")
    response = Response(int(status), reason or "", headers)
    if version != "2.0":
        return response, PeerError(505, f"SIP/{version} is not supported")
    return response, None


def _request_line(line: str, headers: Headers) -> tuple[Request, PeerError | None]:
    # Request-Line = Method SP Request-URI SP SIP-Version CRLF: single spaces and nothing at either end.
    parts = line.split(" ")
    if len(parts) == 3 and parts[2] == "SIP/2.0" and parts[1]:
        method, uri, _ = parts
        if method not in METHODS and (len(method) > MAX_METHOD or not grammar.token(method)):
            return Request("UNKNOWN", uri, headers), PeerError(400, f"{method[:40]!r} is no method")
        return Request(method, uri, headers), None
    words = line.split()
    method = words[0] if words and grammar.token(words[0]) else "UNKNOWN"
    request = Request(method, words[1] if len(words) > 1 else "sip:invalid.invalid", headers)
    if len(parts) == 3 and _VERSION(parts[2]):
        if parts[2].upper() == "SIP/2.0":
            return request, None  # "SIP/2.0" is compared without case (RFC 3261 section 7.1)
        return request, PeerError(505, f"{parts[2]} is not supported")
    return request, PeerError(400, f"malformed request line {line[:60]!r}")


def _check_mandatory(message: Message, names: list[str]) -> None:
    headers = message.headers
    if headers.first(VIA) is None:
        raise PeerError(400, "missing", header="Via")
    for name in _SINGLE:
        if names.count(name) != 1:
            raise PeerError(400, "missing" if name not in names else "stands more than once", header=name)
    cseq = headers.first(CSEQ)
    assert cseq is not None  # it has just been counted
    if isinstance(message, Request) and cseq.method != message.method:
        # RFC 3261 section 8.1.1.5: "The method MUST match that of the request."
        raise PeerError(400, f"says {cseq.method}, but the request is {message.method}", header="CSeq")


def _body(data: bytes, start: int, headers: Headers) -> bytes:
    names = headers.names
    if "Content-Length" not in names:
        return data[start:]  # "the body is assumed to extend to the end of the transport packet" (18.3)
    present = len(data) - start
    line = headers.lines[names.index("Content-Length")]
    if line == "Content-Length: 0" and names.count("Content-Length") == 1:
        return b""  # what every other message has
    length = headers.only(CONTENT_LENGTH)
    if length > present:
        raise PeerError(400, f"says {length}, but {present} bytes are there", header="Content-Length")
    return data[start : start + length] if length else b""


def _ordinary(data: bytes, found: Scanned) -> Request | Response | None:
    """A message from what the scanner has found; None when it is to be read the long way after all."""
    status, method, text, names, lines, mask, start, length, number, via, ends = found
    headers = Headers.received(names, lines, mask)
    headers.know(CSEQ, CSeq(number, method))
    try:
        if via is not None:
            headers.know(VIA, plain_via(*via))
        else:
            headers.first(VIA)
    except PeerError:
        return None
    if ends is not None:
        _know_ends(headers, ends)
    body = b"" if length == 0 else data[start:] if length < 0 else data[start : start + length]
    return Response(status, text, headers, body) if status else Request(method, text, headers, body)


def _know_ends(headers: Headers, ends: _Ends) -> None:
    """Keep what every request is asked for. What can't be read is told when somebody asks for it."""
    from_, to, call_id, hops = ends
    try:
        if from_ is not None:
            headers.know(FROM, plain_tagged(*from_))
        if to is not None:
            headers.know(TO, plain_tagged(*to))
    except PeerError:
        pass
    if call_id is not None:
        headers.know(CALL_ID, call_id)
    if hops >= 0:
        headers.know(MAX_FORWARDS, hops)
