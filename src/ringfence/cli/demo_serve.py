"""``ringfence demo --serve``, which is ``make run``: a domain set up, served, and proved by one call through it."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
import tempfile
from contextlib import AsyncExitStack, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import uvloop
from rich.text import Text

from ringfence.cli.accounts import generate_password
from ringfence.cli.demo_pair import Stage
from ringfence.cli.demo_scenes import proved, secure_call
from ringfence.cli.demo_stage import HOST, Domain, Recording, free_ports
from ringfence.cli.demo_verdict import Promise, message_facts, verdict
from ringfence.cli.failure import Exit, Failure
from ringfence.cli.init import make_domain
from ringfence.cli.ladder import draw
from ringfence.cli.output import console, print_facts, print_json, remark
from ringfence.client.errors import AgentError, RequestFailed
from ringfence.client.line import local_host
from ringfence.message import LocalError
from ringfence.service.config import CONFIG_NAME, Config
from ringfence.service.control_client import NodeUnavailable, ask
from ringfence.service.files import write_private
from ringfence.service.process import serving
from ringfence.service.sections import Listen
from ringfence.service.template import render
from ringfence.store.migrate import upgrade

DOMAIN = "ringfence.localhost"
USERS = ("alice", "bob")
PASSWORDS = "passwords"
"""A directory with a file for each user, readable by the owner only."""

PORTS = (("tls", 5061), ("wss", 5443), ("tcp", 5060), ("udp", 5060))
SOMEWHERE = "192.0.2.1"
"""An address of nobody (RFC 5737): our own address on the way there is the one that a network knows us by."""

WIDTH = 110
"""Cells of a ladder: wider, its arrows are only longer."""

CALL_SECONDS = 15.0
"""For the first call; it takes less than one second."""


def serve_domain(directory: Path, *, public: bool, once: bool, json: bool) -> Exit:
    """Set the domain up if it is not, serve it, place a call, and stay until a signal."""
    domain = set_up(directory, public=public)
    with suppress(NodeUnavailable):
        ask(domain.config.control_socket, "status")
        fix = f"stop it with ringfence stop --config {directory}"
        raise Failure(Exit.UNAVAILABLE, f"a node serves {directory} already", fix)
    domain.config = with_free_ports(domain.config)
    return uvloop.run(_serve(domain, once=once, json=json))


# -- setting up ----------------------------------------------------------------------------------------


def set_up(directory: Path, *, public: bool) -> Domain:
    """The domain in this directory, made if there is none yet; its users have the passwords of the files there."""
    path = directory / CONFIG_NAME
    if not path.exists():
        host = network_address() if public else HOST
        listen = [(transport, "*" if public else HOST, port) for transport, port in PORTS]
        text = render(DOMAIN, host="localhost", advertise=[host], listen=listen)
        make_domain(directory, list(dict.fromkeys((DOMAIN, "localhost", host, HOST))), text, "admin")
    domain = Domain(Config.load(path), {})
    upgrade(domain.config.database_url)
    secrets = directory / PASSWORDS
    missing = [user for user in USERS if not (secrets / user).exists()]
    passwords = {user: generate_password() for user in missing}
    domain.passwords = passwords | {user: _read(secrets / user) for user in USERS if user not in missing}
    asyncio.run(domain.add_users(missing))
    for user, password in passwords.items():
        write_private(secrets / user, f"{password}\n".encode())
    return domain


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


def network_address() -> str:
    """The address by which others in the network reach this machine."""
    try:
        return local_host(SOMEWHERE)
    except RequestFailed:
        raise Failure(Exit.UNAVAILABLE, "this machine is in no network", "leave out --public") from None


def with_free_ports(config: Config) -> Config:
    """The configuration with other ports in the place of those that another program has."""
    moved = []
    listen = []
    for each in config.listen:
        port = each.port if is_free(each) else free_ports(1)[0]
        if port != each.port:
            moved.append(f"{each.transport} {port} instead of {each.port}")
        listen.append(each.model_copy(update={"port": port}))
    if moved:
        remark(f"Another program has ports of ours: {', '.join(moved)}, this time.")
    metrics = config.metrics
    if metrics.address is not None and not can_bind(socket.SOCK_STREAM, *metrics.address):
        metrics = metrics.model_copy(update={"listen": f"{HOST}:{free_ports(1)[0]}"})
    return config.model_copy(update={"listen": tuple(listen), "metrics": metrics})


def is_free(listen: Listen) -> bool:
    """Whether a port can be opened."""
    kind = socket.SOCK_DGRAM if listen.transport == "udp" else socket.SOCK_STREAM
    return all(can_bind(kind, host, listen.port) for host in listen.hosts)


def can_bind(kind: socket.SocketKind, host: str, port: int) -> bool:
    """Whether nobody has this port. A connection that has just ended does not count, as it does not for the node."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ":" in host:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


# -- serving -------------------------------------------------------------------------------------------


