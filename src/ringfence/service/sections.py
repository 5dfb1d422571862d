"""The sections of ringfence.toml: every key, its default and its meaning.

The docstring below a key is its documentation, here and in the reference that is made from it. A unit
stands in the key's name; an Expires value is in seconds, as RFC 3261 has it. Values are checked strictly:
"yes" is not a boolean and 1.0 is not a count.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from ringfence.service.addresses import Address, all_addresses, parse_address
from ringfence.service.values import (
    Count,
    FilePath,
    Host,
    HostPort,
    Many,
    Network,
    OptionalHostPort,
    Port,
    Seconds,
    Step,
    node_uri,
)

Role = Literal["edge", "core", "outbound", "redirect", "privacy"]
Algorithm = Literal["SHA-512-256", "SHA-256", "MD5"]
TransportName = Literal["udp", "tcp", "tls", "ws", "wss"]
Mechanism = Literal["tls", "digest", "ipsec-ike", "ipsec-man", "ipsec-3gpp"]
SECURE_TRANSPORTS = frozenset({"tls", "wss"})


class Section(BaseModel):
    """What all sections have in common: unknown keys are refused, and nothing changes after reading."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=True, use_attribute_docstrings=True
    )


class Domain(Section):
    """What this node is responsible for."""

    name: Annotated[Host, Field(examples=["example.org"])]
    """The domain in its users' addresses."""
    aliases: Many[Host] = ()
    """Other domains whose users are the same accounts."""
    realm: Annotated[str, Field(examples=["example.org"])] = ""
    """The digest realm; empty: the domain's name. Changing it makes every stored credential useless."""


class NodeSection(Section):
    """This process."""

    roles: Annotated[Many[Role], Field(min_length=1, max_length=1)] = ("edge",)
    """One of: edge: where phones and other domains are met, with the registrar unless `proxy.core` names one. core: the
    registrar behind edges, which serves only them. outbound: what leaves the domain goes through it. redirect:
    registrar and redirect server (RFC 3261 section 8.3), which forwards nothing. privacy: the privacy service, apart
    from everything else (docs/privacy.md)."""
    name: Host = "localhost"
    """The host name of this machine, for logs and bindings."""
    workers: Annotated[Count, Field(ge=1, le=64)] = 1
    """Processes that share the ports, one for each processor core that SIP may use. With more than one, the ports of
    metrics are counted up from the first, and the ledger has a chain for each."""
    data_dir: FilePath = Path("data")
    """Where the database, the control socket and the secrets of the node are."""
    advertise: Many[Host] = ()
    """Names or addresses of this node. The first goes into Via and Record-Route; all are known as our own in
    Route. Empty: the address a message came to."""


class Listen(Section):
    """One listening port."""

    transport: TransportName
    host: str = "*"
    """An address of this machine; "*": all of them, IPv4 and IPv6."""
    port: Port
    """0 takes a free port, for tests."""
    advertise: Host | None = None
    """What to put into Via and Record-Route for this port, instead of `node.advertise`."""
    certificate: FilePath | None = None
    """A certificate chain for this port only, instead of `tls.certificate`."""
    key: FilePath | None = None
    """The private key of that certificate."""
    algorithms: Many[Algorithm] = ()
    """Digest algorithms on this port instead of `security.algorithms`: for phones that know only MD5."""

    @property
    def secure(self) -> bool:
        """Whether the transport is over TLS."""
        return self.transport in SECURE_TRANSPORTS

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses to bind."""
        return all_addresses() if self.host == "*" else (self.host,)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.host != "*":
            try:
                ipaddress.ip_address(self.host)
            except ValueError:
                raise PydanticCustomError(
                    "listen_host",
                    "host must be an address of this machine, or *",
                    {"fix": 'write host = "*" or an address, and the name in advertise'},
                ) from None
        if (self.certificate is None) != (self.key is None):
            raise PydanticCustomError(
                "listen_key", "certificate and key go together", {"fix": "write both, or neither"}
            )
        return self


class Tls(Section):
    """Certificates. Reloaded by `ringfence reload` without dropping a connection."""

    certificate: FilePath = Path("tls/server.pem")
    """This node's certificate, followed by those between it and its root."""
    key: FilePath = Path("tls/server.key")
    """Its private key, readable by nobody else."""
    ca: FilePath | None = Path("tls/ca.pem")
    """The certificate of the private CA that `ringfence init` made. It is trusted, and whoever shows a user
    certificate of it is that user."""
    ca_key: FilePath | None = Path("tls/ca.key")
    """The private key of that CA, for `ringfence cert`. It may be kept on another machine."""
    trust: Many[FilePath] = ()
    """Further roots that other domains' certificates may come from: files of PEM."""
    system_trust: bool = True
    """Whether the roots of the operating system are trusted too."""
    client_certificates: Literal["optional", "required", "none"] = "optional"
    """Whether a connection that comes in is asked for a certificate. On WSS ports "optional" asks for none, since
    browsers end a WebSocket that they are asked for one on."""
    verify_servers: bool = True
    """Whether the other side of a connection that goes out must prove its name (RFC 5922). False trusts anybody:
    for benchmarks and laboratories."""
    min_version: Literal["1.2", "1.3"] = "1.2"
    """The oldest version of TLS that is spoken."""
    crl: Many[FilePath] = ()
    """Lists of revoked certificates: files of PEM, read again by reload."""
    revocation: Literal["off", "try", "require"] = "try"
    """What is done about revocation lists and OCSP responders that peers' certificates name: try asks them before a
    connection is used, and lets one pass whose status can't be known. require closes it. off: only `crl` counts."""


