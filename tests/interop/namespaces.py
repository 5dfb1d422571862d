"""Networks of our own: namespaces of Linux with a node, two routers with NAT, and a phone behind each.

    phone a (192.168.1.10) - NAT a (198.51.100.2) - core (198.51.100.1, 203.0.113.1, the node) - NAT b - phone b

The phones have the same private address, so that nothing works by accident.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

NODE = "203.0.113.100"
"""Where the node listens; on its loopback interface, so that both sides reach it by one address."""

PHONE = "192.168.1.10"

# What a NAT does with ports (RFC 4787): keeps the source port, so that all destinations see one mapping, and lets in
# only the address and port that were sent to; or a random port for each destination, which is symmetric.
MAPPING = {"port-restricted": "masquerade", "symmetric": "masquerade fully-random"}


class Lab:
    """The namespaces, while they exist. ``run`` and ``inside`` name one: core, nata, natb, a, b."""

    def __init__(self, nat: str) -> None:
        if os.geteuid() != 0:
            pytest.skip("network namespaces need root")
        for program in ("ip", "nft"):
            if shutil.which(program) is None:
                pytest.skip(f"{program} is not installed")
        self._prefix = f"rf{os.getpid() % 100_000}-"
        self._names = ("core", "nata", "natb", "a", "b")
        try:
            self._ip("netns", "add", self._prefix + "core")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
        try:
            for name in self._names[1:]:
                self._ip("netns", "add", self._prefix + name)
            self._build(nat)
        except BaseException:
            self.close()
            raise

    def _build(self, nat: str) -> None:
        self.run("core", "ip", "addr", "add", f"{NODE}/32", "dev", "lo")
        for side, net in (("a", "198.51.100"), ("b", "198.51.101")):
            self._join("core", f"{net}.1/24", f"nat{side}", f"{net}.2/24")
            self._join(f"nat{side}", "192.168.1.1/24", side, f"{PHONE}/24")
            self.run(side, "ip", "route", "add", "default", "via", "192.168.1.1")
            self.run(f"nat{side}", "ip", "route", "add", "default", "via", f"{net}.1")
            rules = (
                "table ip nat {\nchain out {\ntype nat hook postrouting priority 100\n"
                f'oifname "to-core" {MAPPING[nat]}\n}}\n}}\n'
            )
            self.run(f"nat{side}", "nft", rules)
        for name in self._names:
            self.run(name, "ip", "link", "set", "lo", "up")
        for router in ("core", "nata", "natb"):
            self.run(router, "sysctl", "-qw", "net.ipv4.ip_forward=1")

    def _join(self, near: str, near_address: str, far: str, far_address: str) -> None:
        ends = (near, f"to-{far}", near_address), (far, f"to-{near}", far_address)
        made = [f"{self._prefix}{far}{number}"[:15] for number in range(2)]
        self._ip("link", "add", made[0], "type", "veth", "peer", "name", made[1])
        for device, (name, called, address) in zip(made, ends, strict=True):
            self._ip("link", "set", device, "netns", self._prefix + name, "name", called)
            self.run(name, "ip", "addr", "add", address, "dev", called)
            self.run(name, "ip", "link", "set", called, "up")

    def inside(self, name: str, *command: str | Path) -> list[str | Path]:
        """The command line that runs a command in a namespace."""
        return ["ip", "netns", "exec", self._prefix + name, *command]

    def run(self, name: str, *command: str | Path) -> None:
        """Run a command there, to its end."""
        subprocess.run(self.inside(name, *command), check=True, capture_output=True)

    def close(self) -> None:
        """Remove all; what still runs in them keeps its own until it ends."""
        for name in self._names:
            subprocess.run(["ip", "netns", "del", self._prefix + name], check=False, capture_output=True)

    def _ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)
