"""A domain set up and served by the commands that its owner would type."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.interop.processes import HOST, Program, eventually, free_port

RINGFENCE = Path(sys.executable).with_name("ringfence")
COMMAND_SECONDS = 60.0

OLD_PHONES = "MD5"
"""What SIPp 3.6 and baresip 1.0 know. They stop at the first challenge with another algorithm, so the ports that
they use offer no other; the account has to allow it too."""


@dataclass
class Node:
    """A domain's directory and the ports of its node, running or not."""

    directory: Path
    domain: str = "example.org"
    listen: dict[str, int] = field(default_factory=dict)
    serving: Program | None = None

    @classmethod
    def create(
        cls,
        directory: Path,
        domain: str = "example.org",
        transports: Sequence[str] = ("udp", "tcp", "tls"),
        *,
        old_phones: bool = True,
        settings: str = "",
    ) -> Node:
        """``ringfence init`` with ports on loopback. UDP and TCP share a number; ``settings`` is more TOML."""
        node = cls(directory, domain)
        plain = free_port()
        for transport in transports:
            node.listen[transport] = plain if transport in {"udp", "tcp"} else free_port()
        ports = [f"--listen={transport}:{HOST}:{port}" for transport, port in node.listen.items()]
        ringfence("init", domain, "--dir", directory, "--host", HOST, *ports)
        text = node.config.read_text(encoding="utf-8")
        if old_phones:
            for port in set(node.listen.values()):
                text = text.replace(f"port = {port}\n", f'port = {port}\nalgorithms = ["{OLD_PHONES}"]\n')
        node.config.write_text(f'{text}\n[metrics]\nlisten = ""\n{settings}', encoding="utf-8")
        return node

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.directory / "ringfence.toml"

    @property
    def authority(self) -> Path:
        """The certificate of the private CA."""
        return self.directory / "tls" / "ca.pem"

    @property
    def certificate(self) -> Path:
        """The node's own certificate."""
        return self.directory / "tls" / "server.pem"

    def command(self, *words: str | Path, typed: str | None = None) -> str:
        """Run a command on this domain and give what it prints."""
        return ringfence(*words, "--config", self.config, typed=typed)

    def add_user(self, name: str, password: str | None = None, *, calls: int | None = None) -> None:
        """Add an account that old phones can use; the password is ``secret-`` and the name unless given.

        ``calls`` is how many it may have at a time; none: as many as accounts have without a word.
        """
        words = ["user", "add", name, "--password=-", "--allow-md5"]
        words += [f"--max-calls={calls}"] if calls is not None else []
        self.command(*words, typed=f"{password or password_of(name)}\n")

    def serve(self) -> None:
        """Start the node and wait until it takes commands; its ports are open by then."""
        self.serving = Program([RINGFENCE, "serve", "--config", self.config], self.directory, environment())
        control = self.directory / "data" / "control.sock"

        def ready() -> bool:
            assert self.serving is not None
            assert self.serving.running, self.serving.tail()
            with socket.socket(socket.AF_UNIX) as probe:
                return probe.connect_ex(str(control)) == 0

        eventually(ready, "ringfence serve is ready", 30)

    def status(self) -> dict[str, object]:
        """What ``ringfence status`` tells."""
        facts = json.loads(self.command("status", "--json"))
        assert isinstance(facts, dict)
        return facts

    def reload(self) -> None:
        """Send SIGHUP."""
        assert self.serving is not None
        self.serving.process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """``kill -9``."""
        assert self.serving is not None
        self.serving.kill()

    def end(self) -> None:
        """Stop the node, when it runs."""
        if self.serving is not None:
            self.serving.end()

    def resident(self) -> int:
        """Bytes of memory that the node has now."""
        assert self.serving is not None
        pages = int(Path(f"/proc/{self.serving.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def connect(self, transport: str) -> socket.socket:
        """A connection of our own; over TLS the certificate is checked against the domain's CA."""
        plain = socket.create_connection((HOST, self.listen[transport]), timeout=10)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if transport != "tls":
            return plain
        context = ssl.create_default_context(cafile=str(self.authority))
        return context.wrap_socket(plain, server_hostname=self.domain)


def password_of(name: str) -> str:
    """The password that the tests give to a user."""
    return f"secret-{name}"


def environment() -> dict[str, str]:
    """The environment for ringfence: without what would point it at another configuration."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RINGFENCE_")}


def ringfence(*words: str | Path, typed: str | None = None) -> str:
    """Run a command to its end and give what it prints."""
    done = subprocess.run(
        [RINGFENCE, *words],
        input=typed,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, f"{words} gave {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout
