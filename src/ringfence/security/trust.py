"""The trust domain (RFC 3324): which neighbours are believed when they say who calls.

A node is inside when two things hold: it has proven a name or an address that this domain lists, and nobody
could have spoken in its place. The second is TLS with a verified certificate, or a network that the operator
has declared to be physically closed. Everything else is outside, whatever it says of itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import NamedTuple

from ringfence.security.reasons import Reason, Reasons


class Distrust(StrEnum):
    """Why a neighbour is outside."""

    NAME = "name"
    NO_CERTIFICATE = "no certificate"
    PLAINTEXT = "plaintext"
    ADDRESS = "address"


class TrustDomain(NamedTuple):
    """What the operator lists: the nodes that comply with this domain's Spec(T) (RFC 3324 section 2.3)."""

    names: frozenset[str] = frozenset()
    """SIP domain names (RFC 5922) of nodes, lower case."""
    closed_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks whose nodes are believed by their address alone, also without TLS: a lab, a dedicated link."""


class Neighbour(NamedTuple):
    """What is known of the node at the other end of a flow."""

    address: str
    secure: bool
    names: frozenset[str] = frozenset()
    """SIP domain identities of its certificate, when the chain was verified; else empty."""


class Trust(NamedTuple):
    """The decision, with what it rests on, or why not."""

    inside: bool
    evidence: str
    reasons: Reasons


def judge_neighbour(domain: TrustDomain, neighbour: Neighbour) -> Trust:
    """Whether a neighbour is inside the trust domain (RFC 3325 section 5, RFC 3324 section 4)."""
    shared = neighbour.names & domain.names
    if neighbour.secure and shared:
        return Trust(True, f"TLS certificate for {min(shared)}", ())
    network = _closed_network(domain, neighbour.address)
    if network is not None:
        return Trust(True, f"address in the closed network {network}", ())
    return Trust(False, "", tuple(_distrust(neighbour)))


def _closed_network(domain: TrustDomain, address: str) -> IPv4Network | IPv6Network | None:
    if not domain.closed_networks:
        return None
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    # An IPv4 peer on a dual-stack socket shows as ::ffff:192.0.2.1.
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return next((network for network in domain.closed_networks if parsed in network), None)


def _distrust(neighbour: Neighbour) -> Iterable[Reason]:
    if not neighbour.secure:
        yield Reason(Distrust.PLAINTEXT, "the flow is not TLS, so its address proves nothing")
    elif not neighbour.names:
        yield Reason(Distrust.NO_CERTIFICATE, "no verified certificate names a SIP domain")
    else:
        listed = ", ".join(sorted(neighbour.names)[:4])
        yield Reason(Distrust.NAME, f"{listed} is not in the trust domain")
    yield Reason(Distrust.ADDRESS, f"{neighbour.address} is in no closed network")
