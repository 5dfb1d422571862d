"""A ClientHello of our own, to ask a server what it would speak: versions and ciphers that no library offers any more.

Only the server's first flight is read: its choice, or its alert; below TLS 1.3 also whether it asks for a certificate.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from dataclasses import dataclass
from typing import Final

from ringfence.engine.places import Endpoint
from ringfence.transport.sockets import connected_socket, is_address

SSL3, TLS10, TLS11, TLS12, TLS13 = 0x0300, 0x0301, 0x0302, 0x0303, 0x0304
VERSIONS: Final = {SSL3: "SSL 3.0", TLS10: "TLS 1.0", TLS11: "TLS 1.1", TLS12: "TLS 1.2", TLS13: "TLS 1.3"}

MODERN = (0x1301, 0x1302, 0x1303)
"""The suites of TLS 1.3."""

GOOD = (0xC02B, 0xC02C, 0xC02F, 0xC030, 0xCCA8, 0xCCA9, 0x009E, 0x009F, 0xCCAA)
"""Of TLS 1.2, with forward secrecy and authenticated encryption (RFC 9325 section 4.2)."""

FORWARD_CBC = (0xC009, 0xC00A, 0xC013, 0xC014, 0xC023, 0xC024, 0xC027, 0xC028, 0x0033, 0x0039, 0x0067, 0x006B)
STATIC_RSA = (0x002F, 0x0035, 0x003C, 0x003D, 0x009C, 0x009D, 0x0041, 0x0084)
ANONYMOUS = (0x0018, 0x001B, 0x0034, 0x003A, 0x006C, 0x006D, 0x00A6, 0x00A7, 0xC016, 0xC017, 0xC018, 0xC019)
NO_ENCRYPTION = (0x0001, 0x0002, 0x003B, 0xC001, 0xC006, 0xC00B, 0xC010, 0xC015)
EXPORT = (0x0003, 0x0006, 0x0008, 0x000B, 0x000E, 0x0011, 0x0014, 0x0017, 0x0019)
BROKEN = (0x0004, 0x0005, 0xC007, 0xC011, 0x0009, 0x0015, 0x000A, 0x0016, 0xC008, 0xC012)
"""RC4, DES and triple DES (RFC 7465, RFC 9325 section 4.1)."""

ANY = (*GOOD, *FORWARD_CBC, *STATIC_RSA, *BROKEN)

MAX_FLIGHT = 65_536
"""Octets read of a server's flight: its certificates are a few kilobytes."""

_RETRY: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""The random of a HelloRetryRequest, which is a choice too (RFC 8446 section 4.1.3)."""


@dataclass(slots=True)
class Flight:
    """What a server said first. ``version`` 0: it chose nothing."""

    version: int = 0
    cipher: int = 0
    alert: int = -1
    asks_certificate: bool = False
    complete: bool = False


def client_hello(version: int, ciphers: tuple[int, ...], server_name: str) -> bytes:
    """A ClientHello of at most this version."""
    suites = struct.pack(f">{len(ciphers)}H", *ciphers)
    body = struct.pack(">H", min(version, TLS12)) + os.urandom(32) + bytes([32]) + os.urandom(32)
    body += struct.pack(">H", len(suites)) + suites + b"\x01\x00"
    if version > SSL3:
        extensions = _extensions(version, server_name)
        body += struct.pack(">H", len(extensions)) + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    record = TLS10 if version > SSL3 else SSL3
    return struct.pack(">BHH", 22, record, len(message)) + message


def _extensions(version: int, server_name: str) -> bytes:
    groups = struct.pack(">5H", 8, 29, 23, 24, 25)  # x25519, P-256, P-384, P-521
    algorithms = (
        0x0403,
        0x0503,
        0x0603,
        0x0807,
        0x0804,
        0x0805,
        0x0806,
        0x0401,
        0x0501,
        0x0601,
        0x0203,
        0x0201,
    )
    signatures = struct.pack(f">H{len(algorithms)}H", 2 * len(algorithms), *algorithms)
    parts = [_extension(10, groups), _extension(11, b"\x01\x00"), _extension(13, signatures)]
    if server_name and not is_address(server_name):
        name = server_name.encode("idna")
        parts.append(_extension(0, struct.pack(">HBH", len(name) + 3, 0, len(name)) + name))
    if version == TLS13:
        parts.append(_extension(43, b"\x02\x03\x04"))
        parts.append(_extension(51, struct.pack(">HHH", 36, 29, 32) + os.urandom(32)))
        parts.append(_extension(45, b"\x01\x01"))
    return b"".join(parts)


def _extension(kind: int, data: bytes) -> bytes:
    return struct.pack(">HH", kind, len(data)) + data


def read_flight(data: bytes) -> Flight:
    """What has come so far."""
    flight = Flight()
    messages = bytearray()
    place = 0
    while place + 5 <= len(data):
        kind, _, length = struct.unpack_from(">BHH", data, place)
        fragment = data[place + 5 : place + 5 + length]
        if len(fragment) < length:
            break
        place += 5 + length
        if kind == 22:
            messages += fragment
        elif kind == 21 and length >= 2:
            flight.alert = fragment[1]
            flight.complete = True
    _read_messages(bytes(messages), flight)
    return flight


def _read_messages(data: bytes, flight: Flight) -> None:
    place = 0
    while place + 4 <= len(data):
        kind, length = data[place], int.from_bytes(data[place + 1 : place + 4], "big")
        body = data[place + 4 : place + 4 + length]
        if len(body) < length:
            return
        place += 4 + length
        if kind == 2:
            _read_choice(body, flight)
        elif kind == 13:
            flight.asks_certificate = True
        elif kind == 14:
            flight.complete = True
        if flight.version == TLS13:
            flight.complete = True  # the rest is encrypted
            return


def _read_choice(body: bytes, flight: Flight) -> None:
    if len(body) < 38:
        return
    flight.version = int.from_bytes(body[:2], "big")
    after = 35 + body[34]
    flight.cipher = int.from_bytes(body[after : after + 2], "big")
    if body[2:34] == _RETRY:
        flight.version = TLS13
    place = after + 5
    while place + 4 <= len(body):
        kind, length = struct.unpack_from(">HH", body, place)
        if kind == 43 and length == 2:
            flight.version = int.from_bytes(body[place + 4 : place + 6], "big")
        place += 4 + length


async def offer(
    endpoint: Endpoint, version: int, ciphers: tuple[int, ...], server_name: str, wait: float
) -> Flight:
    """Offer one version and some ciphers, and see what a server makes of it. Raises OSError."""
    flight = Flight()
    try:
        async with asyncio.timeout(wait):
            sock = await connected_socket(endpoint, None)
            with sock:
                await asyncio.get_running_loop().sock_sendall(
                    sock, client_hello(version, ciphers, server_name)
                )
                await _read(sock, flight)
    except TimeoutError:
        pass
    except ConnectionResetError:
        flight.complete = True
    return flight


async def _read(sock: socket.socket, flight: Flight) -> None:
    data = b""
    while not flight.complete and len(data) < MAX_FLIGHT:
        more = await asyncio.get_running_loop().sock_recv(sock, 16_384)
        if not more:
            return
        data += more
        found = read_flight(data)
        flight.version, flight.cipher, flight.alert = found.version, found.cipher, found.alert
        flight.asks_certificate, flight.complete = found.asks_certificate, found.complete
