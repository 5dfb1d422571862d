"""The only place that constructs: from a configuration to a node whose parts know each other.

Read it top to bottom to see what a node is made of. Nothing here decides anything about a call.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from socket import AF_INET, AF_INET6
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from ringfence.engine.places import Preferences
from ringfence.engine.timers import Timers
from ringfence.engine.transactions import Transactions
from ringfence.guard.guesses import Guesses
from ringfence.guard.neighbours import make_offer
from ringfence.message import sip_uri
from ringfence.message.fields.security_agreement import Mechanism
from ringfence.roles import core, edge, outbound, privacy, redirect
from ringfence.roles.addresses import Addresses, Listener
from ringfence.roles.bodies import Body, Rule
from ringfence.roles.directory import Directory
from ringfence.roles.pipeline import Step
from ringfence.roles.policy import (
    AgreementMode,
    ChallengeMode,
    FlowReuse,
    Fork,
    Policy,
    RegistrarPolicy,
    Services,
)
from ringfence.roles.server import Server
from ringfence.roles.signatures import Authorities
from ringfence.roles.steps.locate import locate_user
from ringfence.roles.steps.network import to_core, to_destination, to_next
from ringfence.security.agreement import Name, digest_mechanism, ipsec_mechanism, make_list, tls_mechanism
from ringfence.security.digest import Algorithm, UriCheck
from ringfence.security.nonces import MIN_KEY, NcWindow, Nonces
from ringfence.security.pem import read_chain, read_crl
from ringfence.service.aaa import make_remote
from ringfence.service.addresses import parse_address
from ringfence.service.charging import make_control
from ringfence.service.config import Config
from ringfence.service.diameter import make_client
from ringfence.service.guard import Protection
from ringfence.service.hiding_sections import make_hiding
from ringfence.service.identity import identify, look_after_peers, make_fetcher, make_strangers
from ringfence.service.ledger import make_charging, make_radius
from ringfence.service.media import make_anchors, make_media
from ringfence.service.metrics import Metrics
from ringfence.service.neighbours import FreshBindings, hand_over, make_mesh, worker_mark
from ringfence.service.peers import make_peers
from ringfence.service.privacy import make_bridges
from ringfence.service.problems import ConfigError
from ringfence.service.shared import SharedState, make_shared
from ringfence.service.tls import tls_settings
from ringfence.transport.contexts import Contexts
from ringfence.transport.driver import Driver
from ringfence.transport.fetch import Fetcher
from ringfence.transport.flow import Flow
from ringfence.transport.mesh import Mesh, mark
from ringfence.transport.pool import Pool
from ringfence.transport.resolver import Resolver
from ringfence.transport.sockets import own_address
from ringfence.transport.tokens import Tokens
from ringfence.transport.websocket import WebSocketPolicy

if TYPE_CHECKING:
    from ringfence.ledger.book import SqlLedger
    from ringfence.ledger.diameter import DiameterClient
    from ringfence.ledger.radius import RadiusAccounting
    from ringfence.store.ports import Store


@dataclass(slots=True)
class Parts:
    """What a running node consists of, for ``process`` to open and close."""

    config: Config
    driver: Driver
    pool: Pool
    resolver: Resolver
    store: Store
    services: Services
    server: Server
    metrics: Metrics
    fetcher: Fetcher
    ledger: SqlLedger | None
    radius: RadiusAccounting | None
    mesh: Mesh | None = None
    diameter: DiameterClient | None = None
    shared: SharedState | None = None
    protection: Protection = field(init=False)

    def __post_init__(self) -> None:
        self.protection = Protection(self)


def wire(
    config: Config,
    store: Store,
    secret: bytes,
    loop: asyncio.AbstractEventLoop,
    ledger: SqlLedger | None = None,
) -> Parts:
    """Build a node. ``secret`` is the content of the secret file; ports are opened by ``process``."""
    timers = Timers(config.timers.t1_seconds, config.timers.t2_seconds, config.timers.t4_seconds)
    transactions = Transactions(timers, config.limits.transactions)
    driver = Driver(transactions, loop)
    if config.worker is not None:
        driver.token = Tokens(mark(config.worker))
    resolver = make_resolver(config)
    pool = make_pool(config, driver)
    policy = make_policy(config, secret)
    diameter = make_client(config)
    nonces = Nonces(nonce_key(secret), lifetime=config.security.nonce_lifetime_seconds)
    remote = make_remote(config, store.accounts, diameter, nonces)
    services = Services(
        policy=policy,
        accounts=store.accounts if remote is None else remote.accounts,
        bindings=store.bindings if config.worker is None else FreshBindings(store.bindings, store.refresh),
        nonces=nonces,
        nonce_counts=NcWindow(),
        gruu_key=derive(secret, "gruu"),
        driver=driver,
        resolver=resolver,
        clock=time.time,
        strangers=make_strangers(config, store),
        remote=remote,
        guesses=Guesses() if config.guard.enabled else None,
        directory=Directory(config.certificates.directory) if config.certificates.serve else None,
        charging=make_charging(
            config, ledger, derive(secret, "ledger"), make_control(config, store, diameter)
        )
        if ledger is not None
        else None,
    )
    services.media = make_media(config, driver)
    services.anchors = make_anchors(config, services.media, services)
    services.bridges = make_bridges(config, derive(secret, "privacy"), services)
    fetcher = make_fetcher(config, resolver)
    look_after_peers(config, policy.peers, pool, fetcher)
    identify(config, services, fetcher, derive(secret, "identity"))
    metrics = Metrics()
    radius = make_radius(config, derive(secret, "ledger"))
    server = Server(services, steps_of(config), metrics.finished)
    parts = Parts(config, driver, pool, resolver, store, services, server, metrics, fetcher, ledger, radius)
    parts.diameter = diameter
    parts.mesh = make_mesh(config, parts)
    parts.shared = make_shared(config, parts)
    bind(parts)
    return parts


def bind(parts: Parts) -> None:
    """Hand the driver what it needs from outside."""
    server, mesh, protection = parts.server, parts.mesh, parts.protection

    def closed(flow: Flow, reason: str) -> None:
        protection.closed(flow)
        if mesh is not None:
            mesh.flow_closed(flow, reason)
        server.flow_closed(flow, reason)

    parts.driver.bind(
        parts.pool,
        server.receive,
        admit=protection.admit,
        elsewhere=None if mesh is None else partial(hand_over, mesh, parts.driver.counts),
        on_closed=closed,
        locate=parts.resolver.locate_response,
    )


def nonce_key(secret: bytes) -> bytes:
    """Each process has its own, and a new one at each start: only who remembers the counts of a nonce takes it.

    So a replay at another worker, at another node with the same secret, or after a restart finds a nonce that is not
    ours, and counts need not be shared (RFC 7616 section 3.4, nc).
    """
    return derive(secret + os.urandom(MIN_KEY), "nonces")


def derive(secret: bytes, purpose: str) -> bytes:
    """A key of its own for each purpose, from the one secret that the node keeps."""
    return hashlib.blake2b(secret, digest_size=32, person=purpose.encode()[:16]).digest()


def make_policy(config: Config, secret: bytes) -> Policy:
    """The decisions of the configuration, as the steps read them."""
    security, registrar, proxy = config.security, config.registrar, config.proxy
    return Policy(
        domain=config.domain.name,
        domains=config.domains,
        realm=config.realm,
        addresses=make_addresses(config),
        secret=derive(secret, "routes"),
        challenge=ChallengeMode(security.challenge),
        algorithms=tuple(Algorithm(name) for name in security.algorithms),
        port_algorithms={
            each.port: tuple(Algorithm(name) for name in each.algorithms)
            for each in config.listen
            if each.algorithms
        },
        agreement=AgreementMode(security.agreement),
        mechanisms=make_mechanisms(config),
        bodies=tuple(Rule(each.destination, Body(each.require), each.verify) for each in config.bodies),
        worker_mark=worker_mark(config.worker),
        hiding=make_hiding(config.hiding, derive(secret, "hiding")),
        authorities=make_authorities(config),
        uri_check=UriCheck(security.uri_check),
        unauthenticated_methods=frozenset(security.unauthenticated_methods),
        user_authorities=own_authority(config),
        peers=make_peers(config),
        core=route_to(proxy.core),
        border=route_to(proxy.outbound),
        require_tls=security.require_tls,
        record_route=proxy.record_route,
        fork=Fork(proxy.fork),
        max_breadth=proxy.max_breadth,
        overload_offer=make_offer(config.overload.offer) if config.overload.enabled else None,
        emergency_numbers=frozenset(config.overload.emergency_numbers),
        priority_namespaces=frozenset(config.overload.priority_namespaces),
        max_forwards=proxy.max_forwards,
        timer_c=proxy.timer_c_seconds,
        registrar=RegistrarPolicy(
            min_expires=registrar.min_expires,
            default_expires=registrar.default_expires,
            max_expires=registrar.max_expires,
            max_contacts=registrar.max_contacts,
            flow_reuse=FlowReuse(registrar.flow_reuse),
            service_route=registrar.service_route,
        ),
    )


def make_mechanisms(config: Config) -> tuple[Mechanism, ...]:
    """What phones may agree on with us for their first hop."""
    made = {
        "tls": tls_mechanism(config.agreement_port or 5061),
        "digest": digest_mechanism(Algorithm(config.security.algorithms[0])),
        "ipsec-ike": ipsec_mechanism(Name.IPSEC_IKE, config.ipsec.port),
        "ipsec-man": ipsec_mechanism(Name.IPSEC_MAN, config.ipsec.port),
        "ipsec-3gpp": ipsec_mechanism(Name.IPSEC_3GPP, None),
    }
    return make_list([made[name] for name in config.security.mechanisms])


def own_authority(config: Config) -> frozenset[bytes]:
    """The private CA's certificate: who has a user certificate of it is that user.

    Raises:
        LocalError: when it can't be read.
    """
    path = config.tls.ca
    if path is None or not path.exists():
        return frozenset()
    return frozenset(each.public_bytes(Encoding.DER) for each in read_chain(path.read_bytes()))


def make_authorities(config: Config) -> Authorities:
    """Who may vouch for the signers of bodies.

    Raises:
        LocalError: when a file can't be read.
    """
    if not any(each.verify for each in config.bodies):
        return Authorities()
    own = (config.tls.ca,) if config.tls.ca is not None and config.tls.ca.exists() else ()
    anchors = [each for path in (*own, *config.certificates.trust) for each in read_chain(path.read_bytes())]
    return Authorities(tuple(anchors), tuple(read_crl(path.read_bytes()) for path in config.tls.crl))


def route_to(uri: str) -> str:
    """The Route to a node of our own network: by TLS, whatever DNS would say of it."""
    if not uri:
        return ""
    node = sip_uri(uri)
    params = node.params if node.secure else node.params.with_("transport", "tls")
    return f"<{node.replace(params=params if 'lr' in params else params.with_('lr', None))}>"


def make_resolver(config: Config) -> Resolver:
    """The DNS, as the configuration wants it asked."""
    servers = [parse_address(server) for server in config.dns.servers]
    transports = ("TLS", "WSS") if config.security.require_tls else ("TLS", "TCP", "UDP", "WSS", "WS")
    return Resolver(
        servers,
        hosts=config.dns.hosts,
        timeout=config.dns.timeout_seconds,
        preferences=Preferences(transports=transports),
    )


def make_pool(config: Config, driver: Driver) -> Pool:
    """The sockets. Certificates are read here.

    Raises:
        LocalError: when one can't be used.
    """
    origins = frozenset(config.websocket.origins) if config.websocket.origins else None
    secure = any(each.secure for each in config.listeners)
    return Pool(
        driver,
        config.limits.for_transport(),
        contexts=Contexts(tls_settings(config)) if secure or config.shown_pair[0].exists() else None,
        websocket=WebSocketPolicy(origins=origins),
        worker=config.worker,
    )


def make_addresses(config: Config) -> Addresses:
    """Where the node listens, and by what name peers know each port."""
    listeners = [
        Listener(each.transport.upper(), host, each.port, _advertised(config, each.advertise, host))
        for each in config.listeners
        for host in each.hosts
    ]
    names = frozenset({*config.node.advertise, config.node.name, *config.domains})
    # The other nodes of a network know this one by the name in its certificate, and by nothing else.
    return Addresses(listeners, names, by_name=any(peer.role != "domain" for peer in config.peer))


def _advertised(config: Config, own: str | None, host: str) -> str:
    name = own or (config.node.advertise[0] if config.node.advertise else host)
    if name == "0.0.0.0":  # noqa: S104  (compared, not bound)
        name = own_address(AF_INET)
    elif name == "::":
        name = own_address(AF_INET6)
    return f"[{name}]" if ":" in name else name


def steps_of(config: Config) -> tuple[Step, ...]:
    """The role's list, with the owner's own steps before what is last: choosing targets and forwarding."""
    own = tuple(load_step(config, place, name) for place, name in enumerate(config.policy.steps))
    role = role_of(config)
    place = next(place for place, step in enumerate(role) if step in CHOOSES)
    return (*role[:place], *own, *role[place:])


CHOOSES: tuple[Step, ...] = (locate_user, to_core, to_destination, to_next)
"""The steps that choose where a request goes."""


def role_of(config: Config) -> tuple[Step, ...]:
    """The steps of the role that the node has."""
    lists = {
        "edge": edge.STEPS_BEFORE_CORE if config.proxy.core else edge.STEPS,
        "core": core.STEPS,
        "outbound": outbound.STEPS,
        "redirect": redirect.STEPS,
        "privacy": privacy.STEPS,
    }
    return lists[config.node.roles[0]]


def load_step(config: Config, place: int, name: str) -> Step:
    """Import one of the owner's steps.

    Raises:
        ConfigError: naming the line, when there is no such function.
    """
    module, _, function = name.partition(":")
    try:
        step: Step = getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        fix = "install the package in the same environment, or correct the name"
        raise ConfigError([config.problem(("policy", "steps", place), str(error), fix)]) from None
    return step
