"""The two domains of ``ringfence demo``: strangers, of whom each trusts the authority that certifies the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from ringfence.cli.accounts import generate_password
from ringfence.cli.certificate_files import load_authority, new_serial, save_pair
from ringfence.cli.demo_stage import HOST, Domain, Recording, free_ports
from ringfence.cli.demo_zone import Zone, server_name
from ringfence.cli.init import make_domain
from ringfence.client import Call, IncomingCall, Media, OutgoingCall, Smime, UserAgent
from ringfence.security.authority import new_key
from ringfence.service.config import CONFIG_NAME, Config
from ringfence.service.process import running
from ringfence.service.publish import publisher
from ringfence.service.sections import Dns, MetricsSection
from ringfence.service.template import render
from ringfence.service.web import WebServer

USERS = {"example.org": ("alice", "bob", "dave"), "example.net": ("carol",)}

PEOPLE = "people"
"""Beside a configuration, where the certificates of its users are."""

CHECKPOINT_SECONDS = 0.2
"""After which events are signed: nobody who watches wants to wait longer."""


@dataclass
class Stage:
    """The domains and the phones that are open."""

    domains: Mapping[str, Domain]
    recording: Recording
    directory: Path
    stack: AsyncExitStack
    phones: dict[str, UserAgent] = field(default_factory=dict)

    async def register(self, domain: str, user: str, *, transport: str = "tls", **settings: Any) -> None:
        """Open a phone until the end of the demo."""
        phone = self.domains[domain].phone(user, transport=transport, **settings)
        await self.stack.enter_async_context(phone)
        self.phones[user] = phone
        self.recording.name(phone, user)

    async def connect(
        self, caller: str, callee: str, address: str, media: Media | None = None, theirs: Media | None = None
    ) -> tuple[OutgoingCall, IncomingCall]:
        """A call that is up, seen from both ends."""
        outgoing = await self.phones[caller].call(address, media=media or Media())
        incoming = await self.ringing(callee, outgoing)
        await incoming.answer(theirs or Media())
        await outgoing.answered
        return outgoing, incoming

    async def ringing(self, callee: str, call: Call) -> IncomingCall:
        """Wait until the phone rings. Raises CallError when the call fails before."""
        rings = asyncio.ensure_future(anext(self.phones[callee].incoming()))
        answered = asyncio.ensure_future(call.answered)
        try:
            await asyncio.wait({rings, answered}, return_when=asyncio.FIRST_COMPLETED)
            if not rings.done():
                await answered  # it says why
            return await rings
        finally:  # what still waits must not take the call of the next scene
            rings.cancel()
            answered.cancel()

    def smime(self, domain: str, user: str) -> Smime:
        """What a user signs and encrypts with: a certificate of its domain's authority; all authorities are trusted."""
        own = self.domains[domain]
        certificate = own.config.file.parent / PEOPLE / f"{user}.pem"
        trust = tuple(each.authority for each in self.domains.values())
        others = self.directory / f"certificates-of-{user}"
        return Smime(
            certificate=certificate, key=certificate.with_suffix(".key"), directory=others, trust=trust
        )

    def all_tls(self) -> bool:
        """Whether every message of the scene went by TLS."""
        hops = self.recording.hops()
        return bool(hops) and all(hop.secure for hop in hops)


async def build(directory: Path, stack: AsyncExitStack) -> Stage:
    """Make the domains and serve them, until the stack is closed."""
    free = free_ports(2 * len(USERS))
    ports, https = (dict(zip(USERS, part, strict=True)) for part in (free[: len(USERS)], free[len(USERS) :]))
    # One after the other: Alembic does not make two databases at a time. In a thread: init has a loop of its own.
    domains = [await asyncio.to_thread(_make, directory / name, name, ports[name]) for name in USERS]
    zone = Zone()
    await zone.open(ports)
    stack.callback(zone.close)
    recording = Recording()
    for domain, other in zip(domains, reversed(domains), strict=True):
        domain.config = _acquainted(domain.config, other, zone.port, https[domain.name])
        await domain.add_users(USERS[domain.name])
        await _publish(domain.config, stack)
        node = await stack.enter_async_context(running(domain.config))
        recording.watch(domain, node)
    return Stage({domain.name: domain for domain in domains}, recording, directory, stack)


def _make(directory: Path, name: str, port: int) -> Domain:
    listen = [(transport, HOST, port) for transport in ("tls", "udp")]
    make_domain(directory, [name, server_name(name)], render(name, host="localhost", listen=listen), "admin")
    domain = Domain(Config.load(directory / CONFIG_NAME), {user: generate_password() for user in USERS[name]})
    for user in USERS[name]:
        _certify(domain, user)
    return domain


def _certify(domain: Domain, user: str) -> None:
    """As ``ringfence cert issue --user`` does."""
    authority, key = load_authority(domain.config), new_key()
    address = f"sip:{user}@{domain.name}"
    certificate = authority.issue_user(key.public_key(), address, now=time.time(), serial=new_serial())
    path = domain.config.file.parent / PEOPLE / f"{user}.pem"
    save_pair(path, path.with_suffix(".key"), certificate, key)


def _acquainted(config: Config, other: Domain, dns_port: int, https_port: int) -> Config:
    """The configuration of a domain that knows nothing of the other but its authority, and where to ask for names.

    The authority stands for those of the web, which sign the certificates of real domains.
    """
    authority = (other.authority,)
    url = f"https://{server_name(config.domain.name)}:{https_port}/.well-known/ringfence/identity.pem"
    identity = {
        "sign": True,
        "url": url,
        "publish": f"{HOST}:{https_port}",
        "trust": authority,
        "system_trust": False,
        "fetch_from": (ip_network(f"{HOST}/32"),),
        "fetch_trust": authority,
    }
    return config.model_copy(
        update={
            "tls": config.tls.model_copy(update={"trust": authority, "system_trust": False}),
            "identity": config.identity.model_copy(update=identity),
            "dns": Dns(servers=(f"{HOST}:{dns_port}",)),
            "metrics": MetricsSection(listen=""),
            "ledger": config.ledger.model_copy(update={"checkpoint_seconds": CHECKPOINT_SECONDS}),
        }
    )


async def _publish(config: Config, stack: AsyncExitStack) -> None:
    """Serve the certificate that calls are signed with, for the other domain to fetch."""
    address = config.identity.publish_address
    assert address is not None  # see above
    app = publisher((url, path) for url, path, _ in config.identity.signers)
    web = WebServer(app, address, (config.tls.certificate, config.tls.key))
    await web.start()
    stack.push_async_callback(web.stop)
