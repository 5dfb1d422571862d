"""The packets of a capture file: pcap, as tcpdump writes it, and pcapng, as Wireshark does.

Both hold link-layer frames with a time; what is taken here of a frame is the IP packet in it. A frame that is no IP is
passed over, a file that breaks off in a packet (tcpdump was killed) ends there, and one that is no capture is refused.
draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from ringfence.message import LocalError

MAX_FRAME = 262_144
"""Octets of one frame, the largest snapshot length that tcpdump has."""

_PCAP: Final = {  # the magic number as it stands in the file: byte order, and parts of a second
    b"\xd4\xc3\xb2\xa1": ("<", 1_000_000),
    b"\xa1\xb2\xc3\xd4": (">", 1_000_000),
    b"\x4d\x3c\xb2\xa1": ("<", 1_000_000_000),
    b"\xa1\xb2\x3c\x4d": (">", 1_000_000_000),
}
_SECTION: Final = b"\x0a\x0d\x0d\x0a"
_ORDERS: Final = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_INTERFACE, _SIMPLE_PACKET, _PACKET = 1, 3, 6
_RESOLUTION = 9

_IP_TYPES: Final = frozenset({0x0800, 0x86DD})
_VLAN_TYPES: Final = frozenset({0x8100, 0x88A8, 0x9100})
_RAW: Final = frozenset({12, 14, 101, 228, 229})
_LOOPBACK: Final = frozenset({0, 108})
_ETHERNET, _COOKED, _COOKED_2 = 1, 113, 276


class Frame(NamedTuple):
    """One IP packet, and when it was seen, in seconds since 1970."""

    time: float
    packet: bytes


class _Interface(NamedTuple):
    link: int
    parts: float
    """Of a second, in which times are counted."""


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
            interfaces.append(_Interface(struct.unpack_from(f"{order}H", body)[0], _parts(order, body[8:])))
        elif kind == _PACKET and len(body) >= 20:
            number, high, low, size = struct.unpack_from(f"{order}IIII", body)
            if number < len(interfaces):
                _bounded(size)
                interface = interfaces[number]
                yield from _ip(interface, (high << 32 | low) / interface.parts, body[20 : 20 + size])
        elif kind == _SIMPLE_PACKET and interfaces and len(body) >= 4:
            yield from _ip(interfaces[0], 0.0, body[4:])


def _bounded(length: int) -> None:
    if length > MAX_FRAME:
        raise LocalError(f"a packet of the capture has {length} octets, at most {MAX_FRAME} are read")


def _parts(order: str, options: bytes) -> float:
    at = 0
    while at + 4 <= len(options):
        code, length = struct.unpack_from(f"{order}HH", options, at)
        if code == _RESOLUTION and length == 1 and at + 4 < len(options):
            value = options[at + 4]
            return float(2 ** (value & 0x7F) if value & 0x80 else 10**value)
        at += 4 + length + -length % 4
        if not code:
            break
    return 1_000_000.0


def _ip(interface: _Interface, time: float, frame: bytes) -> Iterator[Frame]:
    packet = _unwrapped(interface.link, frame)
    if packet and packet[0] >> 4 in (4, 6):
        yield Frame(time, packet)


def _unwrapped(link: int, frame: bytes) -> bytes:
    """What is behind the link layer's header; nothing of a link that we do not know."""
    if link in _RAW:
        return frame
    if link == _ETHERNET:
        at = 12
        while int.from_bytes(frame[at : at + 2]) in _VLAN_TYPES:
            at += 4
        return frame[at + 2 :] if int.from_bytes(frame[at : at + 2]) in _IP_TYPES else b""
    if link == _COOKED:
        return frame[16:] if int.from_bytes(frame[14:16]) in _IP_TYPES else b""
    if link == _COOKED_2:
        return frame[20:] if int.from_bytes(frame[:2]) in _IP_TYPES else b""
    return frame[4:] if link in _LOOPBACK else b""
