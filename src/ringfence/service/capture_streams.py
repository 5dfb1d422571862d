"""The SIP messages in the TCP streams of a capture: segments put in order, what was sent again taken once.

Where the capture lost a segment (the other side has acknowledged it, or the capture ends), reading goes on with the
next segment that begins with a message. A stream that begins with an upgrade to WebSocket holds messages in frames
(RFC 7118).
"""

from __future__ import annotations

import re
import struct
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final, NamedTuple

from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

from ringfence.message.framing import MAX_BODY, Framer, FramingError, Mark
from ringfence.message.parser import MAX_HEAD

MAX_STREAMS = 1_024
MAX_AHEAD = 1_048_576
"""Octets of one stream that are kept while an earlier segment is missing."""

MAX_SEGMENTS = 4_096
"""Of one stream, likewise."""

MAX_MESSAGE = MAX_HEAD + MAX_BODY
"""Octets of one message in frames, as the node takes them."""

START: Final = re.compile(rb"(?:SIP/\d+\.\d+ \d{3}|[\w.!%*+`'~-]+ \S+ SIP/\d+\.\d+\r?\n)", re.IGNORECASE)
_UPGRADE: Final = re.compile(rb"GET \S+ HTTP/1\.1\r\n|HTTP/1\.1 101 ")
_SYN, _ACK = 2, 16


class Segment(NamedTuple):
    """One segment of TCP. ``time`` is when it was seen."""

    time: float
    source: str
    target: str
    data: bytes


class Streamed(NamedTuple):
    """A message, and the ends of the stream that it came on. ``transport`` is TCP or WS."""

    time: float
    transport: str
    source: str
    target: str
    data: bytes


class Streams:
    """The connections of a capture, the one that was silent for longest forgotten first."""

    def __init__(self) -> None:
        self._streams: OrderedDict[tuple[str, str], _Stream] = OrderedDict()

    def take(self, segment: Segment) -> Iterator[Streamed]:
        """The messages that a segment completes, in its own stream or by what it acknowledges."""
        ends = (segment.source, segment.target)
        number, heard, offset, flags = struct.unpack_from("!IIBB", segment.data, 4)
        back = self._streams.get(ends[::-1])
        if back is not None and flags & _ACK:
            yield from back.told(ends[::-1], back.acknowledged(heard))
        if flags & _SYN:
            number = number + 1 & 0xFFFFFFFF
            old = self._streams.get(ends)
            if old is None or old.first != number:  # else it was only sent again
                self._streams[ends] = _Stream(number)
        stream = self._streams.setdefault(ends, _Stream())
        self._streams.move_to_end(ends)
        if len(self._streams) > MAX_STREAMS:
            self._streams.popitem(last=False)
        data = segment.data[(offset >> 4) * 4 :]
        if data:
            yield from stream.told(ends, stream.take(number, data, segment.time))

    def rest(self) -> Iterator[Streamed]:
        """What stands behind gaps that the end of the capture leaves open."""
        for ends, stream in self._streams.items():
            yield from stream.told(ends, stream.over_gaps())


