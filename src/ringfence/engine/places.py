"""Places to send to: endpoints, destinations, what a node prefers, and where a Via points."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_network
from typing import Final, NamedTuple

from ringfence.engine.records import Kind
from ringfence.message.fields.via import Via
from ringfence.message.ip import ip_address

# RFC 1918, RFC 6598, link-local; RFC 4193, link-local, site-local. The networks for documentation (RFC 5737, RFC 3849)
# are not among them: examples and laboratories use those as public ones.
_PRIVATE: Final = {
    4: tuple(
        map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"))
    ),
    6: tuple(map(ip_network, ("fc00::/7", "fe80::/10", "fec0::/10"))),
}

_IPV4 = re.compile(r"[0-9.]+").fullmatch


class Endpoint(NamedTuple):
    """An address and a port. ``host`` is address text, IPv6 without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Destination(NamedTuple):
    """One place to try. ``server_name`` is what its TLS certificate must prove; None without TLS."""

    transport: str
    endpoint: Endpoint
    server_name: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Preferences:
    """What this node can speak, best first. Told apart by identity: a node has one, and looks much up by it."""

    transports: tuple[str, ...] = ("TLS", "TCP", "UDP", "WSS", "WS")
    families: tuple[Kind, ...] = (Kind.AAAA, Kind.A)
    """In which order addresses of a dual-stack host are tried (RFC 7984 section 3.1, RFC 6724)."""


DEFAULT = Preferences()

DEFAULT_PORTS = {"UDP": 5060, "TCP": 5060, "TLS": 5061, "WS": 80, "WSS": 443}
"""RFC 3261 section 19.1.2 and RFC 7118 section 5.5."""

SECURE = frozenset({"TLS", "WSS"})


def response_endpoint(via: Via) -> Endpoint | None:
    """Where a response goes that has no connection to go back on, before the DNS is asked for anything.

    RFC 3261 section 18.2.2 and RFC 3581 section 4: over UDP the ``maddr``, else the address the request came
    from (``received``) with its port (``rport``) or that of the sent-by. None when the sent-by is a name.
    """
    unreliable = via.transport == "UDP"
    maddr = via.params.get("maddr") if unreliable else None
    host = bare_host(maddr or via.received or via.host)
    if not is_numeric(host):
        return None
    port = via.rport if unreliable and not maddr and via.received else None
    return Endpoint(host, port or via.port or DEFAULT_PORTS.get(via.transport, 5060))


def is_numeric(host: str) -> bool:
    """Whether a host is an address. Hosts of URIs are checked already: only addresses have such characters."""
    return ":" in host or (host[-1:].isdecimal() and _IPV4(host) is not None)


def bare_host(host: str) -> str:
    """In lower case, without the brackets of IPv6 and the dot of the root."""
    return host.strip("[]").removesuffix(".").lower()


@lru_cache(4096)
def is_private(host: str) -> bool:
    """Whether an address means something in one network only; False for a name."""
    try:
        ip = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return any(ip in network for network in _PRIVATE[ip.version])
