"""Bytes of a stream to whole messages (RFC 3261 sections 7.5 and 18.3, RFC 5626 sections 3.5.1 and 4.4.1).

A stream has no boundaries of its own: the header block ends at the first empty line and Content-Length says
where the body ends. Only that one header field is looked at, by one scan of the block; reading the message is
the parser's work. What was searched is not searched again, so a peer that sends one byte at a time costs
no more in total than one that sends all at once. Sizes are bounded here; time is bounded by the transport.

After an error the place of the next message is unknown, so the stream has to be closed.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from ringfence.message.errors import PeerError
from ringfence.message.message import Request, Response
from ringfence.message.parser import MAX_HEAD, parse

MAX_BODY = 262_144
"""Longest body in bytes: several times a signed and encrypted message with a photo of its sender."""


class Mark(Enum):
    """What stands between messages, by the names of RFC 5626 section 4.4.1."""

    PING = "ping"
    PONG = "pong"


PING = Mark.PING
"""A double CRLF: the peer wants a single CRLF back."""

PONG = Mark.PONG
"""The single CRLF that answers a ping of ours."""

FIRST_OCTETS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.!%*_+`'~")
"""Every octet that can start a SIP message: those of a token, since ``SIP/2.0`` begins like a method."""

_END = b"\r\n\r\n"
_BARE_END = b"\n\n"
# Content-Length = ( "Content-Length" / "l" ) HCOLON 1*DIGIT; the value may be folded (section 7.3.1).
_CONTENT_LENGTH: Final = re.compile(
    rb"\r\n(?:content-length|l)[ \t]*:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", re.IGNORECASE
)
# More than ten digits, leading zeros aside, are far above any limit; a bound keeps int() cheap.
_LENGTH: Final = re.compile(rb"0*+([0-9]*)").fullmatch
_MAX_DIGITS = 10


class FramingError(PeerError):
    """The stream cannot go on. ``complete`` holds what was whole before the fault, in order."""

    __slots__ = ("complete",)

    def __init__(self, cause: PeerError, complete: list[bytes | Mark]) -> None:
        super().__init__(cause.status, cause.reason, header=cause.header, message=cause.message)
        self.complete = complete


class Framer:
    """Cuts one direction of one stream into messages.

    ``pending`` says whether a message has begun and is not complete. ``pongs_due`` is counted up by whoever
    sends a ping: only then is a single CRLF a pong, and not half of a ping or a stray line.
    """

    __slots__ = ("_buffer", "_head_end", "_length", "_max_body", "_searched", "pongs_due")

    def __init__(self, max_body: int = MAX_BODY) -> None:
        self.pongs_due = 0
        self._max_body = max_body
        self._buffer = bytearray()
        self._searched = 0  # the empty line does not start before this offset
        self._head_end = -1  # offset of the body, -1 while the header block is incomplete
        self._length = 0  # of the body

    @property
    def pending(self) -> bool:
        """Whether the first byte of a message has come and its last has not."""
        return bool(self._buffer) and self._buffer[0] != 0x0D

    def feed(self, data: bytes) -> list[bytes | Mark]:
        """Take what was received; give the messages that are now complete and the marks, in order.

        Raises:
            FramingError: 400, 413 or 513; the stream has to be closed.
        """
        items: list[bytes | Mark] = []
        if not self._buffer:
            used = self._plain(data, items)
            if used == len(data):
                return items
            data = data[used:]
        self._buffer += data
        try:
            while self._skip_blank(items) and self._head() and self._take(items):
                pass
        except PeerError as error:
            raise FramingError(error, items) from None
        return items

    def _plain(self, data: bytes, items: list[bytes | Mark]) -> int:
        """The common case without a buffer: whole messages, one Content-Length each. Gives the bytes used."""
        start, size = 0, len(data)
        while start < size and data[start] in FIRST_OCTETS:
            end = data.find(_END, start)
            if not 0 <= end - start <= MAX_HEAD or data.find(_BARE_END, start, end) >= 0:
                break
            found = _CONTENT_LENGTH.findall(data, start, end)
            if len(found) != 1 or len(found[0]) > 10 or not found[0].strip(b" ").isdigit():
                break
            length = int(found[0])
            stop = end + 4 + length
            if length > self._max_body or stop > size:
                break
            items.append(data if stop - start == size else data[start:stop])
            start = stop
        return start

    def _skip_blank(self, items: list[bytes | Mark]) -> bool:
        """Consume CRLFs between messages; true when the first byte of a message is there."""
        if self._head_end >= 0 or self._searched:
            return True
        buffer = self._buffer
        while buffer.startswith(b"\r\n"):
            if self.pongs_due:
                self.pongs_due -= 1
                items.append(PONG)
                del buffer[:2]
            elif buffer.startswith(_END):
                items.append(PING)
                del buffer[:4]
            elif _END.startswith(buffer):
                return False  # half of a ping, or the blank line before a message
            else:
                del buffer[:2]  # RFC 3261 section 7.5: ignored before a start line
        if not buffer or buffer == b"\r":
            return False
        if buffer[0] not in FIRST_OCTETS:
            raise PeerError(400, "what was received is not SIP")
        return True

    def _head(self) -> bool:
        """Find the end of the header block and the length of the body; true when both are known."""
        if self._head_end >= 0:
            return True
        buffer = self._buffer
        end = buffer.find(_END, self._searched)
        if (end if end >= 0 else len(buffer)) > MAX_HEAD:
            # Who wrote it is told, if its first lines say who that is.
            message = _readable(bytes(buffer[:MAX_HEAD]).rpartition(b"\r\n")[0] + _END)
            raise PeerError(513, f"the header block is longer than {MAX_HEAD} bytes", message=message)
        bare = buffer.find(_BARE_END, max(self._searched - 1, 0), end if end >= 0 else len(buffer))
        if bare >= 0:
            # Its end would be waited for in vain, so who wrote it is told now.
            message = _readable(bytes(buffer[: bare + 2]))
            raise PeerError(400, "a line ends with LF alone, not CRLF", message=message)
        if end < 0:
            self._searched = max(len(buffer) - 3, 1)
            return False
        self._length = _body_length(bytes(buffer[: end + 4]), self._max_body)
        self._head_end = end + 4
        return True

    def _take(self, items: list[bytes | Mark]) -> bool:
        """Move one message out of the buffer; true when it was complete."""
        end = self._head_end + self._length
        if len(self._buffer) < end:
            return False
        items.append(bytes(self._buffer[:end]))
        del self._buffer[:end]
        self._searched = self._length = 0
        self._head_end = -1
        return True


def _body_length(head: bytes, max_body: int) -> int:
    found = _CONTENT_LENGTH.findall(head)
    try:
        if not found:
            # RFC 3261 section 18.3: it "MUST be used with stream oriented transports".
            raise PeerError(400, "missing on a stream", header="Content-Length")
        lengths = {_number(value) for value in found}
        if len(lengths) > 1:
            # Two readers that believe different values see different next messages: request smuggling.
            raise PeerError(400, "stands more than once, with different values", header="Content-Length")
        length = lengths.pop()
        if length > max_body:
            raise PeerError(413, f"the body is longer than {max_body} bytes", header="Content-Length")
    except PeerError as error:
        error.message = _readable(head)
        raise
    return length


def _number(value: bytes) -> int:
    value = value.strip(b" \t\r\n")
    match = _LENGTH(value)
    if match is None or not value:
        raise PeerError(400, f"not a number: {value[:20].decode('latin-1')!r}", header="Content-Length")
    return int(match[1] or b"0") if len(match[1]) <= _MAX_DIGITS else 10**_MAX_DIGITS


def _readable(head: bytes) -> Request | Response | None:
    """The message of a head, without the Content-Length that is at fault."""
    try:
        return parse(_CONTENT_LENGTH.sub(b"", head))
    except PeerError as error:
        return error.message
