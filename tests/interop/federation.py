"""Three domains on loopback that federate by mutual TLS: two of Ringfence, and one of Kamailio by the recipe of
docs/federate-kamailio.md. Each has its own private CA, and has been given those of the others."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.interop.node import Node, ringfence
from tests.interop.processes import Program, eventually

RECIPE = Path(__file__).parents[2] / "examples" / "kamailio"
ADDRESSES = {"example.org": "127.0.77.1", "example.net": "127.0.77.2", "kamailio.example": "127.0.77.3"}
EXAMPLE = {"example.org": "203.0.113.10", "example.net": "203.0.113.20", "kamailio.example": "203.0.113.30"}
"""The addresses that stand in the recipe."""

SIP, PHONES, WEB = 5061, 5060, 8443
MEMORY = ("-m", "64", "-M", "8")


class Kamailio:
    """kamailio.example, by the files of the recipe."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.domain = "kamailio.example"
        self.address = ADDRESSES[self.domain]
        shutil.copytree(RECIPE, directory)
        for name in ("local.cfg", "peers.cfg", "tls.cfg"):
            path = directory / name
            text = path.read_text(encoding="utf-8")
            for domain, address in EXAMPLE.items():
                text = text.replace(address, ADDRESSES[domain])
            path.write_text(text, encoding="utf-8")
        subprocess.run(
            [directory / "make-certificates", self.domain, self.address],
            cwd=directory,
            check=True,
            capture_output=True,
            timeout=30,
        )
        self.authority = directory / "tls" / "ca.pem"
        self.program: Program

    def trust(self, *nodes: Node) -> None:
        """Take the CAs of the others."""
        tls = self.directory / "tls"
        (tls / "peers.pem").write_bytes(b"".join(node.authority.read_bytes() for node in nodes))
        for node in nodes:
            shutil.copy(node.authority, tls / f"{node.domain}-ca.pem")

    def start(self) -> None:
        """Run it in the foreground, as a child of ours."""
        arguments = ["-f", self.directory / "kamailio.cfg", "-w", self.directory, "-Y", self.directory]
        self.program = Program(["kamailio", *arguments, "-DD", "-E", *MEMORY], self.directory)
        eventually(lambda: listens(self.address, SIP), "kamailio listens")

    def end(self) -> None:
        """Stop it."""
        self.program.end()


def make_domain(directory: Path, domain: str, others: dict[str, Path], settings: str = "") -> Node:
    """``ringfence init``, and what the recipe has the owner add to ringfence.toml."""
    address = ADDRESSES[domain]
    node = Node(directory, domain, {"tls": SIP})
    ringfence("init", domain, "--dir", directory, "--host", address, f"--listen=tls:{address}:{SIP}")
    text = node.config.read_text(encoding="utf-8")
    trust = ", ".join(f'"{path}"' for path in others.values())
    text = text.replace("[tls]\n", f"[tls]\ntrust = [{trust}]\nsystem_trust = false\n")
    text = text.replace("sign = false\n", _identity(domain, address, others))
    hosts = "".join(f'"{each}" = ["{ADDRESSES[each]}"]\n' for each in ADDRESSES if each != domain)
    peers = "".join(f'[[peer]]\nname = "{each}"\ndomain = "{each}"\ntransport = "tls"\n' for each in others)
    text += f'\n[metrics]\nlisten = ""\n[log]\nformat = "json"\n[dns.hosts]\n{hosts}{peers}{settings}'
    node.config.write_text(text, encoding="utf-8")
    return node


def _identity(domain: str, address: str, others: dict[str, Path]) -> str:
    """Calls are signed; the certificate is served by the node itself."""
    trust = ", ".join(f'"{path}"' for path in others.values())
    return (
        f'sign = true\nurl = "https://{domain}:{WEB}/identity.pem"\npublish = "{address}:{WEB}"\n'
        f'trust = [{trust}]\nsystem_trust = false\nfetch_from = ["127.0.77.0/24"]\nfetch_trust = [{trust}]\n'
    )


def listens(address: str, port: int) -> bool:
    """Whether something takes connections there."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((address, port)) == 0


def require_free() -> None:
    """Skip where another program has the ports of this network."""
    for address in ADDRESSES.values():
        for port in (SIP, PHONES, WEB):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # an ended run leaves TIME-WAIT
                try:
                    probe.bind((address, port))
                except OSError as error:
                    pytest.skip(f"{address}:{port} is taken: {error.strerror}")


def connections(one: str, other: str) -> int:
    """How many TCP connections there are between two addresses, whichever side has opened them."""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    ends = [line.split()[1:3] for line in lines if line.split()[3] == ESTABLISHED]
    pair = {_hexadecimal(one), _hexadecimal(other)}
    found = [end for end in ends if {place.partition(":")[0] for place in end} == pair]
    return len(found) // 2  # each is there once for each end


ESTABLISHED = "01"


def _hexadecimal(address: str) -> str:
    return f"{int.from_bytes(socket.inet_aton(address), 'little'):08X}"
