"""``ringfence init``: everything that a domain needs to be served, made once and safely.

All is made in a directory beside its place and moved there at the end, the configuration last. So a run that
fails or is stopped leaves nothing that a second run, or `serve`, could take for a domain that is set up.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
import time
import tomllib
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import typer

from ringfence.cli.accounts import generate_password, open_database
from ringfence.cli.certificate_files import new_serial, prove, record, save_pair
from ringfence.cli.failure import Exit, Failure
from ringfence.cli.join import check_node, core_of, make_known, make_node
from ringfence.cli.options import JsonOption
from ringfence.cli.output import console, print_facts, print_json
from ringfence.security.authority import Authority, new_key
from ringfence.security.certificates import dns_name, is_dns_name
from ringfence.service.addresses import parse_address
from ringfence.service.config import CONFIG_NAME, Config
from ringfence.service.files import make_private_directory, write_private
from ringfence.service.network_template import render_node
from ringfence.service.template import render

T = TypeVar("T")

SECRET_BYTES = 64
"""Twice what the HMAC-SHA256 behind nonces and flow tokens can use."""

MADE = ("tls", "data", CONFIG_NAME)
"""What init makes, in the order in which it is moved into place."""


def init(
    domain: Annotated[str, typer.Argument(help="The domain to serve, such as example.org.")],
    directory: Annotated[Path, typer.Option("--dir", metavar="D", help="Where to put everything.")] = Path(),
    host: Annotated[
        list[str] | None,
        typer.Option(help="A name or address by which phones reach this machine, besides the domain."),
    ] = None,
    listen: Annotated[
        list[str] | None,
        typer.Option(metavar="TRANSPORT:ADDRESS:PORT", help="A port to open instead of the usual ones."),
    ] = None,
    admin: Annotated[str, typer.Option(metavar="NAME", help="The first administrator.")] = "admin",
    require_tls: Annotated[bool, typer.Option("--require-tls", help="Open no plaintext port.")] = False,
    role: Annotated[
        str | None,
        typer.Option(
            metavar="edge|core|outbound", help="One node of several (docs/roles.md), the core first."
        ),
    ] = None,
    join: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The configuration of the core that the node joins.")
    ] = None,
    core: Annotated[
        str | None,
        typer.Option(metavar="URI", help="How the core is reached. Default: by its name and port."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make a domain: configuration, private CA, certificate, database and the first administrator."""
    name = _domain(domain)
    existing = [str(directory / each) for each in MADE if (directory / each).exists()]
    if existing:
        fix = "nothing was changed; serve what is there, or name another directory with --dir"
        raise Failure(Exit.NO, f"{', '.join(existing)} exists already", fix)
    hosts = [_host(each) for each in host or ()]
    check_node(role, hosts, join)
    if role is not None:
        ports = [_listener(each) for each in listen or ()]
        _init_node(directory, name, Node(role, hosts, ports, join, core), admin, json)
        return
    text = render(
        name,
        host=dns_name(socket.gethostname()) or "localhost",
        advertise=hosts,
        require_tls=require_tls,
        listen=[_listener(each) for each in listen or ()],
    )
    password = make_domain(directory, [name, *hosts], text, admin)
    _show(directory, name, admin, password, json)


class Node(NamedTuple):
    """One node of several, as the options describe it."""

    role: str
    hosts: list[str]
    ports: list[tuple[str, str, int]]
    join: Path | None
    core: str | None


def _init_node(directory: Path, domain: str, node: Node, admin: str, json: bool) -> None:
    joined = core_of(node.join, domain) if node.join is not None else None
    if joined is not None and node.core is not None:
        joined = joined._replace(uri=node.core)
    text = render_node(domain, node.role, node.hosts, node.ports, joined)
    config = directory / CONFIG_NAME
    option = "" if directory == Path() else f" --config {config}"
    facts: dict[str, Any] = {"domain": domain, "role": node.role, "config": str(config)}
    if joined is None:
        facts |= {"administrator": admin}
        facts |= {"password": make_domain(directory, [domain, *node.hosts], text, admin)}
        more = f"ringfence init {domain} --role edge --host edge1.{domain} --join {config} --dir edge1"
    else:
        _make(directory, lambda staging: make_node(staging, domain, node.hosts, text, joined))
        port = next((port for transport, _, port in node.ports if transport == "tls"), None)
        make_known(joined, node.role, node.hosts[0], port)
        facts |= {"core": joined.uri, "known to": str(joined.config.file)}
        more = "start the core again: it knows this node now"
    if json:
        print_json(facts)
        return
    print_facts(facts)
    console().print(f"\nNext:\n  {more}\n  ringfence serve{option}", markup=False)


