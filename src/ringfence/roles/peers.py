"""The other domains, carriers and nodes of our own that the configuration names, and how each is known again.

A peer is known by a verified certificate for one of its names (RFC 5922), or by an address of a network that the
owner has declared to be its own. Whoever is neither is a stranger, whatever it says of itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

from ringfence.engine.places import SECURE
from ringfence.security.trust import Neighbour, TrustDomain, judge_neighbour
from ringfence.transport.flow import Flow, PeerCertificate
from ringfence.transport.tls import proves


class PeerRole(StrEnum):
    """What a peer is to us."""

    DOMAIN = "domain"
    """Another domain, or a carrier."""
    EDGE = "edge"
    """A node of our own network that has judged what it sends."""
    CORE = "core"
    """The node of our own network that has the registrar."""
    OUTBOUND = "outbound"
    """The node of our own network that what leaves goes through."""


@dataclass(slots=True, frozen=True)
class Peer:
    """One ``[[peer]]`` of the configuration."""

    name: str
    domain: str = ""
    """Its domain, in lower case; requests for it go to the peer. Empty for one that only sends to us."""

    names: frozenset[str] = frozenset()
    """Names that its certificate may have, the domain among them."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    transport: str = ""
    """``TLS``, ``TCP`` ...: how it is reached; empty: as DNS says. With TLS it comes by TLS, too."""

    trusted: bool = False
    """Whether its word on who is calling is believed (RFC 3325)."""

    role: PeerRole = PeerRole.DOMAIN

    roots: frozenset[bytes] = frozenset()
    """Authorities (DER) that alone may vouch for it; empty: any that TLS trusts."""

    domain_of_trust: TrustDomain = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "domain_of_trust", TrustDomain(self.names, self.networks))


class Peers:
    """All of them. False when there are none, so that a node without peers spends nothing on them."""

    __slots__ = ("_by_domain", "_names", "_nodes", "_peers")

    def __init__(self, peers: Iterable[Peer] = ()) -> None:
        self._peers = tuple(peers)
        self._names = frozenset(name for peer in self._peers for name in peer.names)
        self._by_domain = {peer.domain: peer for peer in self._peers if peer.domain}
        self._nodes = {
            name: peer for peer in self._peers if peer.role is not PeerRole.DOMAIN for name in peer.names
        }

    def __bool__(self) -> bool:
        return bool(self._peers)

    @property
    def roots(self) -> dict[str, frozenset[bytes]]:
        """The authorities that alone may vouch for a name, where there are such."""
        found: dict[str, frozenset[bytes]] = {}
        for peer in self._peers:
            if peer.roots:
                found |= {name: found.get(name, frozenset()) | peer.roots for name in peer.names}
        return found

    def recognise(self, flow: Flow) -> Peer | None:
        """Which peer is at the other end of a flow, or None. A trusted one before others."""
        certificate = flow.peer
        proven: frozenset[str] = frozenset()
        if certificate is not None and certificate.verified:
            proven = frozenset(name for name in self._names if proves(certificate, name))
        neighbour = Neighbour(flow.remote.host, flow.secure, proven)
        unproven = Neighbour(flow.remote.host, flow.secure)
        found = [
            peer
            for peer in self._peers
            if _by_its_transport(peer, flow)
            and judge_neighbour(
                peer.domain_of_trust, neighbour if _vouched_for(peer, certificate) else unproven
            ).inside
        ]
        return max(found, key=lambda peer: peer.trusted, default=None)

    def at(self, host: str) -> Peer | None:
        """The peer that requests for this domain go to, or None."""
        return self._by_domain.get(host)

    def trusted_at(self, flow: Flow, server_name: str) -> bool:
        """Whether what is sent on this flow reaches a trusted peer and nobody else.

        ``server_name`` is the domain that was dialled. Over TLS the connection carries nothing before the peer has
        proved it.
        """
        peer = self._by_domain.get(server_name) or self._nodes.get(server_name)
        if peer is not None and peer.trusted and flow.secure:
            # One that is being opened will have proved it, to an authority that may vouch for it (``Contexts.roots``).
            return flow.peer is None or _vouched_for(peer, flow.peer)
        known = self.recognise(flow)
        return known is not None and known.trusted


def _vouched_for(peer: Peer, certificate: PeerCertificate | None) -> bool:
    """Whether a certificate comes from an authority that may vouch for the peer.

    TLS trusts the authorities of all the domains that we federate with, and each of them could name any other.
    """
    return not peer.roots or (certificate is not None and certificate.chain[-1] in peer.roots)


def _by_its_transport(peer: Peer, flow: Flow) -> bool:
    """Whether a flow can be the peer's. Anybody can write its address into a datagram, and not into a connection."""
    if peer.transport in SECURE:
        return flow.secure
    return flow.reliable or peer.transport in ("", "UDP")


NO_PEERS = Peers()