async def _serve(domain: Domain, *, once: bool, json: bool) -> Exit:
    async with serving(domain.config) as node:
        stage = Stage({domain.name: domain}, Recording(), domain.config.node.data_dir, AsyncExitStack())
        stage.recording.watch(domain, node)
        promises = await _first_call(stage, domain.name)
        node.parts.driver.watch(None)
        good = all(promise.kept for promise in promises)
        (_print if json else _show)(domain, stage.recording, promises)
        if not once:
            if not json:
                tell_how_to_register(domain)
            sys.stdout.flush()  # whoever reads a pipe gets all of it now
            await node.stopping.wait()
    return Exit.GOOD if good else Exit.NO


async def _first_call(stage: Stage, domain: str) -> list[Promise]:
    """Both users register, one calls the other, both go away again; and what was promised of that."""
    try:
        async with asyncio.timeout(CALL_SECONDS), stage.stack:
            for user in USERS:
                await stage.register(domain, user)
            with tempfile.TemporaryDirectory() as place:
                stage.directory = Path(place)
                return proved(stage) + await secure_call(stage)
    except (AgentError, LocalError, OSError) as error:  # a TimeoutError is an OSError
        return [Promise(f"the call comes about ({type(error).__name__}: {error})", False)]


def _print(domain: Domain, recording: Recording, promises: list[Promise]) -> None:
    arrows = recording.arrows()
    start = arrows[0].time if arrows else 0.0
    facts: dict[str, Any] = {
        "domain": domain.name,
        "config": str(domain.config.file),
        "ca": str(domain.authority),
        "passwords": {user: str(password_file(domain, user)) for user in USERS},
        "ports": {each.transport: each.port for each in domain.config.listeners},
        "good": all(promise.kept for promise in promises),
        "promises": [promise._asdict() for promise in promises],
        "hops": [hop._asdict() for hop in recording.hops()],
        "messages": [message_facts(arrow, start) for arrow in arrows],
    }
    print_json(facts)


def _show(domain: Domain, recording: Recording, promises: list[Promise]) -> None:
    screen = console()
    ports = ", ".join(f"{each.transport} {each.port}" for each in domain.config.listeners)
    screen.print(Text(f"Ringfence {version('ringfence')} serves {domain.name}: {ports}\n", "bold"))
    names = (USERS[0], domain.name, USERS[1])
    screen.print(draw(recording.arrows(), names, title="A first call", width=min(screen.width, WIDTH)))
    screen.print()
    for hop in recording.hops():
        screen.print(Text(f"  {hop.one} - {hop.other}: {hop.protection}"))
    for promise in promises:
        screen.print(verdict([promise]))


def password_file(domain: Domain, user: str) -> Path:
    """Where the password of a user is."""
    return domain.config.file.parent / PASSWORDS / user


def tell_how_to_register(domain: Domain) -> None:
    """What to enter into a phone. Passwords are shown to a person only: elsewhere this may be the log of a build."""
    screen = console()
    user = USERS[0]
    server = domain.config.node.advertise[0] if domain.config.node.advertise else HOST
    port = domain.port("tls")
    shown = sys.stdout.isatty()
    screen.print(Text("\nRegister a phone", "bold"))
    print_facts(
        {
            "server": f"{server}, port {port}, TLS",
            "user": f"{' or '.join(USERS)}, domain {domain.name}",
            "password": domain.passwords[user] if shown else f"in {password_file(domain, user)}",
            "trust": f"{domain.authority}, the authority that signed the server's certificate",
        }
    )
    password = domain.passwords[user] if shown else "PASSWORD"
    for title, lines in instructions(domain, f"{server}:{port}", password).items():
        screen.print(Text(title))
        for line in lines:
            screen.print(Text(f"  {line}", "cyan"))
    screen.print("\nServing until Ctrl-C.")


def instructions(domain: Domain, server: str, password: str) -> dict[str, tuple[str, ...]]:
    """Lines to type or to write into a file, each after what it is for."""
    user, other = USERS
    program = "ringfence" if shutil.which("ringfence") else sys.argv[0]
    authority = domain.authority.absolute()
    known = f"--proxy sips:{server} --trust {domain.authority}"
    one, two = (f"--password-file {password_file(domain, each)}" for each in USERS)
    return {
        "Ringfence's own, in two more terminals:": (
            f"{program} answer sips:{other}@{domain.name} {known} {two}",
            f"{program} call sips:{other}@{domain.name} --from sips:{user}@{domain.name} {known} {one}",
        ),
        "baresip, a line in ~/.baresip/accounts and one in ~/.baresip/config:": (
            f"<sip:{user}@{domain.name};transport=tls>;auth_pass={password}"
            f';outbound="sip:{server};transport=tls";mediaenc=srtp-mand',
            f"sip_cafile {authority}",
        ),
        "Linphone, transport TLS, this SIP proxy, and under [sip] in linphonerc:": (
            f"<sip:{server};transport=tls>",
            f"root_ca={authority}",
        ),
        "More phones, and those that know only MD5: docs/phones.md. To watch what passes:": (
            f"{program} trace --config {domain.config.file}",
        ),
        "All of it in a browser, as the administrator admin with a new password:": (
            f"{program} admin passwd admin --config {domain.config.file}",
            f"{program} console --config {domain.config.file}",
        ),
    }
