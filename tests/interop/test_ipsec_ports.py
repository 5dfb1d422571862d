"""``ipsec-3gpp`` between a node and phones in two network namespaces, over UDP and over TCP: who comes from which port.

Where the kernel has ESP, it does it, and the wire shows nothing else. Where it has none, something stands in its place
that lets everything pass: then nothing here is protected, and what is tested is the rest. The agreement, the four ports
and the directions between them are what the associations would be for, and each packet has to fit one of them.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from tests.interop.node import RINGFENCE
from tests.interop.processes import Program, eventually
from tests.interop.test_ipsec import (
    PHONE,
    SERVER,
    Domain,
    Wire,
    capture,
    end,
    esp,
    sh,
    subscriber,
    tmp_path,
    wire,
    writes,
)

__all__ = ["capture", "esp", "tmp_path", "wire"]  # fixtures

pytestmark = [
    pytest.mark.interop("ip", "tcpdump"),
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

OPEN = """
import ringfence.client.ipsec, ringfence.service.ipsec
from ringfence.cli.app import main
class Open:
    def shut(self, endpoint): pass
    def add(self, associations, own): pass
    def remove(self, associations, own): pass
    def close(self): pass
ringfence.client.ipsec.kernel_ipsec = ringfence.service.ipsec.kernel_ipsec = Open
main()
"""
"""``ringfence`` on an operating system that protects nothing."""


class Ports(Domain):
    """A domain whose node and phones run on such a system where there is no ESP."""

    esp = False

    def _run(self, words: list[str | Path], ringfence: int) -> list[str | Path]:
        return (
            words if self.esp else [*words[:ringfence], sys.executable, "-c", OPEN, *words[ringfence + 1 :]]
        )

    def serve(self) -> Program:
        config = self.directory / "node" / "ringfence.toml"
        words: list[str | Path] = [
            "ip",
            "netns",
            "exec",
            self.wire.server,
            RINGFENCE,
            "serve",
            "--config",
            config,
        ]
        return Program(self._run(words, 4), self.directory / "serving")

    def phone(self, *words: str) -> list[str | Path]:
        return self._run(super().phone(*words), 4)

    def by(self, transport: str, words: list[str | Path]) -> list[str | Path]:
        place = words.index("--transport")
        return [*words[: place + 1], transport, *words[place + 2 :]]


@pytest.fixture
def domain(wire: Wire, tmp_path: Path, esp: bool) -> Ports:
    made = Ports(wire, tmp_path, "ipsec-3gpp")
    made.esp = esp
    made.configure(subscriber(tmp_path))
    return made


@pytest.mark.rfc("3329", "2.4")
def test_each_way_has_its_ports(domain: Ports, capture: Program, esp: bool) -> None:
    node = domain.serve()
    try:
        eventually(lambda: '"serving"' in node.log.read_text() or not node.running, "the node")
        for number, transport in enumerate(("udp", "tcp"), 1):
            register_and_write(domain, transport)
            assert node.log.read_text().count("ipsec-3gpp agreed") == number
    finally:
        end(node)
    end(capture)
    seen = capture.log.read_text(errors="replace")
    if esp:
        assert seen.count("ESP(spi=") >= 16, seen
        assert "REGISTER sip:" not in seen
        return
    assert seen.count("REGISTER sip:") >= 4, "once or more by each"
    # Phone port-c to server port-s and back, server port-c to phone port-s and back.
    there, here = (f"{PHONE}.5064", f"{SERVER}.5062"), (f"{SERVER}.5064", f"{PHONE}.5062")
    for tcp in (False, True):
        ways = {(source, destination) for source, destination, line in packets(seen) if is_tcp(line) == tcp}
        assert ways <= {there, there[::-1], here, here[::-1]}, ways
        # A phone by TCP is called over the connection that it has open (RFC 5626): the first way, and back.
        assert ({there, there[::-1]} if tcp else {there, here}) <= ways


def register_and_write(domain: Ports, transport: str) -> None:
    words = domain.by(transport, domain.phone("answer", "sip:alice@example.org"))
    answering = Program(words, domain.directory / transport)
    eventually(lambda: '"registered"' in answering.log.read_text() or not answering.running, "alice")
    assert answering.running, answering.log.read_text()
    assert '"sent"' in sh(*writes(domain, "sip:alice@example.org", f"by {transport}"))
    eventually(lambda: f"by {transport}" in answering.log.read_text(), "the text")
    end(answering)


def packets(seen: str) -> list[tuple[str, str, str]]:
    """Source, destination and what tcpdump says of it, without what went in clear before the agreement."""
    found = re.findall(r"IP ([\d.]+) > ([\d.]+): (.*)", seen)
    clear = f"{SERVER}.5060"
    return [each for each in found if clear not in each[:2]]


def is_tcp(line: str) -> bool:
    return line.startswith("Flags")
