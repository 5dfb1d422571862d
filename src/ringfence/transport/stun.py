"""The STUN that RFC 5626 section 8 needs: Binding Requests on the SIP port over UDP (RFC 5389).

Phones with Outbound over UDP use it to keep their NAT binding and to notice when it has moved. The answer is
hardly longer than the question, so it is of no use to amplify an attack.
"""

from __future__ import annotations

import socket
import struct
import zlib

MAX_REQUEST = 548
"""Longest request that is read: what RFC 5389 section 7.1 lets a client send without knowing the path MTU."""

COOKIE = 0x2112A442
_BINDING_REQUEST = 0x0001
_BINDING_RESPONSE = 0x0101
_BINDING_ERROR = 0x0111
_ERROR_CODE = 0x0009
_UNKNOWN_ATTRIBUTES = 0x000A
_XOR_MAPPED_ADDRESS = 0x0020
_FINGERPRINT = 0x8028
_FINGERPRINT_XOR = 0x5354554E
# Attributes that must be understood and that we may pass over: RFC 5626 needs none, and nothing here is a
# secret that USERNAME, MESSAGE-INTEGRITY, REALM and NONCE would guard. The rest mean nothing in a request.
_PASSED_OVER = frozenset({0x0001, 0x0006, 0x0008, 0x0009, 0x000A, 0x0014, 0x0015, 0x0020})


def answer(data: bytes, host: str, port: int) -> bytes | None:
    """The response to a Binding Request that came from this address; None for anything else.

    ``host`` is IPv4 or IPv6 text, a zone after ``%`` is ignored.
    """
    if not 20 <= len(data) <= MAX_REQUEST:
        return None
    kind, length, cookie = struct.unpack_from("!HHI", data)
    if kind != _BINDING_REQUEST or cookie != COOKIE or length != len(data) - 20 or length % 4:
        return None
    transaction = data[8:20]
    unknown: list[int] = []
    position = 20
    while position < len(data):
        name, size = struct.unpack_from("!HH", data, position)
        if position + 4 + size > len(data):
            return None
        if name == _FINGERPRINT and not _fingerprint_holds(data, position, size):
            return None
        if name < 0x8000 and name not in _PASSED_OVER:
            unknown.append(name)
        position += 4 + (size + 3) // 4 * 4
    if unknown:
        return _unknown_attributes(transaction, unknown)
    return _message(_BINDING_RESPONSE, transaction, _xor_mapped_address(transaction, host, port))


def binding_request(transaction: bytes) -> bytes:
    """A Binding Request without attributes (RFC 5626 section 8); ``transaction`` is 12 random bytes."""
    return _message(_BINDING_REQUEST, transaction, b"")


def mapped_address(data: bytes) -> tuple[str, int] | None:
    """The XOR-MAPPED-ADDRESS of a Binding Response; None for anything else, errors included."""
    if not 20 <= len(data) <= MAX_REQUEST:
        return None
    kind, length, cookie = struct.unpack_from("!HHI", data)
    if kind != _BINDING_RESPONSE or cookie != COOKIE or length != len(data) - 20:
        return None
    position = 20
    while position + 4 <= len(data):
        name, size = struct.unpack_from("!HH", data, position)
        value = data[position + 4 : position + 4 + size]
        if (
            name == _XOR_MAPPED_ADDRESS
            and len(value) == size
            and size in {8, 20}
            and value[1] == (size > 8) + 1
        ):
            address = _mixed(value[4:], data[8:20])
            family = socket.AF_INET6 if size == 20 else socket.AF_INET
            port: int = struct.unpack_from("!H", value, 2)[0]
            return socket.inet_ntop(family, address), port ^ COOKIE >> 16
        position += 4 + (size + 3) // 4 * 4
    return None


def _fingerprint_holds(data: bytes, position: int, size: int) -> bool:
    """RFC 5389 section 15.5: the last attribute, a CRC over all that stands before it."""
    if size != 4 or position + 8 != len(data):
        return False
    (value,) = struct.unpack_from("!I", data, position + 4)
    return bool(value == zlib.crc32(data[:position]) ^ _FINGERPRINT_XOR)


def _xor_mapped_address(transaction: bytes, host: str, port: int) -> bytes:
    """RFC 5389 section 15.2."""
    family = 2 if ":" in host else 1
    packed = socket.inet_pton(socket.AF_INET6 if family == 2 else socket.AF_INET, host.partition("%")[0])
    head = struct.pack("!HHBBH", _XOR_MAPPED_ADDRESS, 4 + len(packed), 0, family, port ^ COOKIE >> 16)
    return head + _mixed(packed, transaction)


def _mixed(address: bytes, transaction: bytes) -> bytes:
    mask = struct.pack("!I", COOKIE) + transaction
    return bytes(a ^ b for a, b in zip(address, mask, strict=False))


def _unknown_attributes(transaction: bytes, unknown: list[int]) -> bytes:
    """Error 420 (RFC 5389 section 7.3.1)."""
    names = struct.pack(f"!{len(unknown)}H", *unknown)
    attributes = struct.pack("!HHHBB", _ERROR_CODE, 4, 0, 4, 20)
    attributes += struct.pack("!HH", _UNKNOWN_ATTRIBUTES, len(names)) + names + bytes(-len(names) % 4)
    return _message(_BINDING_ERROR, transaction, attributes)


def _message(kind: int, transaction: bytes, attributes: bytes) -> bytes:
    return struct.pack("!HHI", kind, len(attributes), COOKIE) + transaction + attributes