def make_domain(directory: Path, names: Sequence[str], text: str, admin: str) -> str:
    """Make everything in the directory, or nothing; gives the administrator's password.

    ``names`` are those of the certificate, the domain first; ``text`` is the configuration.
    """
    Config.from_values(tomllib.loads(text), directory.absolute() / CONFIG_NAME)  # as it will be in its place
    return _make(directory, lambda staging: _make_all(staging, names, text, admin))


def _make(directory: Path, make: Callable[[Path], T]) -> T:
    """Make all of it beside its place, and move it there at the end."""
    make_private_directory(directory)
    staging = Path(tempfile.mkdtemp(dir=directory, prefix=".ringfence-init-"))
    try:
        made = make(staging)
        for each in MADE:
            os.rename(staging / each, directory / each)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return made


def _make_all(directory: Path, names: Sequence[str], text: str, admin: str) -> str:
    """Make everything in an empty directory; gives the administrator's password."""
    write_private(directory / CONFIG_NAME, text.encode())
    config = Config.load(directory / CONFIG_NAME, staged=True)
    make_private_directory(config.node.data_dir)
    write_private(config.secret_file, os.urandom(SECRET_BYTES))
    _make_ledger_key(config)
    _make_certificates(config, names)
    return _make_database(config, admin)


def _make_ledger_key(config: Config) -> None:
    from ringfence.service.ledger import make_key  # see open_database

    make_key(config.ledger_key)


def _make_certificates(config: Config, names: Sequence[str]) -> None:
    now = time.time()
    limits = [name for name in names if is_dns_name(name)]
    authority = Authority.create(f"Ringfence CA of {names[0]}", now=now, serial=new_serial(), domains=limits)
    key = new_key()
    certificate = authority.issue_server(key.public_key(), names, now=now, serial=new_serial())
    assert config.tls.ca is not None  # both are in the text that we wrote, or have defaults
    assert config.tls.ca_key is not None
    save_pair(config.tls.ca, config.tls.ca_key, authority.certificate, authority.key)
    prove(authority, certificate, names)
    save_pair(config.tls.certificate, config.tls.key, certificate, key)
    record(config, certificate)
    _make_identity(config, authority, names[0])


def _make_identity(config: Config, authority: Authority, domain: str) -> None:
    """What calls are signed with (RFC 8224): a key of its own, which never protects a connection."""
    key = new_key()
    certificate = authority.issue_server(key.public_key(), [domain], now=time.time(), serial=new_serial())
    save_pair(config.identity.certificate, config.identity.key, certificate, key)
    record(config, certificate)


def _make_database(config: Config, admin: str) -> str:
    from ringfence.store.migrate import upgrade  # see open_database
    from ringfence.store.passwords import hash_password
    from ringfence.store.records import Administrator, AdministratorRole

    upgrade(config.database_url)
    password = generate_password()
    owner = Administrator(admin, hash_password(password), AdministratorRole.OWNER, time.time())

    async def add() -> None:
        async with open_database(config) as database:
            await database.administrators.add(owner)

    asyncio.run(add())
    return password


def _show(directory: Path, domain: str, admin: str, password: str, json: bool) -> None:
    config = directory / CONFIG_NAME
    facts: dict[str, Any] = {
        "domain": domain,
        "config": str(config),
        "ca": str(directory / "tls" / "ca.pem"),
        "administrator": admin,
        "password": password,
    }
    if json:
        print_json(facts)
        return
    print_facts(facts)
    option = "" if directory == Path() else f" --config {config}"
    console().print(
        f"\nThe password is shown this once. Phones have to trust the CA above. Next:\n"
        f"  ringfence user add alice@{domain}{option}\n"
        f"  ringfence serve{option}\n"
        f"Calls can be signed once others can fetch {directory / 'tls' / 'identity.pem'}:\n"
        f"see [identity] in {config}.",
        markup=False,
    )


def _domain(text: str) -> str:
    name = dns_name(text)
    if name is None or not is_dns_name(name):
        raise Failure(Exit.BAD_DATA, f"{text!r} is not a domain name", "write one such as example.org")
    return name


def _host(text: str) -> str:
    try:
        return str(ip_address(text.strip("[]")))
    except ValueError:
        return _domain(text)


def _listener(text: str) -> tuple[str, str, int]:
    transport, _, rest = text.partition(":")
    host, _, port = rest.rpartition(":")
    try:
        return transport, host if host == "*" else parse_address(rest).host, int(port)
    except ValueError:
        fix = "write TRANSPORT:ADDRESS:PORT such as tls:127.0.0.1:5061, or tls:*:5061"
        raise Failure(Exit.USAGE, f"{text!r} is not a port to listen on", fix) from None
