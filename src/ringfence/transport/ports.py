"""Pairs of UDP ports for media: an even one for RTP and the next for RTCP (RFC 3550 section 11)."""

from __future__ import annotations

import errno
import secrets
import socket
from collections.abc import Iterator

from ringfence.message import LocalError

__all__ = ["bind_pair"]

EPHEMERAL_ATTEMPTS = 64
"""Half of the kernel's picks are odd, and few even ones have a neighbour in use: this many never fail in practice."""


def bind_pair(host: str, ports: range | None = None) -> tuple[socket.socket, socket.socket]:
    """Two bound sockets, for RTP and RTCP, on neighbouring ports of this address.

    With a range, only its even ports are tried, from a random one on, since ports that can be guessed make
    media easier to inject. Without, the kernel picks.

    Raises:
        LocalError: No pair is free, or the address is not ours.
    """
    for port in _candidates(ports):
        try:
            rtp = _bind(host, port)
        except OSError as error:
            if port == 0 or error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise LocalError(f"cannot receive media on {host}: {error.strerror}") from error
            continue
        port = rtp.getsockname()[1]
        if port % 2 == 0:
            try:
                return rtp, _bind(host, port + 1)
            except OSError:
                pass  # the neighbour is in use: try the next
        rtp.close()
    where = f"between {ports.start} and {ports.stop - 1}" if ports else f"on {host}"
    raise LocalError(f"no free pair of media ports {where}: allow more ports, or fewer calls")


def _candidates(ports: range | None) -> Iterator[int]:
    if ports is None:
        yield from [0] * EPHEMERAL_ATTEMPTS
        return
    even = range(ports.start + ports.start % 2, ports.stop - 1, 2)
    first = secrets.randbelow(len(even)) if even else 0
    for number in range(len(even)):
        yield even[(first + number) % len(even)]


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    udp = socket.socket(family, socket.SOCK_DGRAM)
    try:
        udp.setblocking(False)
        if family == socket.AF_INET6:
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        udp.bind((host, port))
    except OSError:
        udp.close()
        raise
    return udp
