"""A first hop under IPsec, agreed on by RFC 3329, between two network namespaces, seen by tcpdump on the wire.

Where the kernel can't do ESP at all (a container host that was built without it) the same commands have to say so: then
that is what is tested. The rules that shut a port need no ESP, and are tested everywhere.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop.node import RINGFENCE
from tests.interop.processes import Program, eventually

pytestmark = [
    pytest.mark.interop("ip", "tcpdump"),
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

SERVER, PHONE = "10.77.0.1", "10.77.0.2"
PORT = 5062
PASSWORD = "a-long-password"


def sh(*command: object, ok: bool | None = True) -> str:
    done = subprocess.run(
        [str(each) for each in command], capture_output=True, text=True, timeout=60, check=False
    )
    assert ok is None or (done.returncode == 0) == ok, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@dataclass
class Wire:
    """Two namespaces and a cable."""

    server: str
    phone: str
    link: str

    def at(self, place: str, *command: object, ok: bool | None = True) -> str:
        return sh("ip", "netns", "exec", place, *command, ok=ok)


@pytest.fixture
def wire() -> Iterator[Wire]:
    mark = secrets.token_hex(2)
    made = Wire(f"rf{mark}s", f"rf{mark}p", f"rf{mark}")
    sh("ip", "netns", "add", made.server)
    sh("ip", "netns", "add", made.phone)
    try:
        sh("ip", "link", "add", f"{made.link}s", "netns", made.server, "type", "veth", "peer", "name", f"{made.link}p",
           "netns", made.phone)  # fmt: skip
        for place, end, address in ((made.server, "s", SERVER), (made.phone, "p", PHONE)):
            sh("ip", "-n", place, "addr", "add", f"{address}/24", "dev", f"{made.link}{end}")
            sh("ip", "-n", place, "link", "set", f"{made.link}{end}", "up")
            sh("ip", "-n", place, "link", "set", "lo", "up")
        yield made
    finally:
        sh("ip", "netns", "del", made.server)
        sh("ip", "netns", "del", made.phone)


@pytest.fixture
def esp(wire: Wire) -> bool:
    """Whether this kernel has ESP."""
    done = subprocess.run(
        ["ip", "-n", wire.phone, "xfrm", "state", "add", "src", PHONE, "dst", SERVER, "proto", "esp", "spi", "0x999",
         "mode", "transport", "auth-trunc", "hmac(sha256)", "0x" + "61" * 32, "128",
         "enc", "cbc(aes)", "0x" + "62" * 16],
        capture_output=True, check=False,
    )  # fmt: skip
    sh("ip", "-n", wire.phone, "xfrm", "state", "flush")
    return done.returncode == 0


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short one: the path of a Unix socket has a limit."""
    return tmp_path_factory.mktemp("esp")


@dataclass
class Domain:
    """A node in one namespace, and what a phone in the other needs."""

    wire: Wire
    directory: Path
    mechanism: str
    others: tuple[str, ...] = ()
    """What the node also offers."""

    def configure(self, ipsec: str) -> None:
        node = self.directory / "node"
        sh(RINGFENCE, "init", "example.org", "--dir", node, "--host", SERVER, f"--listen=udp:{SERVER}:5060",
           f"--listen=tcp:{SERVER}:5060", f"--listen=tls:{SERVER}:5061")  # fmt: skip
        config = node / "ringfence.toml"
        with config.open("a", encoding="utf-8") as file:
            file.write(f'\n[metrics]\nlisten = ""\n{ipsec}')
        text = config.read_text(encoding="utf-8")
        offered = ", ".join(f'"{name}"' for name in (self.mechanism, *self.others))
        agreement = f'[security]\nagreement = "require"\nmechanisms = [{offered}]\n'
        config.write_text(
            text.replace("[security]\n", agreement) if "[security]\n" in text else text + agreement
        )
        for user in ("alice", "bob"):
            subprocess.run(
                [RINGFENCE, "user", "add", user, "--password", "-", "--config", config],
                input=PASSWORD, text=True, check=True, capture_output=True,
            )  # fmt: skip

    def serve(self) -> Program:
        return Program(
            ["ip", "netns", "exec", self.wire.server, RINGFENCE, "serve",
             "--config", self.directory / "node" / "ringfence.toml"],
            self.directory / "serving",
        )  # fmt: skip

    def phone(self, *words: str) -> list[str | Path]:
        password = self.directory / "password"
        password.write_text(PASSWORD, encoding="utf-8")
        return [
            "ip", "netns", "exec", self.wire.phone, RINGFENCE, *words, "--proxy", f"sip:{SERVER}:5060",
            "--transport", "udp", "--password-file", password, "--agree", self.mechanism,
            "--ipsec", self.directory / "phone.toml", "--json",
        ]  # fmt: skip


