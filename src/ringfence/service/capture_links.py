"""From a frame of a link to the IP packet in it: Ethernet and what stands between it and IP, PPP, Wi-Fi, loopback.

The numbers of links are those of https://www.tcpdump.org/linktypes.html. A link that is not known here, and a frame
that carries no IP, gives nothing.
"""

from __future__ import annotations

from typing import Final

MAX_TAGS = 8
"""Tags, labels and headers between a link and IP: more than any network has, so that no frame goes in circles."""

IP_TYPES: Final = frozenset({0x0800, 0x86DD})
_VLAN_TYPES: Final = frozenset({0x8100, 0x88A8, 0x9100, 0x9200})
_MPLS_TYPES: Final = frozenset({0x8847, 0x8848})
_PPPOE, BRIDGED = 0x8864, 0x6558
_MAX_LENGTH: Final = 1500
"""Up to here the type of an Ethernet frame is its length, and LLC comes next (IEEE 802.3)."""

_RAW: Final = frozenset({12, 14, 101, 228, 229})
_LOOPBACK: Final = frozenset({0, 108})
_PPP: Final = frozenset({9, 50})
_ETHERNET, _COOKED, _COOKED_2, _CISCO, _PPPOE_ALONE, _NFLOG = 1, 113, 276, 104, 51, 239
_WIFI, _RADIOTAP = 105, 127
_SNAP: Final = b"\xaa\xaa\x03\x00\x00\x00"
_PPP_TYPES: Final = {0x21: 0x0800, 0x57: 0x86DD, 0x281: 0x8847}
_NFLOG_PAYLOAD = 9


def unwrapped(link: int, frame: bytes) -> bytes:
    """What is behind the link layer's header; nothing of a link that we do not know."""
    if link in _RAW:
        return frame
    if link == _ETHERNET:
        return ethernet(frame)
    if link == _COOKED:
        return of_type(_number(frame, 14), frame[16:])
    if link == _COOKED_2:
        return of_type(_number(frame, 0), frame[20:])
    if link in _LOOPBACK:
        return frame[4:]
    if link in _PPP:
        return _ppp(frame)
    if link == _PPPOE_ALONE:
        return of_type(_PPPOE, frame)
    if link == _CISCO:
        return of_type(_number(frame, 2), frame[4:])
    if link == _NFLOG:
        return _nflog(frame)
    if link == _RADIOTAP:
        return _wifi(frame[int.from_bytes(frame[2:4], "little") :])
    return _wifi(frame) if link == _WIFI else b""


def ethernet(frame: bytes) -> bytes:
    """The IP packet in an Ethernet frame."""
    return of_type(_number(frame, 12), frame[14:])


def of_type(kind: int, data: bytes) -> bytes:
    """The IP packet in what an Ethernet type announces."""
    for _ in range(MAX_TAGS):
        if kind in IP_TYPES:
            return data
        if kind in _VLAN_TYPES:
            kind, data = _number(data, 2), data[4:]
        elif kind in _MPLS_TYPES:
            bottom = len(data) > 2 and bool(data[2] & 1)
            kind, data = _version(data[4:]) if bottom else kind, data[4:]
        elif kind == _PPPOE:
            return _ppp(data[6 : 6 + _number(data, 4)]) if data[1:2] == b"\0" else b""
        elif kind == BRIDGED:
            kind, data = _number(data, 12), data[14:]
        elif kind <= _MAX_LENGTH and data.startswith(_SNAP):
            kind, data = _number(data, 6), data[8:]
        else:
            break
    return b""


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2])


def _version(data: bytes) -> int:
    """Behind the last label nothing says what comes: the first four bits of IP do (RFC 4928 section 3)."""
    return {4: 0x0800, 6: 0x86DD}.get(data[0] >> 4 if data else 0, 0xFFFF)


def _ppp(data: bytes) -> bytes:
    """RFC 1661 and RFC 1662: address and control may be left out, and half of the protocol field."""
    if data[:2] == b"\xff\x03":
        data = data[2:]
    size = 1 if data and data[0] & 1 else 2
    return of_type(_PPP_TYPES.get(int.from_bytes(data[:size]), 0xFFFF), data[size:])


def _nflog(frame: bytes) -> bytes:
    """Linux's firewall log: attributes behind a header of four octets, in the order of the machine's octets."""
    at = 4
    while at + 4 <= len(frame):
        size, kind = (int.from_bytes(frame[here : here + 2], "little") for here in (at, at + 2))
        if kind == _NFLOG_PAYLOAD:
            return frame[at + 4 : at + size]
        at += max(4, size + -size % 4)
    return b""


def _wifi(frame: bytes) -> bytes:
    """A data frame of IEEE 802.11 that is not encrypted; an access point's Ethernet looks the other way round."""
    if len(frame) < 24 or frame[0] & 0x4C != 0x08 or frame[1] & 0x40:
        return b""
    head = 24 + (6 if frame[1] & 3 == 3 else 0) + (2 if frame[0] & 0x80 else 0)
    return of_type(0, frame[head:])
