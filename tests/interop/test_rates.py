"""Who sends too much: a connection is read more slowly and loses nothing; datagrams are dropped; friends are let be."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator

import pytest

from tests.interop.node import Node
from tests.interop.raw import RawPhone

SETTINGS = '[guard]\nconnections_per_second = 100.0\ndatagrams_per_second = 20.0\nallow = ["127.0.0.72"]\n'
BURST = 1000


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = Node.create(
        tmp_path_factory.mktemp("rates") / "node", transports=["udp", "tcp"], settings=SETTINGS
    )
    node.add_user("alice")
    node.serve()
    yield node
    node.end()


def options(host: str, number: int) -> bytes:
    return (
        f"OPTIONS sip:example.org SIP/2.0\r\nVia: SIP/2.0/TCP {host};branch=z9hG4bK{number};rport\r\n"
        f"From: <sip:a@example.net>;tag=1\r\nTo: <sip:example.org>\r\nCall-ID: {number}\r\nCSeq: 1 OPTIONS\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


def exchange(sock: socket.socket, first: int, count: int) -> None:
    """Send requests, and take all answers."""
    waiting = b"".join(options("127.0.0.71", first + number) for number in range(count))
    end, got = time.monotonic() + 30.0, b""
    sock.setblocking(False)
    while (answers := got.count(b"\nCSeq: 1 OPTIONS")) < count:
        assert time.monotonic() < end, answers
        readable, writable, _ = select.select([sock], [sock] if waiting else [], [], 1.0)
        if writable:
            waiting = waiting[sock.send(waiting[:20_000]) :]
        if readable:
            data = sock.recv(65_536)
            assert data, "closed"
            got += data


def test_a_connection_is_slowed_down_and_loses_nothing(node: Node) -> None:
    with socket.create_connection(
        ("127.0.0.1", node.listen["tcp"]), source_address=("127.0.0.71", 0)
    ) as sock:
        exchange(sock, 0, BURST + 400)  # what one read brings is answered
        begin = time.monotonic()
        exchange(sock, 10_000, 10)
        assert time.monotonic() - begin > 2.0


@pytest.mark.parametrize(("host", "all_of_them"), [("127.0.0.73", False), ("127.0.0.72", True)])
def test_datagrams_are_dropped_but_those_of_friends(node: Node, host: str, all_of_them: bool) -> None:
    phone = RawPhone(node, "x", host, "example.net")
    phone.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
    for number in range(600):
        phone.send(phone.text("OPTIONS", "sip:example.org"))
        if number % 50 == 0:
            time.sleep(0.02)
    answers = 0
    while phone.receive(0.5) is not None:
        answers += 1
    phone.close()
    assert answers == 600 if all_of_them else 200 <= answers < 400


def test_who_has_authenticated_is_not_dropped(node: Node) -> None:
    alice = RawPhone(node, "alice", "127.0.0.74")
    assert alice.register().status == 200
    answers = 0
    for _ in range(400):
        alice.send(alice.text("OPTIONS", "sip:example.org"))
        answers += alice.receive(1.0) is not None
    alice.close()
    assert answers == 400
