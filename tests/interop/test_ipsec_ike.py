"""``ipsec-ike``: node and phone have strongSwan agree on keys, each through a charon of its own in a network namespace.

Without ESP in the kernel the exchange goes so far: both sides prove themselves by certificates, and what is missing
then is said. With it the way is protected, which is looked at on the wire.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
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
    tmp_path,
    wire,
    writes,
)

__all__ = ["capture", "esp", "tmp_path", "wire"]  # fixtures

pytestmark = [
    pytest.mark.interop("ip", "tcpdump", "charon-systemd", "swanctl"),
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

# In the order in which they are asked: `openssl` alone does not read certificates with name constraints.
PLUGINS = (
    "aes sha1 sha2 random nonce x509 revocation constraints pubkey pkcs1 pem openssl pkcs8 hmac kdf gcm "
    "kernel-netlink socket-default vici"
)
CONFIG = """
charon-systemd {{
    load = {plugins}
    install_routes = no
    plugins {{
        vici {{
            socket = unix://{socket}
        }}
    }}
    filelog {{
        log {{
            path = {log}
            flush_line = yes
            default = 1
        }}
    }}
}}
"""


class Charon:
    """The key exchange of one side."""

    def __init__(self, place: str, directory: Path) -> None:
        directory.mkdir()
        self.vici, self._log = directory / "vici", directory / "charon.log"
        config = directory / "strongswan.conf"
        config.write_text(CONFIG.format(plugins=PLUGINS, socket=self.vici, log=self._log), encoding="ascii")
        # Without the systemd that it asks to keep its journal it only complains about that.
        environment = {**os.environ, "STRONGSWAN_CONF": str(config)}
        self._program = Program(["ip", "netns", "exec", place, "charon-systemd"], directory, environment)
        eventually(lambda: self.vici.exists() or not self._program.running, "charon")
        assert self._program.running, self._program.tail()

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def associations(self) -> str:
        asked = subprocess.run(
            ["swanctl", "--list-sas", "--uri", f"unix://{self.vici}"],
            capture_output=True, text=True, check=True, timeout=20,
        )  # fmt: skip
        return asked.stdout

    def end(self) -> None:
        self._program.end()


@pytest.fixture
def charons(wire: Wire, tmp_path: Path) -> Iterator[Callable[[str], Charon]]:
    started: list[Charon] = []

    def start(place: str) -> Charon:
        started.append(Charon(place, tmp_path / f"charon{len(started)}"))
        return started[-1]

    yield start
    for each in started:
        each.end()


def issue(domain: Domain, config: Path, user: str) -> Path:
    """The certificate of a user, from the domain's own CA."""
    sh("env", "-C", domain.directory, RINGFENCE, "cert", "issue", "--user", user, "--config", config)
    return domain.directory / f"{user}.pem"


def phone_by(domain: Domain, charon: Charon, certificate: Path, trust: Path) -> list[str | Path]:
    text = f'vici = "{charon.vici}"\ncertificate = "{certificate}"\n'
    (domain.directory / "phone.toml").write_text(text, encoding="utf-8")
    return ["--trust", trust]


@pytest.mark.rfc("3329", "2.4")
def test_a_phone_and_the_node_agree_on_keys_by_ikev2(
    wire: Wire, tmp_path: Path, charons: Callable[[str], Charon], esp: bool, capture: Program
) -> None:
    ours, theirs = charons(wire.server), charons(wire.phone)
    domain = Domain(wire, tmp_path, "ipsec-ike")
    domain.configure(f'\n[ipsec]\naddress = "{SERVER}"\nvici = "{ours.vici}"\n')
    node_config = tmp_path / "node" / "ringfence.toml"
    certificate = issue(domain, node_config, "alice@example.org")
    trust = phone_by(domain, theirs, certificate, tmp_path / "node" / "tls" / "ca.pem")
    node = domain.serve()
    try:
        eventually(lambda: '"serving"' in node.log.read_text() or not node.running, "the node")
        assert node.running, node.log.read_text()
        if not esp:
            said = sh(*domain.phone("register", "sip:alice@example.org", "--duration", "1"), *trust, ok=False)
            assert "the key exchange with 10.77.0.1 failed" in said
        else:
            answering = Program(
                [*domain.phone("answer", "sip:alice@example.org"), *trust], tmp_path / "answer"
            )
            eventually(lambda: '"registered"' in answering.log.read_text() or not answering.running, "alice")
            assert answering.running, answering.log.read_text() + theirs.log()
            assert "TRANSPORT" in ours.associations()
            assert '"sent"' in sh(*writes(domain, "sip:alice@example.org", "seen by nobody on the way"))
            eventually(lambda: "seen by nobody" in answering.log.read_text(), "the text")
            end(answering)
    finally:
        end(node)
    for log, other in ((ours.log(), "CN=alice@example.org"), (theirs.log(), "example.org")):
        assert re.search(f"authentication of '{re.escape(other)}' with .* successful", log), log
    end(capture)
    seen = capture.log.read_text(errors="replace")
    assert "REGISTER sip:" not in seen
    assert "Authorization" not in seen
    if esp:
        assert seen.count("ESP(spi=") >= 8, seen
        assert "seen by nobody" not in seen
    assert ours.associations() == "", "the node takes back what it asked charon for"


def test_a_phone_of_another_authority_makes_no_keys(
    wire: Wire, tmp_path: Path, charons: Callable[[str], Charon]
) -> None:
    ours, theirs = charons(wire.server), charons(wire.phone)
    domain = Domain(wire, tmp_path, "ipsec-ike")
    domain.configure(f'\n[ipsec]\naddress = "{SERVER}"\nvici = "{ours.vici}"\n')
    sh(RINGFENCE, "init", "example.org", "--dir", tmp_path / "other", "--host", PHONE)
    certificate = issue(domain, tmp_path / "other" / "ringfence.toml", "alice@example.org")
    trust = phone_by(domain, theirs, certificate, tmp_path / "node" / "tls" / "ca.pem")
    node = domain.serve()
    try:
        eventually(lambda: '"serving"' in node.log.read_text() or not node.running, "the node")
        assert node.running, node.log.read_text()
        said = sh(*domain.phone("register", "sip:alice@example.org", "--duration", "1"), *trust, ok=False)
        assert "the key exchange with 10.77.0.1 failed" in said
        assert "no trusted" in ours.log(), ours.log()
        assert not re.search("authentication of 'CN=alice@example.org' with .* successful", ours.log())
        assert ours.associations() == ""
    finally:
        end(node)