class Security(Section):
    """Who is let in, and how they prove who they are."""

    require_tls: bool = False
    """True: the udp, tcp and ws ports are not opened, and nothing is sent over them."""
    challenge: Literal["first", "every-request", "none"] = "first"
    """first: once for each TLS connection, and always where there is none. every-request: always. none:
    never; anybody can then call as anybody. For benchmarks and laboratories."""
    algorithms: Annotated[Many[Algorithm], Field(min_length=1)] = ("SHA-512-256", "SHA-256")
    """Digest algorithms, in the order they are offered. MD5 also needs an account that allows it."""
    nonce_lifetime_seconds: Seconds = 300.0
    """How long a nonce is good for."""
    agreement: Literal["off", "offer", "require"] = "off"
    """Security agreement (RFC 3329): with phones that come without TLS and ask for it (offer), or with all of them
    (require: others are answered 421). Whoever comes by TLS needs none."""
    mechanisms: Annotated[Many[Mechanism], Field(min_length=1, max_length=5)] = ("tls", "digest")
    """What is offered in an agreement, the preferred first: tls, digest, and where `ipsec` is set up ipsec-3gpp,
    ipsec-man and ipsec-ike."""
    uri_check: Literal["exact", "user-host"] = "exact"
    """How the digest's uri is compared with the Request-URI. user-host is for phones that leave out
    parameters."""
    unauthenticated_methods: Many[str] = ()
    """Methods that are let in without credentials, such as "OPTIONS", to addresses of our domain and nowhere
    else. ACK and CANCEL always are (RFC 3261 section 22.1)."""
    secret: FilePath | None = None
    """A file of random bytes that nonces and flow tokens are made from, the same for all workers of the
    domain; default: secret.key in data_dir."""


class Registrar(Section):
    """Registrations (RFC 3261 section 10.3). Times are in seconds."""

    min_expires: Count = 60
    """Shorter ones are answered 423. A lower limit lets one phone keep the registrar busy."""
    default_expires: Count = 3600
    """For a REGISTER that asks for no time."""
    max_expires: Count = 7200
    """Longer ones are cut to this."""
    max_contacts: Annotated[int, Field(ge=1, le=100)] = 10
    """Contacts for one address: it bounds how far a call to it forks."""
    service_route: Many[str] = ()
    """URIs that a phone is told to send its requests by (RFC 3608), such as "sip:edge.example.org;lr"."""
    flow_reuse: Literal["always", "outbound"] = "always"
    """always: a phone that registered over a connection is called over it while it lives, since few phones have
    a certificate or an open port. outbound: only where the phone asks for it (RFC 5626) or can't be reached."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.min_expires <= self.default_expires <= self.max_expires:
            raise PydanticCustomError(
                "expires_order",
                "default_expires must lie between min_expires and max_expires",
                {"fix": f"now {self.min_expires}, {self.default_expires}, {self.max_expires}: change one"},
            )
        return self


class Proxy(Section):
    """Forwarding (RFC 3261 section 16)."""

    record_route: bool = True
    """Stay in the path of a call after it is set up, so that it can be recorded and ended."""
    timer_c_seconds: Annotated[float, Field(gt=180, le=3600)] = 190.0
    """How long a call may ring. RFC 3261 section 16.6 step 11 wants more than three minutes."""
    max_forwards: Annotated[int, Field(ge=1, le=255)] = 70
    """For a request that has no Max-Forwards of its own (RFC 3261 section 16.6 step 3)."""
    max_breadth: Annotated[int, Field(ge=1, le=1000)] = 60
    """For a request that has no Max-Breadth of its own (RFC 5393 section 5.3)."""
    fork: Literal["parallel", "sequential"] = "parallel"
    """parallel: all contacts ring. sequential: those of the highest q first."""
    core: Annotated[str, AfterValidator(node_uri), Field(examples=["sip:core.example.org:5061"])] = ""
    """The core behind this edge: its registrar, and the way of every call. Always over TLS. Empty: this node is the
    registrar itself."""
    outbound: Annotated[str, AfterValidator(node_uri), Field(examples=["sip:border.example.org:5061"])] = ""
    """The proxy that everything leaves the domain through, always over TLS. Empty: it goes where DNS says."""


class Timers(Section):
    """The base of every SIP timer (RFC 3261 section 17.1.1.1)."""

    t1_seconds: Annotated[float, Field(ge=0.05, le=10)] = 0.5
    """The round trip time that is assumed."""
    t2_seconds: Annotated[float, Field(ge=0.1, le=60)] = 4.0
    """The longest wait between retransmissions."""
    t4_seconds: Annotated[float, Field(ge=0.1, le=60)] = 5.0
    """How long a message may stay in the network."""


class Websocket(Section):
    """Phones in browsers (RFC 7118)."""

    origins: Annotated[Many[str], Field(examples=[("https://phone.example.org",)])] = ()
    """Web pages that may connect; empty: all. It keeps other sites from using a visitor's browser."""


