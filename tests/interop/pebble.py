"""A Pebble, the ACME server of Let's Encrypt for tests, with a DNS of its own. It proves names for real."""

from __future__ import annotations

import json
import os
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ringfence.security.authority import Authority, new_key
from ringfence.security.pem import chain_pem, key_pem
from tests.interop.processes import HOST, Program, eventually, free_port

DNS = "pebble-challtestsrv"


@dataclass
class Pebble:
    """A running one. Every name is 127.0.0.1 in its DNS."""

    root: Path
    """The root of its own TLS certificate, not of what it issues."""
    http_port: int
    """Where it asks for http-01."""
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def directory(self) -> str:
        """The URL of its directory."""
        return f"https://{HOST}:{self.ports['acme']}/dir"

    def issuer(self) -> bytes:
        """The root of what it issues, in PEM: a new one at each start."""
        with self._open(f"https://{HOST}:{self.ports['management']}/roots/0") as answer:
            return bytes(answer.read())

    def status(self, serial: int) -> str:
        """What it says of a certificate: Valid or Revoked."""
        url = f"https://{HOST}:{self.ports['management']}/cert-status-by-serial/{serial:x}"
        with self._open(url) as answer:
            return str(json.load(answer)["Status"])

    def _open(self, url: str) -> Any:
        return urllib.request.urlopen(url, context=ssl.create_default_context(cafile=str(self.root)))

    @property
    def set_record(self) -> str:
        """The URL at which its DNS takes TXT records."""
        return f"http://{HOST}:{self.ports['dns management']}"


@contextmanager
def pebble(directory: Path, **settings: Any) -> Iterator[Pebble]:
    """One that runs while the block does. ``settings`` are more of its configuration."""
    directory.mkdir()
    root = _make_certificate(directory)
    ports = {name: free_port() for name in ("acme", "management", "dns", "dns management", "http", "tls")}
    config = {
        "listenAddress": f"{HOST}:{ports['acme']}",
        "managementListenAddress": f"{HOST}:{ports['management']}",
        "certificate": str(directory / "server.pem"),
        "privateKey": str(directory / "server.key"),
        "httpPort": ports["http"],
        "tlsPort": ports["tls"],
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
    }
    (directory / "config.json").write_text(json.dumps({"pebble": config | settings}))
    environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1"}
    dns = [DNS, "-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""]
    dns += ["-dns01", f"{HOST}:{ports['dns']}", "-management", f"{HOST}:{ports['dns management']}"]
    acme = ["pebble", "-config", str(directory / "config.json"), "-dnsserver", f"{HOST}:{ports['dns']}"]
    programs = [Program(dns, directory), Program(acme, directory, environment)]
    try:
        for program, name in zip(programs, ("dns management", "acme"), strict=True):
            eventually(lambda: _answers(ports[name], program), f"{program.name} listens")  # noqa: B023
        yield Pebble(root, ports["http"], ports)
    finally:
        for program in programs:
            program.end()


def _answers(port: int, program: Program) -> bool:
    assert program.running, program.tail()
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _make_certificate(directory: Path) -> Path:
    import time

    now = time.time()
    authority = Authority.create("Pebble's own", now=now, serial=1)
    key = new_key()
    certificate = authority.issue_server(key.public_key(), [HOST], now=now, serial=2)
    (directory / "server.pem").write_bytes(chain_pem([certificate]))
    (directory / "server.key").write_bytes(key_pem(key))
    root = directory / "root.pem"
    root.write_bytes(chain_pem([authority.certificate]))
    return root
