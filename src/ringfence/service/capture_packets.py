"""From the IP packets of a capture to what they carry: fragments joined, extension headers and tunnels taken off.

A mirror port often sends what it saw in a tunnel (GRE, ERSPAN, VXLAN), and a mobile network carries its subscribers in
one (GTP-U): what is in it is read as if it had been captured by itself. All that is kept is bounded.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, NamedTuple

from ringfence.service.capture_links import BRIDGED, ethernet, of_type

MAX_PARTIAL = 256
"""IP packets of which fragments are missing."""

MAX_PACKET = 65_535
MAX_DEPTH = 4
"""Tunnels in tunnels."""

TCP, UDP = 6, 17
_IP_IN_IP, _IPV6_IN_IP, _GRE, _FRAGMENT_V6, _AUTHENTICATION = 4, 41, 47, 44, 51
_EXTENSIONS: Final = frozenset({0, 43, 60, 135, 139, 140, _AUTHENTICATION})
_VXLAN, _GTP = 4789, 2152
_ERSPAN, _ERSPAN_3 = 0x88BE, 0x22EB
_GTP_DATA = 0xFF


class Datagram(NamedTuple):
    """What an IP packet carries, once all of it is there. ``missing``: octets that the capture does not have."""

    protocol: int
    source: bytes
    target: bytes
    payload: bytes
    missing: int = 0


class Packets:
    """Takes packets in the order of a capture and gives what they carry."""

    def __init__(self) -> None:
        self._fragments = _Fragments()

    def take(self, packet: bytes) -> Datagram | None:
        """The datagram or segment that this packet completes, if it does."""
        for _ in range(MAX_DEPTH):
            found = self._fragments.take(packet)
            inner = _carried(found) if found is not None else b""
            if not inner:
                return found
            if inner[0] >> 4 not in (4, 6):
                return None
            packet = inner
        return None


def _carried(outer: Datagram) -> bytes:
    """The IP packet in a tunnel; nothing when it is none."""
    payload = outer.payload
    if outer.protocol in (_IP_IN_IP, _IPV6_IN_IP):
        return payload
    if outer.protocol == _GRE and len(payload) >= 4:
        return _in_gre(payload)
    if outer.protocol == UDP and len(payload) >= 16:
        target = int.from_bytes(payload[2:4])
        if target == _VXLAN and payload[8] & 8:
            return ethernet(payload[16:])
        if target == _GTP and payload[9] == _GTP_DATA and payload[8] >> 4 == 3:
            return _in_gtp(payload[8:])
    return b""


def _in_gre(payload: bytes) -> bytes:
    """RFC 2784 and RFC 2890; ERSPAN by draft-foschiano-erspan."""
    flags, kind = struct.unpack_from("!HH", payload)
    numbered = bool(flags & 0x1000)
    rest = payload[4 + 4 * (bool(flags & 0x8000) + bool(flags & 0x2000) + numbered) :]
    if kind == _ERSPAN:
        return ethernet(rest[8:] if numbered else rest)
    if kind == _ERSPAN_3:
        return ethernet(rest[20 if rest[11:12] and rest[11] & 1 else 12 :])
    return of_type(kind, rest) if kind == BRIDGED or flags & 7 == 0 else b""


def _in_gtp(data: bytes) -> bytes:
    """3GPP TS 29.281 section 5: eight octets, four more when a flag says so, then extension headers."""
    if not data[0] & 7:
        return data[8:]
    at, following = 12, data[11] if len(data) > 11 and data[0] & 4 else 0
    while following and at < len(data) and data[at]:
        end = at + 4 * data[at]
        following, at = data[end - 1] if end <= len(data) else 0, end
    return data[at:]


class _Fragments:
    """IP packets, joined from their fragments (RFC 791 section 3.2, RFC 8200 section 4.5)."""

    def __init__(self) -> None:
        self._partial: OrderedDict[tuple[bytes, bytes, int, int], dict[int, bytes]] = OrderedDict()
        self._length: dict[tuple[bytes, bytes, int, int], int] = {}

    def take(self, packet: bytes) -> Datagram | None:
        found = self._version_4(packet) if packet[0] >> 4 == 4 else self._version_6(packet)
        return None if found is None else _peeled(found)

    def _version_4(self, packet: bytes) -> Datagram | None:
        head = (packet[0] & 15) * 4
        if len(packet) < max(20, head) or head < 20:
            return None
        total, name, flags = struct.unpack_from("!HHH", packet, 2)
        # 0: the network card filled it in later
        payload = packet[head:total] if total > head else packet[head:]
        whole = Datagram(packet[9], packet[12:16], packet[16:20], payload, max(0, total - len(packet)))
        at, more = (flags & 0x1FFF) * 8, bool(flags & 0x2000)
        return self._joined(whole, name, at, more) if at or more else whole

    def _version_6(self, packet: bytes) -> Datagram | None:
        if len(packet) < 40:
            return None
        length, protocol = struct.unpack_from("!HB", packet, 4)
        end = 40 + length if length else len(packet)
        lost = max(0, end - len(packet))
        whole = _peeled(Datagram(protocol, packet[8:24], packet[24:40], packet[40:end], lost))
        if whole.protocol != _FRAGMENT_V6 or len(whole.payload) < 8:
            return whole
        place, name = struct.unpack_from("!HI", whole.payload, 2)
        part = whole._replace(protocol=whole.payload[0], payload=whole.payload[8:])
        return self._joined(part, name, place & 0xFFF8, bool(place & 1))

    def _joined(self, part: Datagram, name: int, at: int, more: bool) -> Datagram | None:
        key = (part.source, part.target, part.protocol, name)
        parts = self._partial.setdefault(key, {})
        if at + len(part.payload) <= MAX_PACKET:
            parts[at] = max(parts.get(at, b""), part.payload, key=len)
        if not more:
            self._length[key] = at + len(part.payload)
        end = self._length.get(key)
        if end is not None and sum(map(len, parts.values())) >= end:
            whole = _in_order(parts.items(), end)
            if whole is not None:
                self._forget(key)
                return part._replace(payload=whole)
        if len(self._partial) > MAX_PARTIAL:
            self._forget(next(iter(self._partial)))
        return None

    def _forget(self, key: tuple[bytes, bytes, int, int]) -> None:
        del self._partial[key]
        self._length.pop(key, None)


def _in_order(parts: Iterable[tuple[int, bytes]], end: int) -> bytes | None:
    """The fragments as one, if none is missing; where two overlap the first one counts."""
    whole = bytearray()
    for at, data in sorted(parts):
        if at > len(whole):
            return None
        whole += data[len(whole) - at :]
    return bytes(whole[:end]) if len(whole) >= end else None


def _peeled(datagram: Datagram) -> Datagram:
    """Without the extension headers of IPv6, and the authentication header that IPv4 has too (RFC 4302)."""
    protocol, payload = datagram.protocol, datagram.payload
    at = 0
    while protocol in _EXTENSIONS and at + 8 <= len(payload):
        units = payload[at + 1]
        size = 4 * (units + 2) if protocol == _AUTHENTICATION else 8 * (units + 1)
        protocol, at = payload[at], at + size
    return datagram._replace(protocol=protocol, payload=payload[at:]) if at else datagram
