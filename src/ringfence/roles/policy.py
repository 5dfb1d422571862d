"""The decisions that steps read, and the rooms that they may enter. Filled in once by ``service/wiring``."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from ringfence.message import SipUri
from ringfence.message.grammar import unescape
from ringfence.roles.addresses import Addresses
from ringfence.security.digest import STRONG, Algorithm, UriCheck
from ringfence.security.nonces import NcWindow, Nonces
from ringfence.store.ports import Accounts, Bindings

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringfence.transport.driver import Driver
    from ringfence.transport.flow import Flow
    from ringfence.transport.resolver import Resolver


class ChallengeMode(StrEnum):
    """When a request is challenged."""

    FIRST = "first"
    """Not again on a TLS flow that has authenticated, while it lives."""

    EVERY_REQUEST = "every-request"

    NONE = "none"
    """Never: anybody may register and call. For benchmarks and laboratories; ``ringfence check`` refuses it."""


class FlowReuse(StrEnum):
    """When a registered contact is reached over the connection that it registered on."""

    ALWAYS = "always"
    """While the connection lives: phones rarely have a certificate, or a port that is open to us."""

    OUTBOUND = "outbound"
    """Only where the phone asked for it (RFC 5626) or cannot be reached otherwise."""


@dataclass(slots=True)
class RegistrarPolicy:
    """Bounds on registrations, in seconds and counts (RFC 3261 section 10.3)."""

    min_expires: int = 60
    default_expires: int = 3600
    max_expires: int = 7200
    max_contacts: int = 10
    flow_reuse: FlowReuse = FlowReuse.ALWAYS
    service_route: tuple[str, ...] = ()
    """URIs that a phone is told to send its requests by (RFC 3608)."""


@dataclass(slots=True)
class Policy:
    """What this node has decided. Each default is the secure one."""

    domain: str
    """The domain whose accounts these are, in lower case."""

    domains: frozenset[str]
    """Every domain that this node is responsible for: ``domain`` and its aliases, whose users are the same."""

    realm: str
    addresses: Addresses
    secret: bytes
    """Key of flow tokens, dialog tokens and loop hashes: 32 random bytes, the same on every worker."""

    challenge: ChallengeMode = ChallengeMode.FIRST
    algorithms: tuple[Algorithm, ...] = STRONG
    uri_check: UriCheck = UriCheck.EXACT
    require_tls: bool = False
    record_route: bool = True
    max_breadth: int = 60
    max_forwards: int = 70
    timer_c: float = 185.0
    """Seconds that an INVITE may ring: more than three minutes (RFC 3261 section 16.6 step 11)."""

    registrar: RegistrarPolicy = field(default_factory=RegistrarPolicy)

    def canonical(self, uri: SipUri) -> str:
        """The address-of-record that a URI of ours stands for (RFC 3261 section 10.3 step 5)."""
        return f"sip:{unescape(uri.user or '')}@{self.domain}"

    def is_ours(self, uri: SipUri) -> bool:
        """Whether the address belongs to a domain of ours, or is written with a name or address of this node."""
        return uri.host in self.domains or self.addresses.means_us(uri)


@dataclass(slots=True)
class Services:
    """The rooms below that steps use."""

    policy: Policy
    accounts: Accounts
    bindings: Bindings
    nonces: Nonces
    nonce_counts: NcWindow
    gruu_key: bytes
    """Key of temporary GRUUs: 32 octets."""

    driver: Driver
    resolver: Resolver
    clock: Callable[[], float]
    """Wall clock, seconds since the epoch."""

    def new_nonce(self, flow: Flow) -> str:
        """A nonce for the peer at the other end of a flow."""
        return self.nonces.make(self.clock(), nonce_binding(flow))


def nonce_binding(flow: Flow) -> str:
    """What a nonce is tied to: the connection, or for UDP the address (a NAT may change the port)."""
    return flow.key if flow.reliable else flow.remote.host
