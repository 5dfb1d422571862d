"""What a UDP socket is read and written by: compiled where it can be (``_datagrams``), else in Python.

Addresses are octets as the kernel has them (struct sockaddr), so that a datagram of a peer that is known needs no text
made of its address, nor of text an address.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any, Protocol

from ringfence.message.framing import FIRST_OCTETS

Address = tuple[Any, ...]
"""(host, port) for IPv4, (host, port, flow label, scope) for IPv6, as Python has them."""

MAX_BURST = 32
"""Datagrams read before other sockets and timers get their turn."""

MAX_DATAGRAM = 65_535
"""What IP can carry (RFC 3261 section 18.1.1)."""

Failed = Callable[[bytes, bytes, OSError], None]
"""Told of a datagram that was not sent: what, to where, and why."""

Send = Callable[[bytes], None]
Met = Callable[[bytes], Any]
Take = Callable[[bytes, Any], None]


class Datagrams(Protocol):
    """The datagrams of one socket. What is sent between ``hold`` and ``release`` leaves then, in order."""

    def receive(self) -> list[tuple[bytes, bytes]]:
        """What is there, up to ``MAX_BURST`` of (datagram, address). Raises OSError."""

    def send(self, data: bytes, address: bytes) -> None:
        """Send one datagram at once. Raises OSError."""

    def post(self, data: bytes, address: bytes) -> None:
        """Send one datagram, now or with others; what goes wrong is told to ``Failed``."""

    def way(self, address: bytes) -> Send:
        """A function that posts to one address."""

    def hand_up(
        self, found: list[tuple[bytes, bytes]], flows: dict[Any, Any], met: Met, received: Take, odd: Take
    ) -> None:
        """Tell what was received, with the flow of its address: what begins like SIP, and what is ``odd``.

        ``met`` gives the flow of an address that is not among ``flows``.
        """

    def hold(self) -> None:
        """Keep what is posted until ``release``."""

    def release(self) -> None:
        """Send what was kept."""


class PlainDatagrams:
    """One system call for each datagram, as every machine has it."""

    def __init__(self, sock: socket.socket, failed: Failed) -> None:
        self._socket = sock
        self._failed = failed
        self._held = False
        self._waiting: list[tuple[bytes, bytes]] = []

    def receive(self) -> list[tuple[bytes, bytes]]:
        """What is there, up to ``MAX_BURST`` of (datagram, address). Raises OSError."""
        found: list[tuple[bytes, bytes]] = []
        try:
            while len(found) < MAX_BURST:
                data, address = self._socket.recvfrom(MAX_DATAGRAM)
                found.append((data, packed(address)))
        except BlockingIOError:
            pass
        except OSError:
            if not found:
                raise
        return found

    def send(self, data: bytes, address: bytes) -> None:
        """Send one datagram at once. Raises OSError."""
        self._socket.sendto(data, unpacked(address))

    def post(self, data: bytes, address: bytes) -> None:
        """Send one datagram, now or with others."""
        if self._held:
            self._waiting.append((data, address))
            return
        try:
            self.send(data, address)
        except OSError as error:
            self._failed(data, address, error)

    def way(self, address: bytes) -> Send:
        """A function that posts to one address."""
        return lambda data: self.post(data, address)

    def hand_up(
        self, found: list[tuple[bytes, bytes]], flows: dict[Any, Any], met: Met, received: Take, odd: Take
    ) -> None:
        """Tell what was received with the flow of its address: the busiest function of all."""
        for data, address in found:
            flow = flows.get(address) or met(address)
            if data and data[0] in FIRST_OCTETS:
                received(data, flow)
            else:
                odd(data, flow)

    def hold(self) -> None:
        """Keep what is posted until ``release``."""
        self._held = True

    def release(self) -> None:
        """Send what was kept."""
        self._held = False
        waiting, self._waiting = self._waiting, []
        for data, address in waiting:
            self.post(data, address)


def open_datagrams(sock: socket.socket, failed: Failed) -> Datagrams:
    """The quickest there is for a non-blocking socket."""
    try:
        from ringfence.transport._datagrams import NativeDatagrams, prepare
    except ImportError:  # not compiled, or from another version of the source
        return PlainDatagrams(sock, failed)
    prepare(FIRST_OCTETS)
    return NativeDatagrams(sock.fileno(), failed)


def packed(address: Address) -> bytes:
    """An address as octets."""
    host, port, *rest = address
    if ":" not in host:
        return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, socket.inet_aton(host))
    label, scope = rest or (0, 0)
    if "%" in host:
        found = socket.getaddrinfo(host, port, socket.AF_INET6, socket.SOCK_DGRAM, 0, socket.AI_NUMERICHOST)
        host, scope = str(found[0][4][0]), found[0][4][-1]
    octets = socket.inet_pton(socket.AF_INET6, host)
    return (
        struct.pack("=H", socket.AF_INET6)
        + struct.pack("!HI16s", port, label, octets)
        + struct.pack("=I", scope)
    )


def unpacked(address: bytes) -> Address:
    """Octets as an address."""
    (port,) = struct.unpack_from("!H", address, 2)
    if struct.unpack_from("=H", address)[0] == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, address[4:8]), port
    (label,) = struct.unpack_from("!I", address, 4)
    (scope,) = struct.unpack_from("=I", address, 24)
    return socket.inet_ntop(socket.AF_INET6, address[8:24]), port, label, scope
