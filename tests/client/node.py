"""A real node on loopback for the domain example.org, with its own authority, in this process."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization

from ringfence.client import UserAgent
from ringfence.security.authority import Authority, new_key, serial_number
from ringfence.security.digest import Algorithm, make_ha1
from ringfence.service.config import Config
from ringfence.service.process import Node as RunningNode
from ringfence.service.process import running
from ringfence.store.memory import MemoryStore
from ringfence.store.records import Account
from tests.client.phones import TIMERS

DOMAIN = "example.org"
PASSWORD = "correct horse battery"
ALGORITHMS = (Algorithm.SHA_512_256, Algorithm.SHA_256)


def free_port() -> int:
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        port = int(tcp.getsockname()[1])
        udp.bind(("127.0.0.1", port))
        return port


def private(path: Path, data: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(data)


def write_pair(
    certificate: Path, key: Path, authority: Authority | None, names: list[str]
) -> Authority | None:
    """Write an authority, or with one a server certificate for these names, and its key."""

    def serial() -> int:
        return serial_number(os.urandom(20))

    now = time.time()
    if authority is None:
        made = Authority.create("test", now=now, serial=serial())
        shown, secret = made.certificate, made.key
    else:
        made = None
        secret = new_key()
        shown = authority.issue_server(secret.public_key(), names, now=now, serial=serial())
    certificate.write_bytes(shown.public_bytes(serialization.Encoding.PEM))
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private(key, secret.private_bytes(*pem))
    return made


class Node:
    """The node, and agents of its users."""

    def __init__(self, running: RunningNode, directory: Path, ports: dict[str, int]) -> None:
        self.running = running
        self.ca = directory / "ca.pem"
        self._ports = ports

    def proxy(self, transport: str) -> str:
        """Its address, as an outbound proxy."""
        port = self._ports[transport]
        if transport in {"tls", "wss"}:
            return f"sips:127.0.0.1:{port}" + (";transport=ws" if transport == "wss" else "")
        return f"sip:127.0.0.1:{port};transport={transport}"

    def agent(self, name: str, transport: str = "tls", **settings: Any) -> UserAgent:
        """An agent of a user of the node, not open yet."""
        scheme = "sips" if transport in {"tls", "wss"} else "sip"
        settings.setdefault("password", PASSWORD)
        settings.setdefault("timers", TIMERS)
        return UserAgent(f"{scheme}:{name}@{DOMAIN}", proxy=self.proxy(transport), trust=self.ca, **settings)

    async def registered(self, name: str) -> list[str]:
        """The contacts that the node knows of a user."""
        found = self.running.parts.store.bindings.lookup(f"sip:{name}@{DOMAIN}", time.time())
        bindings = found if isinstance(found, tuple) else await found
        return [binding.contact for binding in bindings]


@contextlib.asynccontextmanager
async def serving(directory: Path, **sections: Any) -> AsyncIterator[Node]:
    """Run a node with the accounts alice, bob and carol while the block runs."""
    authority = write_pair(directory / "ca.pem", directory / "ca.key", None, [])
    write_pair(directory / "server.pem", directory / "server.key", authority, [DOMAIN])
    ports = {"udp": free_port(), "tls": free_port(), "wss": free_port()}
    ports["tcp"] = ports["udp"]
    private(directory / "secret.key", os.urandom(64))
    config = Config.from_values(
        {
            "domain": {"name": DOMAIN},
            "node": {"data_dir": str(directory), "name": "localhost"},
            "tls": {"certificate": "server.pem", "key": "server.key", "ca": "ca.pem", "ca_key": "ca.key"},
            "listen": [
                {"transport": transport, "host": "127.0.0.1", "port": port}
                for transport, port in ports.items()
            ],
            "metrics": {"listen": ""},
        }
        | sections,
        directory / "ringfence.toml",
    )
    store = MemoryStore()
    for name in ("alice", "bob", "carol"):
        credentials = {str(each): make_ha1(name, DOMAIN, PASSWORD, each) for each in ALGORITHMS}
        await store.accounts.add(
            Account(aor=f"sip:{name}@{DOMAIN}", user=name, realm=DOMAIN, credentials=credentials)
        )
    async with running(config, store) as node:
        yield Node(node, directory, ports)
