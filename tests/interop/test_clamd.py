"""clamd blocks what it knows; what happens when it is away; what it can't see is said."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.message import Request
from tests.interop.node import Node
from tests.interop.processes import Program, eventually
from tests.interop.raw import RawPhone

pytestmark = pytest.mark.interop("clamd", "openssl")

# In two pieces, so that this file is not taken for what it looks for.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR" + b"-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
NAME = "Ringfence.Test.EICAR"


class Scanner:
    """A clamd of our own, with one signature."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "clamd.sock"
        (directory / "db").mkdir(parents=True)
        (directory / "db" / "eicar.ndb").write_text(f"{NAME}:0:*:{EICAR.hex()}\n", encoding="ascii")
        self.config = directory / "clamd.conf"
        self.config.write_text(
            f"DatabaseDirectory {directory}/db\nLocalSocket {self.socket}\nForeground yes\nUser root\n"
            "StreamMaxLength 2M\nMaxThreads 4\n",
            encoding="ascii",
        )
        self.program: Program | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.program = Program(["clamd", "-c", self.config], self.directory)
        eventually(self.socket.exists, "clamd listens")

    def stop(self) -> None:
        """End it."""
        if self.program is not None:
            self.program.end()
        self.socket.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def scanner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scanner]:
    scanner = Scanner(tmp_path_factory.mktemp("clamd"))
    scanner.start()
    yield scanner
    scanner.stop()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, scanner: Scanner) -> Iterator[Node]:
    node = Node.create(
        tmp_path_factory.mktemp("scanned") / "node",
        transports=["udp"],
        settings=f'[malware]\nclamd = "{scanner.socket}"\nmax_bytes = 40000\n',
    )
    node.add_user("bob")
    node.serve()
    yield node
    node.end()


@pytest.fixture(scope="module")
def bob(node: Node) -> Iterator[RawPhone]:
    bob = RawPhone(node, "bob")
    assert bob.register().status == 200
    yield bob
    bob.close()


@pytest.fixture
def dan(node: Node) -> Iterator[RawPhone]:
    dan = RawPhone(node, "dan", "127.0.0.1", "example.net")
    yield dan
    dan.close()


def message(dan: RawPhone, bob: RawPhone, body: bytes, kind: str = "text/plain") -> int:
    """Send a MESSAGE; the status that comes of it. Bob answers 202 to what reaches him."""
    dan.send(dan.text("MESSAGE", "sip:bob@example.org", body=body, kind=kind))
    while True:
        arrived = bob.receive(0.05)
        if isinstance(arrived, Request):
            assert arrived.body == body
            bob.reply(arrived, 202)
        answer = dan.receive(0.05)
        if answer is not None:
            dan.answer = answer  # type: ignore[attr-defined]
            return getattr(answer, "status", 0)


def multipart(*parts: tuple[str, bytes]) -> bytes:
    return (
        b"".join(b"--edge\r\n%b\r\n\r\n%b\r\n" % (head.encode(), body) for head, body in parts)
        + b"--edge--\r\n"
    )


MIXED = 'multipart/mixed;boundary="edge"'


def test_what_is_clean_passes(dan: RawPhone, bob: RawPhone) -> None:
    assert message(dan, bob, b"hello") == 202
    assert message(dan, bob, multipart(("Content-Type: text/plain", b"hello")), MIXED) == 202


def test_what_is_infected_is_refused_and_named(dan: RawPhone, bob: RawPhone) -> None:
    assert message(dan, bob, EICAR) == 403
    warning = dan.answer.headers.get("Warning")  # type: ignore[attr-defined]
    assert warning.startswith("399 ringfence ")
    assert NAME in warning


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"hello " * 1000 + EICAR, "text/plain"),
        (base64.encodebytes(EICAR), "application/octet-stream\r\nContent-Transfer-Encoding: base64"),
        (multipart(("Content-Type: text/plain", b"hello"), ("Content-Type: image/png", EICAR)), MIXED),
        (
            multipart(
                (
                    "Content-Type: application/zip\r\nContent-Transfer-Encoding: base64",
                    base64.encodebytes(EICAR),
                ),
                ("Content-Type: text/plain", b"hello"),
            ),
            MIXED,
        ),
        (EICAR, "multipart/mixed"),
        (EICAR + b"v=0\r\n" + b"a=x\r\n" * 4000, "application/sdp"),
    ],
    ids=["inside", "base64", "part", "base64 part", "no boundary", "a large SDP"],
)
def test_wherever_it_is(dan: RawPhone, bob: RawPhone, body: bytes, kind: str) -> None:
    assert message(dan, bob, body, kind) == 403


def test_what_is_too_large_to_scan_does_not_pass(dan: RawPhone, bob: RawPhone) -> None:
    assert message(dan, bob, b"x" * 41_000) == 503


def bob_certificate(directory: Path) -> Path:
    """A certificate that something can be encrypted for."""
    path = directory / "bob.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=bob", "-out", path]
    subprocess.run([*words, "-keyout", directory / "bob.key"], capture_output=True, check=True)
    return path


def test_what_is_encrypted_passes_and_is_said(
    tmp_path: Path, node: Node, dan: RawPhone, bob: RawPhone
) -> None:
    words = [
        "openssl",
        "cms",
        "-encrypt",
        "-binary",
        "-outform",
        "DER",
        "-aes-256-cbc",
        bob_certificate(tmp_path),
    ]
    closed = subprocess.run(words, input=EICAR, capture_output=True, check=True).stdout
    assert message(dan, bob, closed, "application/pkcs7-mime;smime-type=enveloped-data") == 202
    assert node.serving is not None
    assert "encrypted from end to end" in node.serving.log.read_text(encoding="utf-8")


def test_without_the_scanner_nothing_with_a_body_passes(
    scanner: Scanner, dan: RawPhone, bob: RawPhone
) -> None:
    scanner.stop()
    assert message(dan, bob, b"hello") == 503
    assert dan.answer.headers.get("Retry-After")  # type: ignore[attr-defined]
    assert dan.ask(dan.text("OPTIONS", "sip:example.org")).status == 200
    scanner.start()
    assert message(dan, bob, b"hello") == 202


def test_a_scanner_that_fails_open(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("open")
    settings = f'[malware]\nclamd = "{directory}/nothing.sock"\nfail_open = true\n'
    node = Node.create(directory / "node", transports=["udp"], settings=settings)
    node.add_user("bob")
    node.serve()
    bob, dan = RawPhone(node, "bob"), RawPhone(node, "dan", "127.0.0.1", "example.net")
    try:
        bob.register()
        assert message(dan, bob, b"hello") == 202
        assert node.serving is not None
        assert "a body could not be scanned" in node.serving.log.read_text(encoding="utf-8")
    finally:
        bob.close()
        dan.close()
        node.end()
