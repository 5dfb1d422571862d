"""When the kernel sorts out datagrams: begun by a flood, renewed while it lasts, ended after it."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from ringfence.guard.bans import BanPolicy, Bans
from ringfence.guard.gate import Guard
from ringfence.guard.policy import GuardPolicy
from ringfence.service.sieve import FLOOD, PATIENCE, QUIET, RENEWED, SAMPLE, TRIED_AGAIN, Sieve
from ringfence.transport.sieve import Instruction, program, word_of

TICK = 0.1


class Kernel:
    """A socket that keeps what it is given."""

    def __init__(self, ipv6: bool = False, *, able: bool = True) -> None:
        self.ipv6 = ipv6
        self.able = able
        self.given: list[list[Instruction] | None] = []

    def sieve(self, code: list[Instruction] | None) -> None:
        if not self.able:
            raise OSError("no such option")
        self.given.append(code)


class Site:
    """A guard that drops, and a sieve that looks."""

    def __init__(self, *sockets: Kernel) -> None:
        self.guard = Guard(GuardPolicy(), Bans(BanPolicy()))
        self.networks = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/48"))
        self.sieve = Sieve(self.guard, lambda: sockets, self.networks)
        self.now = 1000.0

    def look(self, dropped: float, times: int = 1) -> None:
        """So many looks, with so many dropped a second."""
        for _ in range(times):
            self.now += TICK
            self.guard.strangers_dropped += round(dropped * TICK)
            self.sieve.look(TICK, self.now)

    def prove(self, host: str) -> None:
        """A source shows that it is there."""
        self.guard.datagrams.prove(self.guard.datagrams.find(host, self.now), self.now)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


def test_a_flood_has_to_last(kernel: Kernel) -> None:
    site = Site(kernel)
    for _ in range(5):
        site.look(FLOOD * 3, PATIENCE - 1)
        site.look(FLOOD / 2)
    assert kernel.given == []


def test_who_is_known_is_named_and_of_others_a_sample_passes(kernel: Kernel) -> None:
    six = Kernel(ipv6=True)
    site = Site(kernel, six)
    site.prove("198.51.100.7")
    site.prove("2001:db8:1:2::3")
    site.look(200_000.0, PATIENCE)
    share = SAMPLE * site.guard.policy.strangers.per_second / 200_000.0
    assert site.sieve.share == pytest.approx(share)
    assert kernel.given == [program([word_of("198.51.100.7")], site.networks[:1], site.sieve.share)]
    assert six.given == [program([word_of("2001:db8:1:2::")], site.networks[1:], site.sieve.share)]


def test_who_has_proved_to_be_there_meanwhile_is_known_then(kernel: Kernel) -> None:
    site = Site(kernel)
    site.look(200_000.0, PATIENCE)
    site.prove("198.51.100.8")
    site.look(3_000.0, RENEWED)
    assert kernel.given[-1] == program([word_of("198.51.100.8")], site.networks[:1], site.sieve.share)


def test_who_floods_is_not_known_whatever_it_has_proved(kernel: Kernel) -> None:
    site = Site(kernel)
    site.prove("198.51.100.8")
    site.guard.datagrams.find("198.51.100.8", site.now).dropped = 5_000
    site.look(200_000.0, PATIENCE)
    assert kernel.given == [program([], site.networks[:1], site.sieve.share)]


def test_the_sample_follows_a_flood_that_grows(kernel: Kernel) -> None:
    site = Site(kernel)
    site.look(100_000.0, PATIENCE)
    before = site.sieve.share
    site.look(30_000.0, RENEWED)  # five times what is wanted passes
    assert site.sieve.share < before / 3


def test_after_it_all_is_let_in(kernel: Kernel) -> None:
    site = Site(kernel)
    site.look(200_000.0, PATIENCE)
    site.look(3_000.0, 50)
    assert site.sieve.share < 1.0
    site.look(0.0, QUIET)
    assert site.sieve.share == 1.0
    assert kernel.given[-1] is None
    site.look(200_000.0, PATIENCE)
    assert site.sieve.share < 1.0


def test_where_there_is_no_such_thing_it_is_tried_now_and_then() -> None:
    kernel = Kernel(able=False)
    site = Site(kernel)
    site.look(200_000.0, PATIENCE)
    assert site.sieve.share == 1.0
    kernel.able = True
    site.look(200_000.0, TRIED_AGAIN - 1)
    assert kernel.given == []
    site.look(200_000.0, PATIENCE + 2)
    assert len(kernel.given) == 1
