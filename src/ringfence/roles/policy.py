"""The decisions that steps read, and the rooms that they may enter. Filled in once by ``service/wiring``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from ringfence.guard.gate import Guard
from ringfence.guard.guesses import Guesses
from ringfence.guard.neighbours import Neighbours, Offer
from ringfence.guard.overload import Overload
from ringfence.message import SipUri, TelUri, Uri
from ringfence.message.fields.security_agreement import Mechanism
from ringfence.roles.addresses import Addresses
from ringfence.roles.anchors import Anchors
from ringfence.roles.bodies import Rule
from ringfence.roles.bridge.bridges import Bridges
from ringfence.roles.charging import Charging
from ringfence.roles.directory import Directory
from ringfence.roles.hiding import Hiding
from ringfence.roles.hops import Hops
from ringfence.roles.identity import Signing, Strangers, Verification
from ringfence.roles.malware import Malware
from ringfence.roles.media import MediaPlane
from ringfence.roles.peers import NO_PEERS, Peers
from ringfence.roles.remote import Remote
from ringfence.roles.signatures import Authorities
from ringfence.security.digest import STRONG, Algorithm, UriCheck
from ringfence.security.nonces import NcWindow, Nonces
from ringfence.store.ports import Accounts, Bindings
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


class AgreementMode(StrEnum):
    """Whether phones agree with us on the security of their first hop (RFC 3329)."""

    OFF = "off"
    OFFER = "offer"
    """Those that ask for it."""

    REQUIRE = "require"
    """All that come without TLS: what is not protected by agreement is refused."""


class Fork(StrEnum):
    """In which order the contacts of a user are tried (RFC 3261 section 16.6)."""

    PARALLEL = "parallel"
    """All at once."""

    SEQUENTIAL = "sequential"
    """Those of the highest q together, then those of the next."""


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
    port_algorithms: dict[int, tuple[Algorithm, ...]] = field(default_factory=dict)
    """Instead of ``algorithms``, for what comes to these ports: phones that know only MD5, and stop at the first
    challenge they do not know, need a port of their own. By account it would tell who exists."""

    uri_check: UriCheck = UriCheck.EXACT
    unauthenticated_methods: frozenset[str] = frozenset()
    """Methods that anybody may send to our domain without credentials, as if all came from strangers."""

    agreement: AgreementMode = AgreementMode.OFF
    mechanisms: tuple[Mechanism, ...] = ()
    """What we offer in an agreement: Security-Server, the preferred first."""

    user_authorities: frozenset[bytes] = frozenset()
    """Certificates (DER) of the authorities whose user certificates prove an account: our own, and no other."""

    bodies: tuple[Rule, ...] = ()
    """Destinations that want what is sent to them signed or encrypted end to end."""

    worker_mark: str = ""
    """URI parameter of our Record-Route that names this worker, where several share the ports."""

    authorities: Authorities = Authorities()  # noqa: RUF009  (immutable)
    """Who may vouch for the signers of bodies, where their signature is looked at."""

    hiding: Hiding | None = None
    """What is not shown to those outside; None: everything is shown."""

    peers: Peers = NO_PEERS
    core: str = ""
    """The Route of the core behind this edge; empty: this node is the registrar itself."""

    border: str = ""
    """The Route of the proxy that what leaves the domain goes through; empty: it goes where DNS says."""

    require_tls: bool = False
    record_route: bool = True
    fork: Fork = Fork.PARALLEL
    max_breadth: int = 60
    max_forwards: int = 70
    overload_offer: Offer | None = None
    """How next hops are offered overload control (RFC 7339); None: they are not."""

    emergency_numbers: frozenset[str] = frozenset()
    """User parts of Request-URIs that are calls for help."""

    priority_namespaces: frozenset[str] = frozenset()
    """Namespaces of Resource-Priority (RFC 4412) that go first, of those who are known."""

    timer_c: float = 185.0
    """Seconds that an INVITE may ring: more than three minutes (RFC 3261 section 16.6 step 11)."""

    registrar: RegistrarPolicy = field(default_factory=RegistrarPolicy)

    def canonical(self, uri: SipUri) -> str:
        """The address-of-record that a URI of ours stands for (RFC 3261 section 10.3 step 5).

        By whatever name the domain was written: an alias of it, or a name or address of this node.
        """
        aor = uri.aor
        if uri.host == self.domain:
            return aor
        return f"{aor.rpartition('@')[0]}@{self.domain}" if uri.user else f"sip:{self.domain}"

    def address_of(self, uri: Uri) -> str:
        """Any URI as accounts have it among their addresses: canonical text, without parameters."""
        if isinstance(uri, SipUri):
            return self.canonical(uri) if self.is_ours(uri) else uri.aor
        return f"tel:{uri.number}" if isinstance(uri, TelUri) else str(uri)

    def algorithms_for(self, flow: Flow) -> tuple[Algorithm, ...]:
        """The digest algorithms that are offered and accepted on a flow, best first."""
        return (
            self.port_algorithms.get(flow.local.port, self.algorithms)
            if self.port_algorithms
            else self.algorithms
        )

    def is_domain(self, host: str) -> bool:
        """Whether a host is a domain of ours; the dot of the root makes no difference."""
        return host in self.domains or host.removesuffix(".") in self.domains

    def is_ours(self, uri: SipUri) -> bool:
        """Whether the address belongs to a domain of ours, or is written with a name or address of this node."""
        return self.is_domain(uri.host) or self.addresses.means_us(uri)


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

    verification: Verification | None = None
    """How signatures of callers are verified; None: they are not."""

    signing: Signing | None = None
    """How calls that leave are signed; None: they are not."""

    strangers: Strangers | None = None
    """How callers from outside are received; None: all alike."""

    remote: Remote | None = None
    """Who knows the passwords, where that is not our own store."""

    hops: Hops | None = None
    """Phones that come under IPsec; None: no port is for them."""

    bridges: Bridges | None = None
    """The private calls; None: no privacy is given that takes a back-to-back user agent."""

    directory: Directory | None = None
    """The certificates of our users, for whoever wants to encrypt to them; None: nobody is told any."""

    charging: Charging | None = None
    """How calls are recorded and limited; None: they are not."""

    media: MediaPlane | None = None
    """What relays media; None: nothing does."""

    anchors: Anchors | None = None
    """Which calls have their media led through our relay; None: none."""

    guard: Guard | None = None
    """Who counts what sources and accounts send; None: nobody."""

    guesses: Guesses | None = None
    """Who slows down guessing at accounts from many addresses; None: nobody."""

    overload: Overload | None = None
    """How much new work is taken; None: all of it."""

    neighbours: Neighbours | None = None
    """How much next hops want to be sent; None: whatever there is."""

    malware: Malware | None = None
    """Who looks for malware in bodies; None: nobody."""

    def new_nonce(self, flow: Flow) -> str:
        """A nonce for the peer at the other end of a flow."""
        return self.nonces.make(self.clock(), nonce_binding(flow))


def nonce_binding(flow: Flow) -> str:
    """What a nonce is tied to: the connection, or for UDP the address (a NAT may change the port)."""
    return flow.key if flow.reliable else flow.remote.host
