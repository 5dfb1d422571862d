"""The SIP messages in a capture file: datagrams and streams of others, put together as the receiver would have.

Fragments of IP are joined, streams of TCP are put in order, retransmitted segments are taken once. What can't be read
is no error, since a capture holds whatever passed: a stream that begins or breaks off in the middle goes on with the
next message in it. TLS stays closed: for the node's own see ``ringfence trace --pcap``. All that is kept is bounded.
"""

from __future__ import annotations

import re
import struct
from collections import OrderedDict
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final, NamedTuple

from ringfence.message.framing import Framer, FramingError, Mark
from ringfence.service.capture_file import frames

SIP_PORTS: Final = frozenset({5060, 5061})
"""A datagram from or to these is SIP, whatever it looks like; another one, if it begins like SIP."""

MAX_STREAMS = 1_024
MAX_AHEAD = 1_048_576
"""Octets of one stream that are kept while an earlier segment is missing."""

MAX_SEGMENTS = 4_096
"""Of one stream, likewise."""

MAX_PARTIAL = 256
"""IP packets of which fragments are missing."""

MAX_PACKET = 65_535

_START: Final = re.compile(rb"(?:SIP/\d+\.\d+ \d{3}|[\w.!%*+`'~-]+ \S+ SIP/\d+\.\d+\r?\n)", re.IGNORECASE)
_TCP, _UDP, _FRAGMENT_V6 = 6, 17, 44
_EXTENSIONS_V6: Final = frozenset({0, 43, 60, 135})
_SYN = 2


class Heard(NamedTuple):
    """One message of a capture. ``source`` and ``target`` are addresses with ports."""

    time: float
    transport: str
    source: str
    target: str
    data: bytes


class _Datagram(NamedTuple):
    protocol: int
    source: bytes
    target: bytes
    payload: bytes


def messages(data: bytes) -> Iterator[Heard]:
    """The SIP messages of a capture file, in the order in which their last packets came.

    Raises:
        LocalError: it is no capture.
    """
    joined, streams = _Fragments(), _Streams()
    for frame in frames(data):
        datagram = joined.take(frame.packet)
        if datagram is None or len(datagram.payload) < 8:
            continue
        here, there = struct.unpack_from("!HH", datagram.payload)
        source, target = _named(datagram.source, here), _named(datagram.target, there)
        if datagram.protocol == _UDP:
            content = datagram.payload[8 : max(8, struct.unpack_from("!H", datagram.payload, 4)[0])]
            if content.strip(b"\r\n\0") and (
                {here, there} & SIP_PORTS or _START.match(content.lstrip(b"\r\n"))
            ):
                yield Heard(frame.time, "UDP", source, target, content)
        elif datagram.protocol == _TCP and len(datagram.payload) >= 20:
            for message in streams.take((source, target), datagram.payload):
                yield Heard(frame.time, "TCP", source, target, message)


def _named(host: bytes, port: int) -> str:
    address = ip_address(host)
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


