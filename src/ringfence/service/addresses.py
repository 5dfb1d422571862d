"""Addresses with ports, as a configuration writes them."""

from __future__ import annotations

import ipaddress
import socket
from functools import cache
from typing import NamedTuple


class Address(NamedTuple):
    """Where to listen or connect. IPv6 without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback


def parse_address(text: str) -> Address:
    """The parts of ``127.0.0.1:9090`` or ``[::1]:9090``. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") != host.endswith("]") or (":" in host and not host.startswith("[")):
        raise ValueError("an IPv6 address stands in brackets")
    host = str(ipaddress.ip_address(host.strip("[]")))
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("no port")
    return Address(host, int(port))


@cache
def all_addresses() -> tuple[str, ...]:
    """The wildcard addresses of this machine: IPv4, and IPv6 where there is any."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return ("0.0.0.0",)  # noqa: S104  # a SIP server is for the network
    return ("0.0.0.0", "::")  # noqa: S104
