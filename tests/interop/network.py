"""A domain of four processes, made by the commands of docs/roles.md: two edges, a core, a border proxy."""

from __future__ import annotations

import re
import socket
from pathlib import Path

from ringfence.client import UserAgent
from tests.interop.node import RINGFENCE, environment, password_of, ringfence
from tests.interop.processes import Program, eventually, free_port

DOMAIN = "first.localhost"
NODES = {"core": "core", "edge1": "edge", "edge2": "edge", "border": "outbound"}


class NetworkOfNodes:
    """The four of them, each in a directory and a process of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.tls = {name: free_port() for name in NODES}
        self.udp = {name: free_port() for name in ("edge1", "edge2")}
        self.running: dict[str, Program] = {}
        for name, role in NODES.items():
            ports = [f"--listen=tls:*:{self.tls[name]}"]
            ports += [f"--listen={each}:*:{self.udp[name]}" for each in ("udp", "tcp") if name in self.udp]
            join = () if role == "core" else ("--join", self.config("core"))
            ringfence(
                "init", DOMAIN, "--role", role, "--host", f"{name}.{DOMAIN}", *ports, *join, "--dir", directory / name
            )  # fmt: skip
        for name in NODES:
            text = self.config(name).read_text(encoding="utf-8")
            self.config(name).write_text(
                re.sub(r'listen = "127.0.0.1:909."', 'listen = ""', text), encoding="utf-8"
            )
        for user in ("alice", "bob"):
            ringfence(
                "user", "add", user, "--password=-", "--config", self.config("core"), typed=f"{password_of(user)}\n"
            )  # fmt: skip

    def config(self, name: str) -> Path:
        """The configuration of a node."""
        return self.directory / name / "ringfence.toml"

    @property
    def authority(self) -> Path:
        """The certificate of the CA that all nodes have theirs from."""
        return self.directory / "core" / "tls" / "ca.pem"

    def add(self, name: str, settings: str, **changed: str) -> None:
        """Write more into a configuration."""
        text = self.config(name).read_text(encoding="utf-8")
        for old, new in changed.items():
            text = text.replace(f"{old} = false\n", new)
        self.config(name).write_text(text + settings, encoding="utf-8")

    def serve(self) -> None:
        """Start all."""
        for name in NODES:
            command = [RINGFENCE, "serve", "--config", self.config(name)]
            self.running[name] = Program(command, self.directory / name, environment())
        for name, program in self.running.items():
            eventually(lambda name=name, program=program: self._ready(name, program), f"{name} serves", 30)  # type: ignore[misc]

    def _ready(self, name: str, program: Program) -> bool:
        assert program.running, program.tail()
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.directory / name / "data" / "control.sock")) == 0

    def end(self) -> None:
        """Stop all."""
        for program in self.running.values():
            program.end()

    def phone(self, user: str, edge: str, transport: str = "tls") -> UserAgent:
        """A phone of a user, at an edge."""
        port = self.tls[edge] if transport == "tls" else self.udp[edge]
        return UserAgent(
            f"sip:{user}@{DOMAIN}",
            password=password_of(user),
            proxy=f"sip:{edge}.{DOMAIN}:{port};transport={transport}",
            trust=self.authority,
        )
