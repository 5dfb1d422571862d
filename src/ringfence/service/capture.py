"""A trace as a capture (pcapng) that Wireshark, tshark, tcpdump and sngrep read.

Each message is a datagram of its own, over IPv4 or IPv6 and UDP, between the addresses that it really had: TLS has
been taken off by the node already, and nothing has to be put together. How it travelled stands in the comment of its
packet. https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from ringfence.service.copies import STAND_IN_HOSTS
from ringfence.service.logs import PRIVATE

RAW = 101
"""LINKTYPE_RAW: a packet begins with its IP header."""

UDP = 17
MAX_PAYLOAD = 65_507
"""Octets of one UDP datagram over IPv4; a longer message is cut in the capture."""

STAND_IN_PORT = 5060

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_COMMENT, _FLAGS, _NAME, _APPLICATION = 1, 2, 2, 4
_INWARD, _OUTWARD = 1, 2


def beginning(program: str) -> bytes:
    """What a capture begins with. ``program`` is who wrote it."""
    section = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + _options((_APPLICATION, program.encode()))
    interface = struct.pack("<HHI", RAW, 0, 0) + _options((_NAME, b"sip"))
    return _block(_SECTION, section) + _block(_INTERFACE, interface)


def packet(event: dict[str, Any], message: bytes) -> bytes:
    """One message, with what a trace knows of it, as the next block of a capture."""
    inward = event["direction"] == "in"
    here, there = _place(event["local"]), _place(event["remote"], like=event["local"])
    source, target = (there, here) if inward else (here, there)
    datagram = _datagram(source, target, message[:MAX_PAYLOAD])
    microseconds = int(event["time"] * 1_000_000)
    note = f"{event['transport']}, as the node {'read' if inward else 'wrote'} it"
    if event["remote"] == PRIVATE:
        note += "; private: address, identities and body are stand-ins"
    head = struct.pack(
        "<IIIII", 0, microseconds >> 32, microseconds & 0xFFFFFFFF, len(datagram), len(datagram)
    )
    flags = struct.pack("<I", _INWARD if inward else _OUTWARD)
    return _block(_PACKET, head + _padded(datagram) + _options((_COMMENT, note.encode()), (_FLAGS, flags)))


Place = tuple[IPv4Address | IPv6Address, int]


def _place(text: str, like: str = "") -> Place:
    """An address with a port; the stand-in of the same family for one that is private."""
    if text == PRIVATE:
        return ip_address(STAND_IN_HOSTS[like.startswith("[")]), STAND_IN_PORT
    host, _, port = text.rpartition(":")
    address = ip_address(host.strip("[]").partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address, int(port)


def _datagram(source: Place, target: Place, payload: bytes) -> bytes:
    (here, from_port), (there, to_port) = source, target
    if here.version != there.version:  # a socket of both families: the unspecified address of the other
        here, there = _same_family(here), _same_family(there)
    udp = struct.pack("!HHHH", from_port, to_port, 8 + len(payload), 0) + payload
    pseudo = here.packed + there.packed + struct.pack("!IHBB", len(udp), 0, 0, UDP)
    udp = udp[:6] + struct.pack("!H", _checksum(pseudo + udp) or 0xFFFF) + udp[8:]
    if here.version == 6:
        return struct.pack("!IHBB", 0x60000000, len(udp), UDP, 64) + here.packed + there.packed + udp
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, UDP, 0) + here.packed + there.packed
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + udp


def _same_family(address: IPv4Address | IPv6Address) -> IPv6Address:
    return address if isinstance(address, IPv6Address) else IPv6Address(f"::ffff:{address}")


def _checksum(data: bytes) -> int:
    """RFC 1071. Over IPv4 the pseudo header of RFC 768 has other widths than the one of RFC 8200, and the same sum."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _options(*options: tuple[int, bytes]) -> bytes:
    written = (struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options)
    return b"".join(written) + b"\0\0\0\0"


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