class _Fragments:
    """IP packets, joined from their fragments (RFC 791 section 3.2, RFC 8200 section 4.5)."""

    def __init__(self) -> None:
        self._partial: OrderedDict[tuple[bytes, bytes, int, int], dict[int, bytes]] = OrderedDict()
        self._length: dict[tuple[bytes, bytes, int, int], int] = {}

    def take(self, packet: bytes) -> _Datagram | None:
        """What a packet carries, once all of it is there."""
        return self._version_4(packet) if packet[0] >> 4 == 4 else self._version_6(packet)

    def _version_4(self, packet: bytes) -> _Datagram | None:
        head = (packet[0] & 15) * 4
        if len(packet) < max(20, head):
            return None
        total, name, flags = struct.unpack_from("!HHH", packet, 2)
        payload = (
            packet[head:total] if total > head else packet[head:]
        )  # 0: the network card filled it in later
        whole = _Datagram(packet[9], packet[12:16], packet[16:20], payload)
        at, more = (flags & 0x1FFF) * 8, bool(flags & 0x2000)
        return self._joined(whole, name, at, more) if at or more else whole

    def _version_6(self, packet: bytes) -> _Datagram | None:
        if len(packet) < 40:
            return None
        length, protocol = struct.unpack_from("!HB", packet, 4)
        source, target, at = packet[8:24], packet[24:40], 40
        end = 40 + length if length else len(packet)
        fragment = None
        while at + 8 <= len(packet):
            if protocol == _FRAGMENT_V6:
                place, name = struct.unpack_from("!HI", packet, at + 2)
                fragment = (name, place & 0xFFF8, bool(place & 1))
                protocol, at = packet[at], at + 8
                break  # what follows may be the middle of something
            if protocol not in _EXTENSIONS_V6:
                break
            protocol, at = packet[at], at + 8 + packet[at + 1] * 8
        whole = _Datagram(protocol, source, target, packet[at:end])
        return whole if fragment is None else self._joined(whole, *fragment)

    def _joined(self, part: _Datagram, name: int, at: int, more: bool) -> _Datagram | None:
        key = (part.source, part.target, part.protocol, name)
        parts = self._partial.setdefault(key, {})
        if at + len(part.payload) <= MAX_PACKET:
            parts[at] = part.payload
        if not more:
            self._length[key] = at + len(part.payload)
        whole, end = bytearray(), self._length.get(key, MAX_PACKET + 1)
        while len(whole) < end and (next_part := parts.get(len(whole))):
            whole += next_part
        if len(whole) == end:
            self._forget(key)
            return part._replace(payload=bytes(whole))
        if len(self._partial) > MAX_PARTIAL:
            self._forget(next(iter(self._partial)))
        return None

    def _forget(self, key: tuple[bytes, bytes, int, int]) -> None:
        del self._partial[key]
        self._length.pop(key, None)


class _Stream:
    """One direction of a TCP connection (RFC 9293). ``due``: the number that comes next; None before a message."""

    def __init__(self, due: int | None = None) -> None:
        self._due = due
        self._ahead: dict[int, bytes] = {}
        self._framer = Framer()

    def take(self, number: int, data: bytes) -> Iterator[bytes]:
        """The messages that these octets complete."""
        if self._due is None:
            if _START.match(data) is None:
                return  # in the middle of something: the capture began later
            self._due = number
        self._ahead[number] = max(self._ahead.get(number, b""), data, key=len)
        if len(self._ahead) > MAX_SEGMENTS or sum(map(len, self._ahead.values())) > MAX_AHEAD:
            self._begin_anew()
        while (fresh := self._next()) is not None:
            yield from self._read(fresh)

    def _next(self) -> bytes | None:
        """What follows what was read, without what was sent again."""
        due = self._due
        if due is None:
            return None
        for number in tuple(self._ahead):
            late = due - number & 0xFFFFFFFF  # how much of it was read
            if late < 0x80000000 and (data := self._ahead.pop(number)[late:]):
                self._due = due + len(data) & 0xFFFFFFFF
                return data
        return None

    def _read(self, data: bytes) -> list[bytes]:
        try:
            items = self._framer.feed(data)
        except FramingError as error:
            items = error.complete
            self._begin_anew()
        return [each for each in items if not isinstance(each, Mark)]

    def _begin_anew(self) -> None:
        self._due = None
        self._framer = Framer()
        self._ahead.clear()


class _Streams:
    """The connections of a capture, the one that was silent for longest forgotten first."""

    def __init__(self) -> None:
        self._streams: OrderedDict[tuple[str, str], _Stream] = OrderedDict()

    def take(self, ends: tuple[str, str], segment: bytes) -> Iterator[bytes]:
        """The messages that a segment completes."""
        number = struct.unpack_from("!I", segment, 4)[0]
        data = segment[(segment[12] >> 4) * 4 :]
        if segment[13] & _SYN:
            number = number + 1 & 0xFFFFFFFF
            self._streams[ends] = _Stream(number)
        stream = self._streams.setdefault(ends, _Stream())
        self._streams.move_to_end(ends)
        if len(self._streams) > MAX_STREAMS:
            self._streams.popitem(last=False)
        return stream.take(number, data) if data else iter(())
