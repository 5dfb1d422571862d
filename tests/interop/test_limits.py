"""Slow, silent, endless and greedy connections at a served node: each is cut off by the limit that is for it."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.node import Node
from tests.interop.processes import HOST, eventually

SETTINGS = """
[limits]
handshake_seconds = 1.5
first_message_seconds = 2.5
message_seconds = 1.0
idle_seconds = 3.0
unsent_bytes = 65535
connections_per_source = 20
"""
HANDSHAKE, FIRST_MESSAGE, MESSAGE, IDLE = 1.5, 2.5, 1.0, 3.0
SWEEP = 1.0
"""How exact the times are (``transport.limits.Limits.sweep_time``)."""

SLACK = 2.0
"""Seconds that a busy machine may add."""

FLOOD = 100_000_000
"""Bytes that a flood sends at most; it is cut off far earlier."""

GROWTH = 10_000_000
"""Bytes of memory that the node may keep from all of these: one connection may hold a head and a body, 0.3 MB."""

ESTABLISHED = "01"
"""As /proc/net/tcp has it."""

OPTIONS = (
    b"OPTIONS sip:example.org SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK%d\r\nMax-Forwards: 70\r\n"
    b"From: <sip:a@example.org>;tag=1\r\nTo: <sip:example.org>\r\nCall-ID: %d\r\nCSeq: 1 OPTIONS\r\n"
    b"Content-Length: 0\r\n\r\n"
)
HEAD = OPTIONS[: -len(b"Content-Length: 0\r\n\r\n")] % (1, 1)


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node with short times."""
    directory = tmp_path_factory.mktemp("limited") / "node"
    node = Node.create(directory, transports=["udp", "tcp", "tls"], settings=SETTINGS)
    node.serve()
    yield node
    node.end()


def until_closed(sock: socket.socket, drip: bytes = b"") -> float:
    """Seconds until the node closes the connection, while we send the octets one by one."""
    begin = time.monotonic()
    sock.settimeout(0.1)
    for octet in drip or b" " * 1000:
        try:
            if drip:
                sock.sendall(bytes([octet]))
            if not sock.recv(65_536):
                break
        except TimeoutError:
            continue
        except (ConnectionError, ssl.SSLError):
            break
    else:
        pytest.fail("the node never closed the connection")
    return time.monotonic() - begin


def flood(sock: socket.socket, chunk: bytes) -> None:
    """Send without reading until the node takes no more."""
    sent = 0
    sock.settimeout(1.0)
    while sent < FLOOD:
        try:
            sent += sock.send(chunk)
        except (ConnectionError, TimeoutError, ssl.SSLError):
            return
    pytest.fail(f"the node took {sent} bytes")


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_silent_connection(limited: Node, transport: str) -> None:
    with limited.connect(transport) as sock:
        assert FIRST_MESSAGE - 0.2 < until_closed(sock) < FIRST_MESSAGE + SWEEP + SLACK


def test_a_handshake_that_never_begins(limited: Node) -> None:
    with socket.create_connection((HOST, limited.listen["tls"])) as sock:
        assert HANDSHAKE - 0.2 < until_closed(sock) < HANDSHAKE + SWEEP + SLACK


def test_a_handshake_in_small_pieces(limited: Node) -> None:
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
    with socket.create_connection((HOST, limited.listen["tls"])) as sock:
        assert until_closed(sock, hello) < HANDSHAKE + SWEEP + SLACK


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_message_in_small_pieces(limited: Node, transport: str) -> None:
    with limited.connect(transport) as sock:
        sock.sendall(OPTIONS % (7, 7))
        assert sock.recv(65_536).startswith(b"SIP/2.0")
        assert MESSAGE - 0.2 < until_closed(sock, HEAD) < MESSAGE + SWEEP + SLACK


def test_a_connection_that_falls_silent(limited: Node) -> None:
    with limited.connect("tcp") as sock:
        sock.sendall(OPTIONS % (8, 8))
        assert sock.recv(65_536).startswith(b"SIP/2.0")
        assert IDLE - 0.2 < until_closed(sock) < IDLE + 2 * SWEEP + SLACK


@pytest.mark.parametrize("transport", ["tcp", "tls"])
@pytest.mark.parametrize(
    ("start", "chunk"),
    [
        (HEAD, b"X: " + b"x" * 1000 + b"\r\n"),
        (HEAD + b"Subject:", b" x" * 1000),
        (HEAD + b"Subject: a", b"\r\n b" * 1000),
        (b"", b"A" * 1000),
        (HEAD + b"Content-Length: 4000000000\r\n\r\n", b"x" * 1000),
        (HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", b"x" * 1000),
        (b"\x00", b"\x00" * 1000),
    ],
    ids=["header", "line", "fold", "method", "body", "length", "NUL"],
)
def test_an_endless_message(limited: Node, transport: str, start: bytes, chunk: bytes) -> None:
    before = limited.resident()
    with limited.connect(transport) as sock:
        sock.sendall(start or b"A")
        flood(sock, chunk * 20)
        eventually(lambda: not established(limited, transport), "the node has closed the connection")
    assert limited.resident() - before < GROWTH


@pytest.mark.parametrize("transport", ["tcp", "tls"])
@pytest.mark.parametrize("what", [OPTIONS % (9, 9), b"\r\n\r\n" * 500], ids=["requests", "pings"])
def test_a_peer_that_asks_and_never_reads(limited: Node, transport: str, what: bytes) -> None:
    before = limited.resident()
    with limited.connect(transport) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        flood(sock, what * 20)
        eventually(lambda: not established(limited, transport), "the node has closed the connection")
    assert limited.resident() - before < GROWTH


def test_more_connections_than_one_source_may_have(limited: Node) -> None:
    eventually(lambda: not established(limited, "tcp"), "earlier connections are gone")
    opened = [limited.connect("tcp") for _ in range(20)]
    try:
        with limited.connect("tcp") as one_more:
            assert until_closed(one_more) < SLACK
        opened[0].sendall(OPTIONS % (2, 2))
        assert opened[0].recv(65_536).startswith(b"SIP/2.0")
    finally:
        for sock in opened:
            sock.close()


def established(node: Node, transport: str) -> bool:
    """Whether the node has a connection open on that port. What the kernel still tries to send is closed."""
    local = f"0100007F:{node.listen[transport]:04X}"
    rows = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()
    return any(row.split()[1] == local and row.split()[3] == ESTABLISHED for row in rows)


def test_honest_peers_are_served_meanwhile(limited: Node) -> None:
    assert limited.serving is not None
    assert limited.serving.running
    assert "Traceback" not in limited.serving.log.read_text(encoding="utf-8")
    with limited.connect("tls") as sock:
        sock.sendall(OPTIONS % (3, 3))
        assert sock.recv(65_536).startswith(b"SIP/2.0")
