"""A forged source address draws little: each answer to a small request is small, and their number is bounded."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from ringfence.message import parse
from tests.interop.node import Node

FACTOR = 2.5
"""Octets of an answer for each of its request, with the smallest requests that a victim's address is written into."""

LARGEST = 700
"""Octets of any answer to a stranger: a challenge with two algorithms."""

SETTINGS = "[guard]\ndatagrams_per_second = 200.0\n"

HOST = "127.0.0.41"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = Node.create(
        tmp_path_factory.mktemp("small") / "node", transports=["udp"], old_phones=False, settings=SETTINGS
    )
    node.add_user("bob")
    node.serve()
    yield node
    node.end()


@pytest.fixture
def victim() -> Iterator[socket.socket]:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((HOST, 0))
    sock.settimeout(1.0)
    yield sock
    sock.close()


def smallest(method: str, uri: str, *more: str, number: int = 0, sender: str = "a@b") -> bytes:
    lines = [
        f"{method} {uri} SIP/2.0",
        f"v:SIP/2.0/UDP x;branch=z9hG4bK{method}{number}{abs(hash(uri)) % 9999};rport",
        f"f:<sip:{sender}>;tag=1",
        "t:<sip:b>",
        f"i:{number}",
        f"CSeq:1 {method}",
        *more,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        smallest("OPTIONS", "sip:example.org"),
        smallest("OPTIONS", "sip:bob@example.org"),
        smallest("OPTIONS", "sip:elsewhere.example"),
        smallest("REGISTER", "sip:example.org"),
        smallest("INVITE", "sip:bob@example.org"),
        smallest("INVITE", "sip:bob@example.org", sender="bob@example.org"),
        smallest("INVITE", "sip:x@elsewhere.example"),
        smallest("SUBSCRIBE", "sip:bob@example.org"),
        smallest("MESSAGE", "sip:nobody@example.org"),
        smallest("PUBLISH", "sip:bob@example.org"),
        smallest("CANCEL", "sip:bob@example.org"),
        smallest("BYE", "sip:bob@example.org"),
        smallest("STRANGE", "sip:bob@example.org"),
        smallest("OPTIONS", "sip:bob@example.org", "Proxy-Require:x"),
        smallest("OPTIONS", "sip:bob@example.org", "Max-Forwards:0"),
        smallest("OPTIONS", "tel:1"),
        smallest("OPTIONS", "mailto:a@b"),
        smallest("INVITE", "sip:example.org").replace(b"CSeq:1 INVITE", b"CSeq:1 BYE"),
        smallest("INVITE", "sip:example.org").replace(b"t:<sip:b>", b"t:<<"),
        smallest("OPTIONS", "sip:example.org").replace(b"SIP/2.0\r\n", b"SIP/3.0\r\n", 1),
        smallest("OPTIONS", "sip:example.org", *["Accept:x"] * 100),
        smallest("OPTIONS", "sip:example.org", *["Record-Route:<sip:x;lr>"] * 30),
    ],
    ids=lambda data: data[:40].decode().partition(" SIP")[0].replace(" ", "-"),
)
def test_each_answer_is_small(node: Node, victim: socket.socket, request_: bytes) -> None:
    victim.sendto(request_, ("127.0.0.1", node.listen["udp"]))
    octets, answers = 0, []
    end = time.monotonic() + 0.4
    while time.monotonic() < end:
        victim.settimeout(0.2)
        try:
            data = victim.recv(65_535)
        except TimeoutError:
            break
        octets += len(data)
        answers.append(getattr(parse(data), "status", 0))
    assert octets <= max(FACTOR * len(request_), LARGEST), f"{octets} octets for {len(request_)}: {answers}"
    assert octets <= max(LARGEST, len(request_) + 200)


def test_one_address_is_sent_no_more_than_its_allowance(node: Node, victim: socket.socket) -> None:
    victim.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_000_000)
    count = 6000
    begin = time.monotonic()
    for number in range(count):
        victim.sendto(
            smallest("REGISTER", "sip:example.org", number=number), ("127.0.0.1", node.listen["udp"])
        )
        if number % 200 == 0:
            time.sleep(0.01)
    took = time.monotonic() - begin + 1.0
    answers = 0
    victim.settimeout(1.0)
    try:
        while True:
            victim.recv(65_535)
            answers += 1
    except TimeoutError:
        pass
    assert answers <= 2000 + 200 * (took + 1.0)
    assert answers >= 1000


def test_a_via_with_maddr_sends_nothing_elsewhere(node: Node, victim: socket.socket) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
        attacker.bind(("127.0.0.42", 0))
        attacker.settimeout(1.0)
        data = smallest("OPTIONS", "sip:example.org", number=7).replace(
            b"SIP/2.0/UDP x;",
            b"SIP/2.0/UDP %b:%d;maddr=%b;" % (HOST.encode(), victim.getsockname()[1], HOST.encode()),
        )
        attacker.sendto(data, ("127.0.0.1", node.listen["udp"]))
        assert attacker.recv(65_535)
    victim.settimeout(0.3)
    with pytest.raises(TimeoutError):
        victim.recv(65_535)