@pytest.fixture
def capture(wire: Wire, tmp_path: Path) -> Iterator[Program]:
    program = Program(
        [
            "ip",
            "netns",
            "exec",
            wire.phone,
            "tcpdump",
            "-U",
            "-n",
            "-A",
            "-s0",
            "-i",
            f"{wire.link}p",
            "not",
            "arp",
        ],
        tmp_path / "capture",
    )
    eventually(lambda: "listening on" in program.log.read_text(errors="replace"), "tcpdump")
    yield program
    end(program)


def end(program: Program) -> None:
    if program.running:
        program.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            program.process.wait(10)


def by_hand(directory: Path) -> str:
    keys = f"{secrets.token_hex(32)}\n{secrets.token_hex(16)}\n"
    for place in (directory / "node" / "phone.keys", directory / "phone.keys"):
        place.parent.mkdir(exist_ok=True)
        place.write_text(keys, encoding="ascii")
        place.chmod(0o600)
    (directory / "phone.toml").write_text(
        'keys = "phone.keys"\nspi_in = 7002\nspi_out = 7001\n', encoding="utf-8"
    )
    return textwrap.dedent(f"""
        [ipsec]
        address = "{SERVER}"
        [[ipsec.phone]]
        address = "{PHONE}"
        spi_in = 7001
        spi_out = 7002
        keys = "phone.keys"
        """)


def subscriber(directory: Path) -> str:
    keys = f"{secrets.token_hex(16)}\n{secrets.token_hex(16)}\n"
    for place in (directory / "node" / "alice.keys", directory / "alice.keys"):
        place.parent.mkdir(exist_ok=True)
        place.write_text(keys, encoding="ascii")
        place.chmod(0o600)
    (directory / "phone.toml").write_text('subscriber = "alice.keys"\n', encoding="utf-8")
    return textwrap.dedent(f"""
        [ipsec]
        address = "{SERVER}"
        [[ipsec.phone]]
        user = "alice@example.org"
        keys = "alice.keys"
        """)


@pytest.mark.rfc("3329", "2.4")
@pytest.mark.parametrize(("mechanism", "keys"), [("ipsec-man", by_hand), ("ipsec-3gpp", subscriber)])
def test_a_phone_registers_and_writes_under_esp(
    wire: Wire, tmp_path: Path, capture: Program, esp: bool, mechanism: str, keys: object
) -> None:
    domain = Domain(wire, tmp_path, mechanism)
    domain.configure(keys(tmp_path))  # type: ignore[operator]
    node = domain.serve()
    try:
        if not esp:
            assert node.wait(30) != 0
            assert "can't do this part of IPsec, ESP" in node.log.read_text()
            return
        eventually(lambda: '"serving"' in node.log.read_text() or not node.running, "the node")
        assert node.running, node.log.read_text()
        answering = Program(domain.phone("answer", "sip:alice@example.org"), tmp_path / "answer")
        eventually(
            lambda: '"registered"' in answering.log.read_text() or not answering.running, "the registration"
        )
        assert answering.running, answering.log.read_text() + node.log.read_text()
        sending = sh(*writes(domain, "sip:alice@example.org", "seen by nobody on the way"))
        assert '"sent"' in sending
        eventually(lambda: "seen by nobody" in answering.log.read_text(), "the text")
        end(answering)
    finally:
        end(node)
    end(capture)
    seen = capture.log.read_text(errors="replace")
    assert seen.count("ESP(spi=") >= 8, seen
    # In clear there is the agreement alone: OPTIONS, once or again, and its 494.
    assert "REGISTER sip:" not in seen
    assert "MESSAGE sip:" not in seen
    assert "seen by nobody" not in seen
    assert "Authorization" not in seen
    assert sh("ip", "-n", wire.server, "xfrm", "policy") == ""
    assert sh("ip", "-n", wire.server, "xfrm", "state") == ""
    assert sh("ip", "-n", wire.phone, "xfrm", "state") == ""