class _Stream:
    """One direction of a TCP connection (RFC 9293). ``due``: the number that comes next; None before a message."""

    def __init__(self, due: int | None = None) -> None:
        self.first = due
        self._due = due
        self._ahead: dict[int, tuple[bytes, float]] = {}
        self._reader: _Plain | _Framed = _Plain()
        self._transport = ""  # not known before the first octets

    def told(self, ends: tuple[str, str], found: Iterator[tuple[float, bytes]]) -> Iterator[Streamed]:
        """These messages with the ends they passed between."""
        for time, data in found:
            yield Streamed(time, self._transport, *ends, data)

    def take(self, number: int, data: bytes, time: float) -> Iterator[tuple[float, bytes]]:
        """The messages that these octets complete."""
        if self._due is None:
            if START.match(data) is None and _UPGRADE.match(data) is None:
                return  # in the middle of something: the capture began later
            self._due = number
        if len(data) > len(self._ahead.get(number, (b"",))[0]):
            self._ahead[number] = data, time
        if len(self._ahead) > MAX_SEGMENTS or sum(len(each) for each, _ in self._ahead.values()) > MAX_AHEAD:
            yield from self.over_gaps()
        yield from self._in_order()

    def acknowledged(self, number: int) -> Iterator[tuple[float, bytes]]:
        """The other side has all octets before this one: what is missing here, the capture has lost."""
        if self._ahead and self._due is not None and 0 < number - self._due & 0xFFFFFFFF < 0x80000000:
            yield from self.over_gaps()

    def over_gaps(self) -> Iterator[tuple[float, bytes]]:
        """Go on behind each gap, with the next segment that begins with a message."""
        while self._ahead and (due := self._due) is not None:
            later = sorted(self._ahead, key=lambda number: number - due & 0xFFFFFFFF)
            at = next((number for number in later if START.match(self._ahead[number][0])), None)
            for number in later[: len(later) if at is None else later.index(at)]:
                del self._ahead[number]
            self._due = at
            self._reader = _Plain()
            yield from self._in_order()

    def _in_order(self) -> Iterator[tuple[float, bytes]]:
        while (fresh := self._next()) is not None:
            data, time = fresh
            for message in self._read(data):
                yield time, message

    def _next(self) -> tuple[bytes, float] | None:
        """What follows what was read, without what was sent again."""
        due = self._due
        if due is None:
            return None
        for number in tuple(self._ahead):
            late = due - number & 0xFFFFFFFF  # how much of it was read
            if late >= 0x80000000:
                continue
            data, time = self._ahead.pop(number)
            if data := data[late:]:
                self._due = due + len(data) & 0xFFFFFFFF
                return data, time
        return None

    def _read(self, data: bytes) -> list[bytes]:
        if not self._transport:
            self._transport = "WS" if _UPGRADE.match(data) else "TCP"
            if self._transport == "WS":
                self._reader = _Framed(client=data.startswith(b"GET"))
        items, broken = self._reader.feed(data)
        if broken:
            self._due = None
            self._reader = _Plain()
            self._ahead.clear()
        return items


class _Plain:
    """Messages one after the other, each with its Content-Length."""

    def __init__(self) -> None:
        self._framer = Framer()

    def feed(self, data: bytes) -> tuple[list[bytes], bool]:
        """The messages that are complete now, and whether the stream can't be read on."""
        try:
            items, broken = self._framer.feed(data), False
        except FramingError as error:
            items, broken = error.complete, True
        return [each for each in items if not isinstance(each, Mark)], broken


class _Framed:
    """Messages in frames of WebSocket, behind the request or response that has upgraded the connection."""

    def __init__(self, *, client: bool) -> None:
        self._frames = FrameProtocol(client=not client, extensions=[])
        self._head = bytearray()
        self._upgraded = False
        self._parts = bytearray()

    def feed(self, data: bytes) -> tuple[list[bytes], bool]:
        """The messages that are complete now, and whether the stream can't be read on."""
        if not self._upgraded:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return [], len(self._head) > MAX_HEAD
            self._upgraded = True
            data = bytes(self._head[end + 4 :])
        found: list[bytes] = []
        try:
            self._frames.receive_bytes(data)
            for frame in self._frames.received_frames():
                payload = frame.payload
                if frame.opcode not in (Opcode.TEXT, Opcode.BINARY) or isinstance(payload, tuple):
                    continue  # closing, and keepalives
                self._parts += payload.encode() if isinstance(payload, str) else payload
                if len(self._parts) > MAX_MESSAGE:
                    return found, True
                if frame.message_finished:
                    if self._parts.strip(b"\r\n"):
                        found.append(bytes(self._parts))
                    self._parts.clear()
        except ParseFailed:
            return found, True
        return found, False
