"""Where media may go, and where it may come from."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import ip_address

from ringfence.message import LocalError, PeerError

__all__ = ["Address", "checked", "sources"]

Address = tuple[str, int]

LOOPBACK = frozenset({"127.0.0.1", "::1"})


def checked(address: Address | None) -> Address | None:
    """The address in the one spelling that sockets use.

    Raises:
        LocalError: It is a name.
        PeerError: 488, it is that of a group.
    """
    if address is None:
        return None
    try:
        ip = ip_address(address[0])
    except ValueError:
        raise LocalError(f"{address[0]} is a name, not an address") from None
    if ip.is_multicast:
        raise PeerError(488, "media must not go to a group")
    return (str(ip), address[1])


def sources(remote: Address | None, also: Iterable[str]) -> frozenset[str]:
    """The hosts that packets of a peer at this address may come from.

    A peer on this machine may name any of its addresses and send from loopback: only this machine can do
    that.
    """
    if remote is None:
        return frozenset()
    hosts = {remote[0], *(str(ip_address(host)) for host in also)}
    return frozenset(hosts | LOOPBACK if _is_ours(remote[0]) else hosts)


def _is_ours(host: str) -> bool:
    """The address is one of this machine: a socket can be bound to it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        try:
            udp.bind((host, 0))
        except OSError:
            return False
    return True