@pytest.mark.rfc("3329", "2.3.1")
@pytest.mark.parametrize("known", [("ipsec-3gpp", "digest"), ("digest",)])
def test_what_the_kernel_can_not_do_is_on_nobodys_list(
    wire: Wire, tmp_path: Path, esp: bool, known: tuple[str, ...]
) -> None:
    """With ESP a phone that knows both takes the better one, otherwise both kinds of phone come by digest."""
    domain = Domain(wire, tmp_path, "ipsec-3gpp", ("digest",))
    domain.configure(subscriber(tmp_path))
    node = domain.serve()
    try:
        eventually(lambda: '"serving"' in node.log.read_text() or not node.running, "the node")
        assert node.running, node.log.read_text()
        assert ("ipsec-3gpp is not offered" in node.log.read_text()) == (not esp)
        words = domain.phone("register", "sip:alice@example.org", "--duration", "1")
        place = words.index("--agree")
        words[place : place + 2] = [word for name in known for word in ("--agree", name)]
        sh(*words)
        assert ("ipsec-3gpp agreed" in node.log.read_text()) == (esp and "ipsec-3gpp" in known)
    finally:
        end(node)


def writes(domain: Domain, to: str, text: str) -> list[str | Path]:
    """Bob, on the server's machine, by TLS."""
    return [
        "ip", "netns", "exec", domain.wire.server, RINGFENCE, "message", to, text, "--from", "sip:bob@example.org",
        "--proxy", f"sip:{SERVER}:5061;transport=tls", "--trust", domain.directory / "node" / "tls" / "ca.pem",
        "--password-file", domain.directory / "password", "--json",
    ]  # fmt: skip


CLEAR = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((sys.argv[1], int(sys.argv[2])))
sock.sendto(b"OPTIONS sip:example.org SIP/2.0\\r\\n\\r\\n", (sys.argv[3], int(sys.argv[4])))
"""
SHUT = """
import socket, sys
from ringfence.transport.flow import Endpoint
from ringfence.transport.xfrm import Xfrm
kernel = Xfrm()
kernel.shut(Endpoint(sys.argv[1], int(sys.argv[2])))
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((sys.argv[1], int(sys.argv[2])))
other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
other.bind((sys.argv[1], 7777))
print("ready", flush=True)
sys.stdin.readline()
sock.settimeout(0.5)
other.settimeout(5)
print("other", other.recv(100)[:7])
try:
    print("got", sock.recv(100))
except TimeoutError:
    print("nothing")
try:
    sock.sendto(b"x", (sys.argv[3], 7778))
    print("sent")
except PermissionError:
    print("not sent")
kernel.close()
"""


def test_a_shut_port_neither_takes_nor_sends_in_clear(wire: Wire) -> None:
    shut = subprocess.Popen(
        ["ip", "netns", "exec", wire.server, sys.executable, "-c", SHUT, SERVER, str(PORT), PHONE],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert shut.stdout is not None
    assert shut.stdout.readline() == "ready\n"
    wire.at(wire.phone, sys.executable, "-c", CLEAR, PHONE, 5070, SERVER, PORT)
    wire.at(wire.phone, sys.executable, "-c", CLEAR, PHONE, 5071, SERVER, 7777)
    out, _ = shut.communicate("\n", timeout=20)
    assert out.splitlines() == ["other b'OPTIONS'", "nothing", "not sent"]
    assert sh("ip", "-n", wire.server, "xfrm", "policy") == ""


def test_without_the_right_it_is_said(wire: Wire) -> None:
    if shutil.which("setpriv") is None:
        pytest.fail("util-linux has no setpriv")
    why = """
from ringfence.transport.xfrm import Xfrm
from ringfence.transport.flow import Endpoint
try:
    Xfrm().shut(Endpoint("10.77.0.1", 5062))
except Exception as error:
    print(error)
"""
    said = wire.at(wire.server, "setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin",
                   "--reuid", "65534", "--clear-groups", sys.executable, "-c", why, ok=None)  # fmt: skip
    assert "CAP_NET_ADMIN" in said