class Dns(Section):
    """How other domains are found (RFC 3263)."""

    servers: Annotated[Many[HostPort], Field(examples=[("192.0.2.53:53",)])] = ()
    """Name servers, "address:port"; empty: those of the operating system."""
    hosts: dict[str, Many[Host]] = Field(default_factory=dict)
    """Addresses of names that are not asked for, like /etc/hosts."""
    timeout_seconds: Seconds = 5.0
    """For one question, all servers tried."""


class Database(Section):
    """Where accounts and registrations are kept."""

    url: Annotated[str, Field(repr=False, examples=["postgresql://ringfence@db.example.org/ringfence"])] = ""
    """A SQLAlchemy URL; empty: SQLite in data_dir. It may hold a password and is not shown or logged."""


class Log(Section):
    """One line for each event."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"
    """auto: for people on a terminal, JSON anywhere else."""
    file: FilePath | None = None
    """Where to write; none: standard error."""


class MetricsSection(Section):
    """The HTTP port for Prometheus and for health checks."""

    listen: OptionalHostPort = "127.0.0.1:9090"
    """Serves /metrics and /healthz without a password: keep it inside. Empty: off."""

    @property
    def address(self) -> Address | None:
        """Where to listen; None: not at all."""
        return parse_address(self.listen) if self.listen else None


class Control(Section):
    """The socket that the commands talk to a running node over. Who can open it runs the node."""

    socket: FilePath | None = None
    """default: control.sock in data_dir."""


class PolicySection(Section):
    """The owner's own rules."""

    steps: Annotated[Many[Step], Field(examples=[("mycompany.rules:no_premium_numbers",)])] = ()
    """Python functions, "package.module:function", run in this order before a request is forwarded."""


class BodyRule(Section):
    """A destination that wants what is sent to it protected end to end (S/MIME, RFC 3261 section 23)."""

    to: Annotated[str, Field(min_length=1, examples=["board@example.org"])]
    """An address, a domain, or "*" for everybody."""
    require: Literal["signed", "encrypted"]
    """signed: so that changes are noticed; encrypted is good enough too. encrypted: so that no server reads it. What
    else comes with a body is answered 403."""
    verify: bool = False
    """Whether a signature has to be good, too: by a certificate for the sender, of our CA or of `certificates.trust`.
    In a body that is encrypted nothing can be verified by a server: it passes where require is signed."""

    @property
    def destination(self) -> str:
        """The address as steps compare it."""
        return f"sip:{self.to.removeprefix('sip:')}" if "@" in self.to else self.to.lower()


class Peer(Section):
    """Another domain or a carrier that is known: like a stranger it may call our users. Or, with a role, another node
    of our own network."""

    name: Annotated[str, Field(min_length=1, examples=["carrier"])]
    domain: Annotated[Host | None, Field(examples=["example.net"])] = None
    """Requests for this domain go to it. It is known by a certificate for the domain."""
    addresses: Annotated[Many[Network], Field(examples=[("192.0.2.0/24",)])] = ()
    """Addresses it is known by. Over UDP anybody can write one: prefer certificates."""
    certificate_names: Many[Host] = ()
    """Names in its certificate that it is known by, besides the domain."""
    trust: Many[FilePath] = ()
    """Roots that alone may vouch for it: files of PEM, which are in `tls.trust`, too, or roots of the operating system.
    Without any: every root that TLS trusts, and for a node of our own network (`role`) that in `tls.ca`."""
    transport: TransportName | None = None
    """How to reach it; none: as DNS says. With tls or wss it is believed only over TLS, with tcp or ws not over UDP."""
    trusted: bool = False
    """Whether its word on who is calling is believed (RFC 3325), and it is never challenged: it may send
    requests through us to others, too."""
    role: Literal["domain", "edge", "core", "outbound"] = "domain"
    """edge, core, outbound: a node of our own network, known by its name in `certificate_names` over TLS and by nothing
    else, and trusted in what it has found out of a caller."""

    @model_validator(mode="after")
    def _node_by_certificate(self) -> Self:
        if self.role != "domain" and (
            self.domain or self.addresses or not self.certificate_names or self.transport not in (None, "tls")
        ):
            raise PydanticCustomError(
                "peer_node",
                "a node of our own network is known by certificate_names over TLS, and by nothing else",
                {
                    "fix": 'write certificate_names = ["edge1.example.org"], and no domain, addresses or transport'
                },
            )
        return self

    @model_validator(mode="after")
    def _known_by_something(self) -> Self:
        if not (self.domain or self.addresses or self.certificate_names):
            raise PydanticCustomError(
                "peer_unknown",
                "a peer needs a domain, addresses or certificate_names to be known by",
                {"fix": 'write domain = "example.net"'},
            )
        return self
