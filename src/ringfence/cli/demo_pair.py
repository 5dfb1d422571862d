"""The two domains of ``ringfence demo``: each has a private CA, trusts that of the other, and finds it by DNS."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from ringfence.cli.accounts import generate_password
from ringfence.cli.demo_stage import HOST, Domain, Recording, free_ports
from ringfence.cli.demo_zone import Zone
from ringfence.cli.init import make_domain
from ringfence.client import IncomingCall, Media, OutgoingCall, UserAgent
from ringfence.service.config import CONFIG_NAME, Config
from ringfence.service.process import running
from ringfence.service.sections import Dns, MetricsSection, Peer
from ringfence.service.template import render

USERS = {"example.org": ("alice", "bob", "dave"), "example.net": ("carol",)}


@dataclass
class Stage:
    """The domains and the phones that are open."""

    domains: Mapping[str, Domain]
    recording: Recording
    directory: Path
    stack: AsyncExitStack
    phones: dict[str, UserAgent] = field(default_factory=dict)

    async def register(
        self, domain: str, user: str, *, transport: str = "tls", transfers: bool = False
    ) -> None:
        """Open a phone until the end of the demo."""
        phone = self.domains[domain].phone(user, transport=transport, accept_transfers=transfers)
        await self.stack.enter_async_context(phone)
        self.phones[user] = phone
        self.recording.name(phone, user)

    async def connect(
        self, caller: str, callee: str, address: str, media: Media | None = None, theirs: Media | None = None
    ) -> tuple[OutgoingCall, IncomingCall]:
        """A call that is up, seen from both ends."""
        outgoing = await self.phones[caller].call(address, media=media or Media())
        incoming = await anext(self.phones[callee].incoming())
        await incoming.answer(theirs or Media())
        await outgoing.answered
        return outgoing, incoming

    def all_tls(self) -> bool:
        """Whether every message of the scene went by TLS."""
        hops = self.recording.hops()
        return bool(hops) and all(hop.secure for hop in hops)


async def build(directory: Path, stack: AsyncExitStack) -> Stage:
    """Make the domains and serve them, until the stack is closed."""
    ports = dict(zip(USERS, free_ports(len(USERS)), strict=True))
    # One after the other: Alembic does not make two databases at a time. In a thread: init has a loop of its own.
    domains = [await asyncio.to_thread(_make, directory / name, name, ports[name]) for name in USERS]
    zone = Zone()
    await zone.open(ports)
    stack.callback(zone.close)
    recording = Recording()
    for domain, other in zip(domains, reversed(domains), strict=True):
        domain.config = _federated(domain.config, other, zone.port)
        await domain.add_users(USERS[domain.name])
        node = await stack.enter_async_context(running(domain.config))
        recording.watch(domain, node)
    return Stage({domain.name: domain for domain in domains}, recording, directory, stack)


def _make(directory: Path, name: str, port: int) -> Domain:
    listen = [(transport, HOST, port) for transport in ("tls", "udp")]
    make_domain(directory, [name], render(name, host="localhost", listen=listen), "admin")
    passwords = {user: generate_password() for user in USERS[name]}
    return Domain(Config.load(directory / CONFIG_NAME), passwords)


def _federated(config: Config, other: Domain, dns_port: int) -> Config:
    """The configuration with the other domain as a trusted peer, which it is by its certificate."""
    return config.model_copy(
        update={
            "tls": config.tls.model_copy(update={"trust": (other.authority,), "system_trust": False}),
            "peer": (Peer(name=other.name, domain=other.name, trusted=True),),
            "dns": Dns(servers=(f"{HOST}:{dns_port}",)),
            "metrics": MetricsSection(listen=""),
        }
    )
