"""A node for a benchmark harness: users from a file, ports on loopback, in the foreground until SIGTERM.

    python -m ringfence.bench.node --mode noauth|auth --udp 127.0.0.1:5060 --users users.csv --dir /tmp/x
                                   [--tls host:port --cert C --key K] [--ledger] [--media] [--no-guard] ...

``--mode noauth`` turns the challenges off, which ``ringfence check`` refuses for anything but a benchmark, and with
them topology hiding, for which all would be strangers; all else is as a node serves anyway, but for the ledger, which
has to be asked for. ``--mode stateless`` is the same with one callee, who is where ``--callee`` says without having
registered: Ringfence has no proxy without state. ``--mode authdb`` is ``auth``: accounts are in a database, which the
node reads into memory and follows, so that no request waits for it.

The users' file has a line ``user;password`` for each. MD5 is allowed, since SIPp 3.6 has no other digest, and its
shortened digest ``uri`` is accepted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

from ringfence.security.digest import Algorithm, make_ha1
from ringfence.service.config import Config
from ringfence.service.process import serve
from ringfence.store.database import Database
from ringfence.store.migrate import upgrade
from ringfence.store.records import Account, Binding, Rights

MANY = Rights(max_calls=100_000)
"""A load generator has few users, and each of them calls all the time."""

DAY = 86_400.0
BATCH = 2_000
"""Writes at a time."""

CONFIG = """
[domain]
name = "{realm}"
[node]
name = "localhost"
data_dir = "{directory}"
workers = {workers}
[security]
challenge = "{challenge}"
algorithms = ["MD5"]
uri_check = "user-host"
[registrar]
flow_reuse = "outbound"
[tls]
certificate = "{cert}"
key = "{key}"
verify_servers = false
ca_key = "absent.key"
[metrics]
listen = ""
[log]
level = "warning"
[ledger]
enabled = {ledger}
[limits]
connections = {connections}
connections_per_source = {connections}
handshakes_per_source = 1000
[nat]
media = "{media}"
[hiding]
toward = "{hide}"
contact = {hide_contact}
"""

UNGUARDED = "[guard]\nenabled = false\n[overload]\nenabled = false\n"


def main() -> None:
    """Prepare the directory, then serve."""
    arguments = options().parse_args()
    directory = arguments.dir / f"ringfence-{arguments.mode}"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "ringfence.toml"
    path.write_text(text_of(arguments, directory), encoding="utf-8")
    config = Config.load(path)
    if not config.secret_file.exists():
        config.secret_file.touch(mode=0o600)
        config.secret_file.write_bytes(os.urandom(32))
    upgrade(config.database_url)
    asyncio.run(fill(config, arguments))
    sys.exit(serve(config))


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mode", choices=["stateless", "noauth", "auth", "authdb"], required=True)
    parser.add_argument("--udp", required=True, help="host:port for UDP and TCP")
    parser.add_argument("--tls", help="host:port for TLS")
    parser.add_argument("--cert", default="absent.pem")
    parser.add_argument("--key", default="absent.key")
    parser.add_argument("--users", required=True, type=Path)
    parser.add_argument("--callee", default="", help="user=host:port, who is there without having registered")
    parser.add_argument("--bindings", type=int, default=0, help="so many users more, all of them registered")
    parser.add_argument("--realm", default="bench.test")
    parser.add_argument("--dir", required=True, type=Path)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--connections", type=int, default=20_000)
    parser.add_argument(
        "--challenge", choices=["none", "first", "every-request"], help="instead of the mode's"
    )
    parser.add_argument(
        "--ledger", action="store_true", help="record every call durably, as a node does by default"
    )
    parser.add_argument("--media", action="store_true", help="relay the media of every call")
    parser.add_argument(
        "--hide", choices=["nobody", "strangers", "everybody"], help="from whom topology is hidden"
    )
    parser.add_argument("--hide-contact", action="store_true")
    parser.add_argument(
        "--no-guard", action="store_true", help="count nobody's messages, refuse nothing to save work"
    )
    parser.add_argument(
        "--guard-all", action="store_true", help="count what comes from this machine as from any other"
    )
    parser.add_argument("--sign", help="the URL of the certificate; calls that leave are signed by it")
    parser.add_argument("--verify", action="store_true", help="verify calls from outside")
    parser.add_argument(
        "--identity", type=Path, help="the directory of the certificates for --sign and --verify"
    )
    return parser


def text_of(arguments: argparse.Namespace, directory: Path) -> str:
    """The configuration for these arguments."""
    open_to_all = arguments.mode in {"stateless", "noauth"}
    text = CONFIG.format(
        realm=arguments.realm,
        directory=directory,
        workers=arguments.workers,
        challenge=arguments.challenge or ("none" if open_to_all else "first"),
        cert=arguments.cert,
        key=arguments.key,
        ledger=str(arguments.ledger).lower(),
        media="always" if arguments.media else "never",
        connections=arguments.connections,
        hide=arguments.hide or ("nobody" if open_to_all else "strangers"),
        hide_contact=str(arguments.hide_contact).lower(),
    )
    if arguments.no_guard:
        text += UNGUARDED
    elif arguments.guard_all:
        text += "[guard]\nspare = []\n"
    return text + _identity(arguments) + _listen(arguments)


def _identity(arguments: argparse.Namespace) -> str:
    where = arguments.identity
    lines = ["[identity]", f'verify = "{"invalid" if arguments.verify else "off"}"', "system_trust = false"]
    if arguments.sign:
        lines += ["sign = true", f'url = "{arguments.sign}"']
        lines += [f'certificate = "{where}/ours.pem"', f'key = "{where}/ours.key"']
    if arguments.verify:
        lines += [f'trust = ["{where}/theirs.pem"]', f'fetch_trust = ["{arguments.cert}"]']
        lines += ['fetch_from = ["127.0.0.0/8"]', "[dns]", 'hosts = { "bench.test" = ["127.0.0.1"] }']
    return "\n".join(lines) + "\n"


def _listen(arguments: argparse.Namespace) -> str:
    ports = [("udp", arguments.udp), ("tcp", arguments.udp)]
    if arguments.tls:
        ports.append(("tls", arguments.tls))
    text = ""
    for transport, place in ports:
        host, _, port = place.rpartition(":")
        text += f'[[listen]]\ntransport = "{transport}"\nhost = "{host}"\nport = {port}\n'
    return text


async def fill(config: Config, arguments: argparse.Namespace) -> None:
    """Make an account for each line of the users' file that has none yet, and the binding of ``--callee``."""
    store = await Database.open(config.database_url)
    try:
        waiting = []
        for line in arguments.users.read_text(encoding="utf-8").splitlines():
            user, _, password = line.partition(";")
            aor = f"sip:{user}@{config.domain.name}"
            if store.accounts.by_aor(aor) is None:
                ha1 = make_ha1(user, config.realm, password, Algorithm.MD5)
                waiting.append(
                    store.accounts.add(Account(aor, user, config.realm, {"MD5": ha1}, rights=MANY))
                )
        await asyncio.gather(*waiting)
        for first in range(0, arguments.bindings, BATCH):
            numbers = range(first, min(first + BATCH, arguments.bindings))
            await asyncio.gather(*(register(store, config, number) for number in numbers))
        if arguments.callee:
            user, _, place = arguments.callee.partition("=")
            aor, now = f"sip:{user}@{config.domain.name}", time.time()
            binding = Binding(aor, f"sip:{user}@{place}", now + DAY, "bench", 1, now)
            await store.bindings.change(aor, lambda _: (binding,), now)
    finally:
        await store.close()


async def register(store: Database, config: Config, number: int) -> None:
    """A user with a phone, as one that has come over TLS."""
    user, now = f"phone{number:06d}", time.time()
    aor = f"sip:{user}@{config.domain.name}"
    await store.accounts.add(Account(aor, user, config.realm, {"SHA-256": f"{number:064x}"}, rights=MANY))
    address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    binding = Binding(
        aor, f"sip:{user}@{address}:5061;transport=tls", now + DAY, f"{number:x}@{address}", 1, now,
        instance=f"urn:uuid:{number:032x}", reg_id=1, flow=f"TLS,127.0.0.1:5061,{address}:5061",
        received=f"TLS,{address}:5061", worker="localhost", user_agent="Phone 1.0",
    )  # fmt: skip
    await store.bindings.change(aor, lambda _: (binding,), now)


if __name__ == "__main__":
    main()
