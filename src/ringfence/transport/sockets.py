"""Sockets with the options that SIP wants."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

from ringfence.transport.flow import Endpoint

DEAD_PEER_TIME = 30
"""Seconds that sent bytes may stay unacknowledged before a TCP connection counts as broken: about 64*T1
(RFC 3261 section 17.1.1.2), after which every transaction on it would have failed anyway."""

PROBE_TIME = 300
"""Seconds of silence before the kernel asks whether a TCP peer still is there, so that a phone that vanished
is found before the next call for it; more often would wake phones on battery."""


def bound_socket(kind: socket.SocketKind, host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """A socket bound to an address. An IPv6 socket takes IPv6 only: each address family has its listener.

    Raises:
        OSError: with the address in its message.
    """
    family = family_of(host)
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _watch_for_dead_peers(sock)  # accepted sockets inherit it
        sock.bind(_address(host, port))
    except OSError as error:
        sock.close()
        where = Endpoint(host, port)
        raise OSError(error.errno, f"cannot listen on {where}: {error.strerror or error}") from error
    return sock


async def connected_socket(remote: Endpoint, local: Endpoint | None) -> socket.socket:
    """A TCP connection to an address, from ``local`` if that is given; its port 0 is any.

    Raises:
        OSError: when it cannot be made.
    """
    sock = socket.socket(family_of(remote.host), socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _watch_for_dead_peers(sock)
        if local is not None:
            if local.port:  # several peers are reached from it
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(_address(*local))
        await asyncio.get_running_loop().sock_connect(sock, _address(*remote))
    except BaseException:
        sock.close()
        raise
    return sock


def family_of(host: str) -> socket.AddressFamily:
    """Of address text."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def is_address(host: str) -> bool:
    """Whether text is an IPv4 address, or an IPv6 one without brackets; a zone may follow that."""
    try:
        socket.inet_pton(family_of(host), host.partition("%")[0])
    except (OSError, ValueError):
        return False
    return True


def _address(host: str, port: int) -> tuple[Any, ...]:
    if "%" in host:  # an IPv6 zone is resolved to its number
        return socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)[0][4]
    return (host, port)


def _watch_for_dead_peers(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_TIME)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_TIME * 1000)


def address_toward(host: str) -> str:
    """The address of this machine that packets to a host leave from: the host itself if it is ours, "" without a way.

    Nothing is sent: a UDP socket is only connected.
    """
    with socket.socket(family_of(host), socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def own_address(family: int) -> str:
    """The address of this machine that the network sees, by the kernel's routes; loopback where there is no other.

    Nothing is sent: a UDP socket is only connected, to an address for documentation (RFC 5737, RFC 3849).
    """
    far = ("192.0.2.1", 9) if family == socket.AF_INET else ("2001:db8::1", 9)
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(far)
        except OSError:
            return "127.0.0.1" if family == socket.AF_INET else "::1"
        return str(probe.getsockname()[0])
