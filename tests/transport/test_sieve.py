"""What the kernel passes while there is a flood: known sources, networks, a sample of all others."""

from __future__ import annotations

import random
import socket
import sys
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from ringfence.transport.sieve import MAX_KNOWN, RUN, attach, program, word_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such filters")

MOST_INSTRUCTIONS = 4_096
"""Of one program (BPF_MAXINSNS)."""

HERE = word_of("127.0.0.9")
OTHERS = [word_of(f"198.51.{number >> 8}.{number & 255}") for number in range(3 * RUN + 5)]


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


def passed(server: socket.socket, host: str, count: int = 5) -> int:
    """How many of so many datagrams come through."""
    with socket.socket(server.family, socket.SOCK_DGRAM) as sender:
        sender.bind((host, 0))
        for _ in range(count):
            sender.sendto(b"x", server.getsockname())
    got = 0
    try:
        while server.recv(9):
            got += 1
    except BlockingIOError:
        return got
    raise AssertionError("an empty datagram")


def test_only_who_is_known_comes_through(server: socket.socket) -> None:
    for known in (
        [HERE],
        [HERE, *OTHERS],
        [*OTHERS[:RUN], HERE],
        [*OTHERS, HERE, word_of("255.255.255.255")],
    ):
        attach(server, program(known, (), 0.0))
        assert passed(server, "127.0.0.9") == 5
        assert passed(server, "127.0.0.8") == 0
    attach(server, program([], (), 0.0))
    assert passed(server, "127.0.0.9") == 0
    attach(server, None)
    assert passed(server, "127.0.0.8") == 5


def test_every_source_is_found_wherever_it_stands(server: socket.socket) -> None:
    chance = random.Random(5)
    for _ in range(60):
        words = [word_of("127.0.0.0") + chance.randrange(1, 600) for _ in range(chance.randrange(300))]
        word = word_of("127.0.0.0") + chance.randrange(1, 600)
        attach(server, program(words, (), 0.0))
        assert passed(server, socket.inet_ntoa(word.to_bytes(4, "big")), 2) == (2 if word in words else 0)


def test_a_share_of_all_others(server: socket.socket) -> None:
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
    attach(server, program([], (), 0.25))
    assert 300 < sum(passed(server, "127.0.0.8", 100) for _ in range(20)) < 700


def test_networks(server: socket.socket) -> None:
    attach(server, program([], (ip_network("192.0.2.0/24"), ip_network("127.0.0.8/30")), 0.0))
    assert passed(server, "127.0.0.11") == 5
    assert passed(server, "127.0.0.12") == 0


def test_more_sources_than_a_program_can_name_are_named_by_their_networks(server: socket.socket) -> None:
    chance = random.Random(6)
    many = [chance.getrandbits(32) for _ in range(20 * MAX_KNOWN)] + [HERE]
    code = program(many, tuple(ip_network(f"192.0.2.{number}/32") for number in range(100)), 0.01)
    assert len(code) < MOST_INSTRUCTIONS
    attach(server, code)
    assert passed(server, "127.0.0.9") == 5


def test_ipv6_sites() -> None:
    assert word_of("2001:db8:0:7::1") == word_of("2001:db8:0:7:ffff::2") == 7
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::1", 0))
        sock.setblocking(False)
        attach(sock, program([7], (), 0.0))
        assert passed(sock, "::1") == 0
        attach(sock, program([word_of("::1")], (), 0.0))
        assert passed(sock, "::1") == 5
