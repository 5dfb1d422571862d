"""The packets of a capture file: pcap, as tcpdump writes it, and pcapng, as Wireshark does.

Both hold link-layer frames with a time; what is taken here of a frame is the IP packet in it. A frame that is no IP is
passed over, a file that breaks off in a packet (tcpdump was killed) ends there, and one that is no capture is refused.
draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from ringfence.message import LocalError
from ringfence.service.capture_links import unwrapped

MAX_OPENED = 1 << 29
"""Octets that a compressed capture may have in it: what fits in memory, whoever sent it."""

MAX_FRAME = 262_144
"""Octets of one frame, the largest snapshot length that tcpdump has."""

_PCAP: Final = {  # the magic number as it stands in the file: byte order, and parts of a second
    b"\xd4\xc3\xb2\xa1": ("<", 1_000_000),
    b"\xa1\xb2\xc3\xd4": (">", 1_000_000),
    b"\x4d\x3c\xb2\xa1": ("<", 1_000_000_000),
    b"\xa1\xb2\x3c\x4d": (">", 1_000_000_000),
}
_GZIP: Final = b"\x1f\x8b"
_SECTION: Final = b"\x0a\x0d\x0d\x0a"
_ORDERS: Final = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _PACKET = 1, 2, 3, 6
_RESOLUTION, _OFFSET = 9, 14


class Frame(NamedTuple):
    """One IP packet, and when it was seen, in seconds since 1970."""

    time: float
    packet: bytes


class _Interface(NamedTuple):
    link: int
    parts: float
    """Of a second, in which times are counted."""
    offset: int = 0
    """Seconds to add to them."""


def opened(data: bytes) -> bytes:
    """A file as it is, or what is in it when it is gzip's, as captures often are stored.

    Raises:
        LocalError: more than ``MAX_OPENED`` octets are in it.
    """
    if not data.startswith(_GZIP):
        return data
    reader = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        content = reader.decompress(data, MAX_OPENED)
    except zlib.error:
        return data
    if reader.unconsumed_tail:
        raise LocalError(f"more than {MAX_OPENED} octets are in the compressed file: unpack it first")
    return content


def is_capture(data: bytes) -> bool:
    """Whether a file that begins like this is a capture."""
    return data[:4] in _PCAP or (data[:4] == _SECTION and data[8:12] in _ORDERS)


def frames(data: bytes) -> Iterator[Frame]:
    """The IP packets of a capture file, in the order of the file.

    Raises:
        LocalError: it is no capture, or its blocks have no sense.
    """
    if data[:4] in _PCAP:
        yield from _pcap(data)
    elif is_capture(data):
        yield from _pcapng(data)
    else:
        raise LocalError("not a capture: neither pcap nor pcapng")


def _pcap(data: bytes) -> Iterator[Frame]:
    order, parts = _PCAP[data[:4]]
    if len(data) < 24:
        return
    interface = _Interface(struct.unpack_from(f"{order}I", data, 20)[0] & 0xFFFF, parts)
    at = 24
    while at + 16 <= len(data):
        seconds, part, length = struct.unpack_from(f"{order}III", data, at)
        _bounded(length)
        at += 16
        if at + length > len(data):
            return
        yield from _ip(interface, seconds + part / parts, data[at : at + length])
        at += length


def _pcapng(data: bytes) -> Iterator[Frame]:
    order, at = "<", 0
    interfaces: list[_Interface] = []
    while at + 12 <= len(data):
        if data[at : at + 4] == _SECTION:
            order = _ORDERS.get(data[at + 8 : at + 12], order)
            interfaces = []
        kind, length = struct.unpack_from(f"{order}II", data, at)
        if length < 12 or length % 4:
            raise LocalError(f"a block of the capture at {at} is broken")
        body = data[at + 8 : at + length - 4]
        at += length
        if at > len(data):
            return
        if kind == _INTERFACE and len(body) >= 8:
            interfaces.append(_described(order, body))
        elif kind in (_PACKET, _OLD_PACKET) and len(body) >= 20:
            number, high, low, size = struct.unpack_from(f"{order}IIII", body)
            if kind == _OLD_PACKET:  # it has a count of drops beside the number of its interface
                number = struct.unpack_from(f"{order}H", body)[0]
            if number < len(interfaces):
                _bounded(size)
                interface = interfaces[number]
                time = interface.offset + (high << 32 | low) / interface.parts
                yield from _ip(interface, time, body[20 : 20 + size])
        elif kind == _SIMPLE_PACKET and interfaces and len(body) >= 4:
            yield from _ip(interfaces[0], 0.0, body[4:])


def _bounded(length: int) -> None:
    if length > MAX_FRAME:
        raise LocalError(f"a packet of the capture has {length} octets, at most {MAX_FRAME} are read")


def _described(order: str, body: bytes) -> _Interface:
    """What an interface description block says: the link, and how times are counted."""
    parts, offset, at = 1_000_000.0, 0, 8
    while at + 4 <= len(body):
        code, length = struct.unpack_from(f"{order}HH", body, at)
        value = body[at + 4 : at + 4 + length]
        if code == _RESOLUTION and len(value) == 1:
            parts = float(2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0])
        elif code == _OFFSET and len(value) == 8:
            offset = struct.unpack(f"{order}q", value)[0]
        at += 4 + length + -length % 4
        if not code:
            break
    return _Interface(struct.unpack_from(f"{order}H", body)[0], parts, offset)


def _ip(interface: _Interface, time: float, frame: bytes) -> Iterator[Frame]:
    packet = unwrapped(interface.link, frame)
    if packet and packet[0] >> 4 in (4, 6):
        yield Frame(time, packet)
