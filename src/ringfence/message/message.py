"""Requests and responses: a start line, header fields and a body of bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ringfence.message.fields import CALL_ID, CSEQ, FROM, TO, VIA
from ringfence.message.headers import Headers
from ringfence.message.status import reason_phrase
from ringfence.message.uri import Uri, parse_uri

if TYPE_CHECKING:
    from ringfence.message.address import NameAddr
    from ringfence.message.fields.cseq import CSeq
    from ringfence.message.fields.via import Via

VERSION = "SIP/2.0"


def write_pure(start: str, lines: list[str], body: bytes) -> bytes:
    """The bytes of a message: the start line, the header lines, the empty line, the body."""
    data = "\r\n".join((start, *lines, "", "")).encode("utf-8", "surrogateescape")
    return data + body if body else data


write: Callable[[str, list[str], bytes], bytes]
try:
    from ringfence.message._scan import write
except ImportError:  # not compiled
    write = write_pure


class Message:
    """What requests and responses share. What every element needs are properties, read on first use."""

    __slots__ = ("body", "headers")

    headers: Headers
    body: bytes

    @property
    def via(self) -> Via:
        """The topmost Via (RFC 3261 section 20.42).

        Raises:
            PeerError: 400 when there is none, or it is malformed.
        """
        return self.headers.first(VIA) or self.headers.only(VIA)

    @property
    def cseq(self) -> CSeq:
        """The CSeq (RFC 3261 section 20.16)."""
        return self.headers.first(CSEQ) or self.headers.only(CSEQ)

    @property
    def call_id(self) -> str:
        """The Call-ID (RFC 3261 section 20.8)."""
        return self.headers.first(CALL_ID) or self.headers.only(CALL_ID)

    @property
    def from_(self) -> NameAddr:
        """The From address (RFC 3261 section 20.20)."""
        return self.headers.first(FROM) or self.headers.only(FROM)

    @property
    def to(self) -> NameAddr:
        """The To address (RFC 3261 section 20.39)."""
        return self.headers.first(TO) or self.headers.only(TO)

    def _start_line(self) -> str:
        raise AssertionError("a message is a request or a response")

    def to_bytes(self) -> bytes:
        """The message as it goes on the wire. Content-Length is what the headers say: see ``set_body``."""
        return write(self._start_line(), self.headers.lines, self.body)

    def set_body(self, body: bytes, content_type: str | None = None) -> None:
        """Replace the body, its Content-Length and, when given, its Content-Type."""
        self.body = body
        if content_type is not None:
            self.headers.set("Content-Type", content_type)
        elif not body:
            self.headers.remove("Content-Type")
        self.headers.set("Content-Length", len(body))


class Request(Message):
    """A SIP request (RFC 3261 section 7.1). ``uri`` is the Request-URI as text, ``target`` read."""

    __slots__ = ("method", "uri")

    def __init__(self, method: str, uri: str, headers: Headers, body: bytes = b"") -> None:
        self.method = method
        self.uri = uri
        self.headers = headers
        self.body = body

    @property
    def target(self) -> Uri:
        """The Request-URI, read.

        Raises:
            PeerError: 400 or 414 when it is malformed.
        """
        return parse_uri(self.uri)

    def copy(self) -> Request:
        """An independent copy, for a branch to change."""
        return Request(self.method, self.uri, self.headers.copy(), self.body)

    def _start_line(self) -> str:
        return f"{self.method} {self.uri} SIP/2.0"

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.uri}>"


class Response(Message):
    """A SIP response (RFC 3261 section 7.2)."""

    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: str | None, headers: Headers, body: bytes = b"") -> None:
        self.status = status
        self.reason = reason_phrase(status) if reason is None else reason
        self.headers = headers
        self.body = body

    def copy(self) -> Response:
        """An independent copy."""
        return Response(self.status, self.reason, self.headers.copy(), self.body)

    def _start_line(self) -> str:
        return f"SIP/2.0 {self.status} {self.reason}"

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.reason}>"
