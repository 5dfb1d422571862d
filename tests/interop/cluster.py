"""Several machines of one domain: network namespaces on a switch, with nodes, phones and a name server in them.

    edge1 10.77.0.11   edge2 10.77.0.12   core1 10.77.0.21   core2 10.77.0.22   phones 10.77.0.100   names 10.77.0.254

The cores have their registrations in one Redis, by which all nodes tell each other of bans and counts. It is reached by
a Unix socket, which namespaces do not part.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop import names
from tests.interop.node import RINGFENCE, environment, password_of, ringfence
from tests.interop.processes import Program, eventually

DOMAIN = "cluster.test"
ADDRESSES = {
    "edge1": "10.77.0.11",
    "edge2": "10.77.0.12",
    "core1": "10.77.0.21",
    "core2": "10.77.0.22",
    "phones": "10.77.0.100",
    "names": "10.77.0.254",
}
NODES = ("core1", "core2", "edge1", "edge2")


class Cluster:
    """The machines, while they exist."""

    def __init__(self, directory: Path, redis: str) -> None:
        if os.geteuid() != 0:
            pytest.skip("network namespaces need root")
        if shutil.which("ip") is None:
            pytest.skip("ip is not installed")
        self.directory = directory
        self._prefix = f"rc{os.getpid() % 100_000}-"
        self.running: dict[str, Program] = {}
        self._programs: list[Program] = []
        try:
            self._ip("netns", "add", self._prefix + "names")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
        try:
            self._build()
            self._configure(redis)
        except BaseException:
            self.close()
            raise

    # -- machines --------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.run("names", "ip", "link", "add", "switch", "type", "bridge")
        self.run("names", "ip", "addr", "add", f"{ADDRESSES['names']}/24", "dev", "switch")
        for device in ("lo", "switch"):
            self.run("names", "ip", "link", "set", device, "up")
        for number, (name, address) in enumerate(ADDRESSES.items()):
            if name == "names":
                continue
            self._ip("netns", "add", self._prefix + name)
            near, far = f"{self._prefix}{number}n", f"{self._prefix}{number}f"
            self._ip("link", "add", near, "type", "veth", "peer", "name", far)
            self._ip("link", "set", near, "netns", self._prefix + "names")
            self._ip("link", "set", far, "netns", self._prefix + name, "name", "net")
            self.run("names", "ip", "link", "set", near, "master", "switch", "up")
            self.run(name, "ip", "addr", "add", f"{address}/24", "dev", "net")
            for device in ("lo", "net"):
                self.run(name, "ip", "link", "set", device, "up")
        for name in ADDRESSES:
            own = Path("/etc/netns") / (self._prefix + name)
            own.mkdir(parents=True, exist_ok=True)
            (own / "resolv.conf").write_text(f"nameserver {ADDRESSES['names']}\n", encoding="ascii")

    def _serve_names(self) -> None:
        lines = [f"{name}.{DOMAIN}. A {address}" for name, address in ADDRESSES.items()]
        # Route has the shared name with a port, so that any core takes what is inside a dialog (RFC 3263 section 4.2).
        lines += [f"core.{DOMAIN}. A {ADDRESSES[core]}" for core in ("core1", "core2")]
        for order, core in enumerate(("core1", "core2")):
            lines.append(f"_sips._tcp.core.{DOMAIN}. SRV {order} 1 5061 {core}.{DOMAIN}.")
        for edge in ("edge1", "edge2"):
            lines.append(f"_sips._tcp.{DOMAIN}. SRV {edge[-1]} 1 5061 {edge}.{DOMAIN}.")
        zone = self.directory / "zone"
        zone.write_text("\n".join(lines) + "\n", encoding="ascii")
        command = self.inside("names", sys.executable, Path(names.__file__), ADDRESSES["names"], zone)
        self._programs.append(Program(command, self.directory / "names", environment()))

    def inside(self, name: str, *command: str | Path) -> list[str | Path]:
        """The command line that runs a command on a machine."""
        return ["ip", "netns", "exec", self._prefix + name, *command]

    def run(self, name: str, *command: str | Path) -> None:
        """Run a command there, to its end."""
        subprocess.run(self.inside(name, *command), check=True, capture_output=True)

    def _ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    # -- nodes -----------------------------------------------------------------------------------------

    def config(self, name: str) -> Path:
        """The configuration of a node."""
        return self.directory / name / "ringfence.toml"

    @property
    def authority(self) -> Path:
        """The certificate of the CA that all nodes have theirs from."""
        return self.directory / "core1" / "tls" / "ca.pem"

    def _configure(self, redis: str) -> None:
        core = ("--host", f"core.{DOMAIN}", "--host", f"core1.{DOMAIN}", "--host", f"core2.{DOMAIN}")
        self._init("core1", "core", *core)
        for edge in ("edge1", "edge2"):
            own = ("--host", f"{edge}.{DOMAIN}", "--host", DOMAIN, "--join", self.config("core1"))
            self._init(edge, "edge", *own, "--core", f"sip:core.{DOMAIN}")
        shared = self.config("core1").read_text(encoding="utf-8")
        self.config("core1").write_text(f'{shared}\n[registrations]\nredis = "{redis}"\n', encoding="utf-8")
        shutil.copytree(self.directory / "core1", self.directory / "core2")
        for name in NODES:
            text = self.config(name).read_text(encoding="utf-8")
            text = text.replace(ADDRESSES["core1"], ADDRESSES[name]) if name == "core2" else text
            text = f'{text}\n[shared]\nredis = "{redis}"\n'
            self.config(name).write_text(text, encoding="utf-8")
        for user in ("alice", "bob"):
            typed = f"{password_of(user)}\n"
            ringfence("user", "add", user, "--password=-", "--config", self.config("core1"), typed=typed)

    def _init(self, name: str, role: str, *words: str | Path) -> None:
        listen = f"--listen=tls:{ADDRESSES[name]}:5061"
        ringfence("init", DOMAIN, "--role", role, *words, listen, "--dir", self.directory / name)

    def start(self) -> None:
        """Start the name server and all nodes."""
        self._serve_names()
        for name in NODES:
            self.serve(name)

    def serve(self, name: str) -> None:
        """Start a node and wait until it takes commands."""
        command = self.inside(name, RINGFENCE, "serve", "--config", self.config(name))
        program = self.running[name] = Program(command, self.directory / name, environment())

        def ready() -> bool:
            assert program.running, program.tail()
            done = subprocess.run(
                [RINGFENCE, "status", "--config", self.config(name)],
                capture_output=True, check=False, env=environment(),
            )  # fmt: skip
            return done.returncode == 0

        eventually(ready, f"{name} serves", 30)

    def lose(self, name: str) -> None:
        """The machine is gone at once: its cable is pulled and its power cut."""
        self.run(name, "ip", "link", "set", "net", "down")
        self.running.pop(name).kill()

    def drain(self, name: str) -> int:
        """Stop a node as an upgrade does. Gives its exit code."""
        program = self.running.pop(name)
        program.process.send_signal(signal.SIGTERM)
        return program.wait(60)

    # -- phones ----------------------------------------------------------------------------------------

    def phone(self, *words: str | Path) -> list[str | Path]:
        """The command line of a phone: ``ringfence call``, ``answer``."""
        return self.inside("phones", RINGFENCE, *words, "--trust", self.authority)

    def answering(self, user: str, edge: str) -> Program:
        """A phone that takes all calls, registered."""
        command = self.phone(
            "answer", f"sip:{user}@{DOMAIN}", "--proxy", f"sip:{edge}.{DOMAIN};transport=tls",
            "--password-file", self._password(user), "--json",
        )  # fmt: skip
        program = Program(command, self.directory / f"phone-{user}-{edge}", environment())
        self._programs.append(program)
        eventually(lambda: "registered" in program.tail(), f"{user} is registered", 20)
        return program

    def call(self, caller: str, callee: str, edge: str) -> tuple[int, str]:
        """A call of a second: exit code, and what was told."""
        command = self.phone(
            "call", f"sip:{callee}@{DOMAIN}", "--from", f"sip:{caller}@{DOMAIN}",
            "--proxy", f"sip:{edge}.{DOMAIN};transport=tls", "--password-file", self._password(caller),
            "--duration", "1",
        )  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env=environment()
        )
        return done.returncode, done.stdout + done.stderr

    def _password(self, user: str) -> Path:
        file = self.directory / f"{user}.password"
        if not file.exists():
            file.write_text(f"{password_of(user)}\n", encoding="ascii")
            file.chmod(0o600)
        return file

    def close(self) -> None:
        """Stop all and remove the machines."""
        for program in (*self._programs, *self.running.values()):
            program.end()
        for name in ADDRESSES:
            subprocess.run(["ip", "netns", "del", self._prefix + name], check=False, capture_output=True)
            shutil.rmtree(Path("/etc/netns") / (self._prefix + name), ignore_errors=True)
