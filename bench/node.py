"""A node for a benchmark harness: users from a file, plaintext ports on loopback, in the foreground until SIGTERM.

    node.py --mode noauth|auth --udp 127.0.0.1:5060 --users users.csv --dir /tmp/x [--tls host:port --cert C --key K]

``--mode noauth`` turns the challenges off, which ``ringfence check`` refuses for anything but a benchmark, and with
them topology hiding, for which all would be strangers; all else is as a node serves anyway. The users' file has a line
``user;password`` for each. MD5 is allowed, since SIPp 3.6 has no other digest, and its shortened digest ``uri`` is
accepted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from ringfence.security.digest import Algorithm, make_ha1
from ringfence.service.config import Config
from ringfence.service.process import serve
from ringfence.store.database import Database
from ringfence.store.migrate import upgrade
from ringfence.store.records import Account, Rights

MANY = Rights(max_calls=100_000)
"""A load generator has few users, and each of them calls all the time."""

CONFIG = """
[domain]
name = "{realm}"
[node]
name = "localhost"
data_dir = "{directory}"
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
connections_per_source = 20000
{guard}
[hiding]
toward = "{hiding}"
{listen}
"""


def main() -> None:
    """Prepare the directory, then serve."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mode", choices=["noauth", "auth"], required=True)
    parser.add_argument("--udp", required=True, help="host:port for UDP and TCP")
    parser.add_argument("--tls", help="host:port for TLS")
    parser.add_argument("--cert", default="absent.pem")
    parser.add_argument("--key", default="absent.key")
    parser.add_argument("--users", required=True, type=Path)
    parser.add_argument("--realm", default="bench.test")
    parser.add_argument("--dir", required=True, type=Path)
    parser.add_argument(
        "--ledger", action="store_true", help="record every call durably, as a node does by default"
    )
    parser.add_argument(
        "--no-guard", action="store_true", help="count nobody's messages, refuse nothing to save work"
    )
    arguments = parser.parse_args()
    directory = arguments.dir / f"ringfence-{arguments.mode}"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "ringfence.toml"
    path.write_text(text_of(arguments, directory), encoding="utf-8")
    config = Config.load(path)
    if not config.secret_file.exists():
        config.secret_file.touch(mode=0o600)
        config.secret_file.write_bytes(os.urandom(32))
    upgrade(config.database_url)
    asyncio.run(add_users(config, arguments.users))
    sys.exit(serve(config))


def text_of(arguments: argparse.Namespace, directory: Path) -> str:
    """The configuration for these arguments."""
    ports = [("udp", arguments.udp), ("tcp", arguments.udp)] + (
        [("tls", arguments.tls)] if arguments.tls else []
    )
    listen = ""
    for transport, place in ports:
        host, _, port = place.rpartition(":")
        listen += f'[[listen]]\ntransport = "{transport}"\nhost = "{host}"\nport = {port}\n'
    return CONFIG.format(
        realm=arguments.realm,
        directory=directory,
        challenge="none" if arguments.mode == "noauth" else "first",
        cert=arguments.cert,
        key=arguments.key,
        ledger=str(arguments.ledger).lower(),
        hiding="nobody" if arguments.mode == "noauth" else "strangers",
        listen=listen,
        guard="[guard]\nenabled = false\n[overload]\nenabled = false\n" if arguments.no_guard else "",
    )


async def add_users(config: Config, users: Path) -> None:
    """Make an account for each line of the file that has none yet."""
    store = await Database.open(config.database_url)
    try:
        waiting = []
        for line in users.read_text(encoding="utf-8").splitlines():
            user, _, password = line.partition(";")
            aor = f"sip:{user}@{config.domain.name}"
            if store.accounts.by_aor(aor) is None:
                ha1 = make_ha1(user, config.realm, password, Algorithm.MD5)
                waiting.append(
                    store.accounts.add(Account(aor, user, config.realm, {"MD5": ha1}, rights=MANY))
                )
        await asyncio.gather(*waiting)
    finally:
        await store.close()


if __name__ == "__main__":
    main()
