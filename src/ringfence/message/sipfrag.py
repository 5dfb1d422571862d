"""Part of a SIP message as a MIME body: ``message/sipfrag`` (RFC 3420), and ``message/sip`` as its whole.

A fragment has a start line or none, any header fields, and a body or none. It states something about a
message, such as how a referred call went, or what its sender signed; it is never processed as a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from ringfence.message import grammar
from ringfence.message.errors import PeerError
from ringfence.message.fields import REGISTRY
from ringfence.message.headers import Headers
from ringfence.message.message import Message, Request, Response
from ringfence.message.multipart import split_entity

__all__ = ["Fragment", "RequestLine", "StatusLine", "fragment_of", "parse_fragment"]

# Request-Line = Method SP Request-URI SP SIP-Version; Status-Line = SIP-Version SP 3DIGIT SP Reason-Phrase.
_REQUEST: Final = re.compile(rf"({grammar.TOKEN}) ([^\s]+) SIP/2\.0", re.IGNORECASE).fullmatch
_STATUS: Final = re.compile(r"SIP/2\.0 ([1-6][0-9]{2}) (.*)", re.IGNORECASE | re.DOTALL).fullmatch


class RequestLine(NamedTuple):
    """The start line of a request."""

    method: str
    uri: str

    def __str__(self) -> str:
        return f"{self.method} {self.uri} SIP/2.0"


class StatusLine(NamedTuple):
    """The start line of a response."""

    status: int
    reason: str

    def __str__(self) -> str:
        return f"SIP/2.0 {self.status} {self.reason}"


class Fragment(NamedTuple):
    """What stands in the fragment, and nothing that does not."""

    start: RequestLine | StatusLine | None
    headers: Headers
    body: bytes

    def to_bytes(self) -> bytes:
        """The fragment as the content of a MIME part; each line ends with CRLF."""
        lines = [*([str(self.start)] if self.start else []), *self.headers.lines]
        head = "".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape")
        return head + b"\r\n" + self.body if self.body else head


def fragment_of(message: Message, names: Iterable[str], *, start: bool = False) -> Fragment:
    """The fragment of a message with these header fields (canonical names), in the order of ``names``."""
    headers = Headers((name, value) for name in names for value in message.headers.all(name))
    return Fragment(_start_of(message) if start else None, headers, b"")


def _start_of(message: Message) -> RequestLine | StatusLine | None:
    if isinstance(message, Request):
        return RequestLine(message.method, message.uri)
    return StatusLine(message.status, message.reason) if isinstance(message, Response) else None


def parse_fragment(data: bytes, *, strict: bool = True) -> Fragment:
    """Read a fragment, or a whole message as one.

    ``strict`` reads every known header field, since "all header fields must be valid" (RFC 3420 section 3.2);
    without it they are only split, for those who compare text.

    Raises:
        PeerError: 400 when the start line is incomplete, a line is no header field, a header field is
        invalid,
            or there is a body without Content-Type.
    """
    first, separator, rest = data.partition(b"\r\n")
    start = _parse_start(first.decode("utf-8", "surrogateescape"))
    entity = split_entity(data if start is None else rest if separator else b"")
    if strict:
        _check(entity.headers)
        if entity.body and "Content-Type" not in entity.headers:
            raise PeerError(400, "a fragment with a body has no Content-Type", header="Content-Type")
    return Fragment(start, entity.headers, entity.body)


def _parse_start(line: str) -> RequestLine | StatusLine | None:
    match = _STATUS(line)
    if match is not None:
        return StatusLine(int(match[1]), match[2])
    match = _REQUEST(line)
    return None if match is None else RequestLine(match[1], match[2])


def _check(headers: Headers) -> None:
    for name in dict.fromkeys(headers.names):
        field = REGISTRY.get(name)
        if field is not None:
            headers.every(field)
