"""Rates that several nodes count together, by what each tells of the second that has passed."""

from __future__ import annotations

import json

import pytest

from ringfence.guard.guesses import Guesses
from ringfence.guard.rates import MAX_OWED, Limiter, Rate
from ringfence.guard.sharing import MAX_TOLD, TOLD_FROM, SharedRates

ALICE = "sip:alice@example.org"
RATE = Rate(10.0, 100.0)


class Node:
    def __init__(self) -> None:
        self.limiter = Limiter[str](RATE)
        self.shared = SharedRates({"account": self.limiter})

    def send(self, number: int, now: float) -> int:
        """How many of so many requests pass."""
        return sum(self.limiter.take(ALICE, now) for _ in range(number))


def exchange(nodes: list[Node], now: float) -> None:
    told = [json.loads(json.dumps(node.shared.collect())) for node in nodes]
    for place, node in enumerate(nodes):
        for other, counts in enumerate(told):
            if other != place:
                for name, numbers in counts:
                    node.shared.heard(name, numbers, now)


@pytest.mark.parametrize("number", [1, 2, 8])
def test_an_account_has_its_rate_once_however_many_nodes_it_comes_to(number: int) -> None:
    nodes = [Node() for _ in range(number)]
    passed = 0
    for second in range(60):
        passed += sum(node.send(20, float(second)) for node in nodes)
        exchange(nodes, second + 1.0)
    alone = RATE.burst + 60 * RATE.per_second
    # What is sent in the second before the others hear of it comes on top, at each node.
    assert alone * 0.8 <= passed <= alone + (number - 1) * 20


def test_without_an_exchange_each_node_has_the_rate_for_itself() -> None:
    nodes = [Node(), Node()]
    assert [node.send(200, 0.0) for node in nodes] == [100, 100]
    assert nodes[0].send(20, 1.0) == 10, "it comes back as ever"


def test_what_others_take_shuts_nobody_out_for_long() -> None:
    node = Node()
    node.shared.heard("account", {ALICE: 1_000_000}, 0.0)
    longest = MAX_OWED + RATE.slack
    assert node.send(1, longest - 0.1) == 0
    assert node.send(5, longest + 0.01) == 1


def test_what_a_phone_sends_is_not_told() -> None:
    node = Node()
    node.limiter = Limiter[str](Rate(100.0, 1000.0))
    node.shared = SharedRates({"account": node.limiter})
    assert node.send(int(100 * TOLD_FROM), 0.0) == 6
    assert node.shared.collect() == []
    assert node.send(7, 1.0) == 7
    assert node.shared.collect() == [("account", {ALICE: 7})]
    assert node.shared.collect() == []


def test_no_more_is_told_at_a_time_than_the_busiest() -> None:
    limiter = Limiter[str](Rate(1.0, 10.0))
    shared = SharedRates({"destination": limiter})
    for number in range(MAX_TOLD + 50):
        limiter.take(f"sip:{number}@example.org", 0.0)
    for _ in range(3):
        limiter.take("sip:7@example.org", 0.0)
    ((_, told),) = shared.collect()
    assert len(told) == MAX_TOLD
    assert told["sip:7@example.org"] == 4


def test_a_rate_that_another_node_does_not_have_is_passed_over() -> None:
    node = Node()
    node.shared.heard("prefix tel:+881", {ALICE: 5}, 0.0)
    assert node.send(100, 0.0) == 100


@pytest.mark.parametrize("counts", [{ALICE: "many"}, {ALICE: None}])
def test_what_is_no_count_is_refused(counts: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Node().shared.heard("account", counts, 0.0)


def test_guesses_at_one_account_are_those_at_all_nodes() -> None:
    here, there = Guesses(), Guesses()
    mine, theirs = SharedRates(here.limiters()), SharedRates(there.limiters())
    assert not any(here.failed("alice", 0.0) for _ in range(20))
    for name, counts in mine.collect():
        theirs.heard(name, counts, 1.0)
    assert there.failed("alice", 1.0), "the twenty-first, wherever it is tried"
    assert there.may_try("alice", "192.0.2.1", 1.0)
    for name, counts in theirs.collect():
        mine.heard(name, counts, 1.5)
    assert here.failed("alice", 1.5)
    assert not here.may_try("alice", "192.0.2.2", 1.5), "one look in ten seconds, wherever"
