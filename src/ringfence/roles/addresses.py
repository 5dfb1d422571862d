"""Where this node listens, and how it names itself in Via, Record-Route and Contact."""

from __future__ import annotations

from typing import NamedTuple

from ringfence.engine.places import is_numeric
from ringfence.message import SipUri
from ringfence.message.ip import ip_address
from ringfence.transport.flow import Endpoint, Flow

MAX_TOLD = 1_000
"""Names of ours that are kept as told; a node has a few for each port."""

LOOPBACK = frozenset({"127.0.0.1", "::1"})
"""What a listener on all addresses has in any case. The others are learnt as they are used."""


class Listener(NamedTuple):
    """One open port, and the host that peers know it by (a name or an address, IPv6 in brackets)."""

    transport: str
    host: str
    port: int
    advertised: str


class Addresses:
    """All listeners of a node. Knows which URIs mean this node, and what to write for a given flow."""

    def __init__(
        self, listeners: list[Listener], names: frozenset[str] = frozenset(), *, by_name: bool = False
    ) -> None:
        """``by_name``: who is on this machine too is told the advertised name, as its certificate has it."""
        self.listeners = listeners
        self._by_name = by_name
        self._hosts = {_plain(name) for name in names}
        for listener in listeners:
            self._hosts.add(_plain(listener.advertised))
            self._hosts |= LOOPBACK if _is_wildcard(listener.host) else {_plain(listener.host)}
        self._ports = {listener.port for listener in listeners}
        self._at_usual_port = not self._ports.isdisjoint({5060, 5061})
        self._sent_by: dict[tuple[str, str, bool], str] = {}
        self._protected: dict[Endpoint, str] = {}
        self.told: set[str] = set()
        """Every ``host:port`` that was written into a Via or Record-Route: it certainly means this node."""

    def protect(self, own: Endpoint, client_port: int) -> None:
        """Phones under IPsec know us by this port alone; what we send from ``client_port`` names it too."""
        name = _bracketed(own)
        self._protected = {own: name, Endpoint(own.host, client_port): name}
        self._hosts.add(_plain(own.host))
        self._ports |= {own.port, client_port}

    def means_us(self, uri: SipUri) -> bool:
        """Whether the host and port of a Route or Request-URI are this node's.

        Without a port a name of ours always is. An address is when we have one of the usual ports: another server
        may be at the same address.
        """
        if uri.address not in self._hosts and not self._is_own_ipv6(uri.address):
            return False
        if uri.port is not None:
            return uri.port in self._ports
        return self._at_usual_port or not is_numeric(uri.address)

    def is_here(self, uri: SipUri, flow: Flow) -> bool:
        """Whether a Route means the very place that the request came to: after a restart nothing has been told yet."""
        return uri.address == flow.local.host and uri.port == flow.local.port

    def is_own_host(self, host: str) -> bool:
        """Whether a host, without port, is a name or address of this node."""
        host = host.strip("[]").lower()
        return host in self._hosts or self._is_own_ipv6(host)

    def _is_own_ipv6(self, host: str) -> bool:
        """Addresses of IPv6 have many spellings (RFC 5954 section 4.2)."""
        try:
            return ":" in host and str(ip_address(host)) in self._hosts
        except ValueError:  # a maddr may be any text
            return False

    def sent_by(self, flow: Flow) -> str:
        """``host:port`` for a Via or Record-Route on this flow: a port that we listen on, not an ephemeral one."""
        if self._protected and (protected := self._protected.get(flow.local)) is not None:
            return protected
        loopback = _is_loopback(flow.remote)
        key = (flow.transport, flow.local.host, loopback)
        found = self._sent_by.get(key)
        if found is None:
            found = self._sent_by[key] = self._make_sent_by(flow, loopback)
            if flow.remote.host and len(self.told) < MAX_TOLD:
                self.told.add(found)
                self._hosts.add(_plain(found.rpartition(":")[0]))  # it comes back in Route
        return found

    def _make_sent_by(self, flow: Flow, loopback: bool) -> str:
        best = max(self.listeners, key=lambda listener: _fit(listener, flow), default=None)
        if best is None or (best.transport != flow.transport and flow.local.port):
            return _bracketed(flow.local)
        # A connection that is not there yet, of a transport that has no port of ours, has no address of its own:
        # answers come by it, and what else is meant for us to a port that there is.
        host = best.advertised
        if loopback and _is_wildcard(best.host) and not self._by_name:
            host = "[::1]" if ":" in flow.remote.host else "127.0.0.1"
        elif _is_wildcard(best.host) and is_numeric(host.strip("[]")) and not _is_wildcard(flow.local.host):
            return _bracketed(Endpoint(flow.local.host, best.port))  # of several addresses, the one in use
        return f"{host}:{best.port}"


def _fit(listener: Listener, flow: Flow) -> int:
    """How well a listener stands for a flow: transport, then address, then family."""
    if listener.transport != flow.transport:
        return 0
    if listener.host == flow.local.host:
        return 4 if listener.port == flow.local.port else 3
    return 2 if (":" in listener.host) == (":" in flow.remote.host) else 1


def _bracketed(endpoint: Endpoint) -> str:
    return (
        f"[{endpoint.host}]:{endpoint.port}" if ":" in endpoint.host else f"{endpoint.host}:{endpoint.port}"
    )


def _plain(host: str) -> str:
    """As ``_hosts`` has it: lower case, without brackets, IPv6 by its value."""
    host = host.strip("[]").lower()
    return str(ip_address(host)) if ":" in host else host


def _is_wildcard(host: str) -> bool:
    return host in {"0.0.0.0", "::", ""}  # noqa: S104  (compared, not bound)


def _is_loopback(endpoint: Endpoint) -> bool:
    host = endpoint.host
    if host.startswith("127."):
        return True
    return ":" in host and ip_address(host.partition("%")[0]).is_loopback
