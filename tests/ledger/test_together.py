"""Workers of one node that count calls, destinations and costs together."""

from __future__ import annotations

import json
from collections import deque

import pytest

from ringfence.ledger.fraud import Action, Alert, FraudRules, FraudWatch
from ringfence.ledger.together import AT_ONCE, SILENT_SECONDS, SNAPSHOT_SECONDS, Together

ALICE = "sip:alice@example.org"
NOW = 1_800_000_000.0
RULES = FraudRules(cost=100, destinations=3, action=Action.REFUSE)


class Workers:
    """Some workers; what one tells reaches the others when the test says so."""

    def __init__(self, number: int = 3) -> None:
        self.watches = [FraudWatch(RULES) for _ in range(number)]
        self.way: deque[tuple[int, str]] = deque()
        self.all = [
            Together(worker, lambda told, worker=worker: self.way.append((worker, json.dumps(told))), watch)  # type: ignore[misc]
            for worker, watch in enumerate(self.watches)
        ]
        self.alerts: list[tuple[int, Alert]] = []

    def arrive(self, now: float = NOW) -> None:
        while self.way:
            worker, told = self.way.popleft()
            for other, each in enumerate(self.all):
                if other != worker and (alert := each.heard(worker, json.loads(told), now)) is not None:
                    self.alerts.append((other, alert))

    def calls(self) -> list[int]:
        return [each.of_account(ALICE) for each in self.all]


def test_all_count_the_calls_of_all() -> None:
    workers = Workers()
    for worker, each in enumerate(workers.all):
        each.began(f"key{worker}", ALICE, NOW + worker)
    workers.arrive()
    assert workers.calls() == [3, 3, 3]
    workers.all[1].over("key1")
    workers.all[1].over("key1")
    workers.arrive()
    assert workers.calls() == [2, 2, 2]


def test_of_calls_that_begin_at_once_all_let_the_same_ones_stay() -> None:
    """Each worker knew only its own when it let them begin."""
    workers = Workers()
    for worker, each in enumerate(workers.all):
        for number in range(2):
            each.began(f"key{worker}{number}", ALICE, NOW + number)
    workers.arrive()
    stays = [
        f"key{worker}{number}"
        for worker, each in enumerate(workers.all)
        for number in range(2)
        if not each.is_beyond(f"key{worker}{number}", ALICE, 4)
    ]
    assert stays == ["key00", "key01", "key10", "key20"], "the oldest, and of the same age the first by name"
    assert not workers.all[0].is_beyond("another", ALICE, 4)


def test_what_was_lost_is_made_good_by_the_next_snapshot() -> None:
    workers = Workers(2)
    one, other = workers.all
    one.began("lost", ALICE, NOW)
    workers.way.clear()
    one.began("heard", ALICE, NOW)
    workers.arrive()
    one.over("heard")
    workers.way.clear()
    assert other.of_account(ALICE) == 1
    one.tick(NOW + SNAPSHOT_SECONDS)
    workers.arrive()
    assert other.of_account(ALICE) == 1
    one.over("lost")
    workers.arrive()
    assert other.of_account(ALICE) == 0


def test_a_snapshot_of_many_calls_goes_in_pieces() -> None:
    workers = Workers(2)
    for number in range(2 * AT_ONCE + 1):
        workers.all[0].began(f"key{number}", f"account{number}", NOW)
    workers.way.clear()
    workers.all[0].tick(NOW + SNAPSHOT_SECONDS)
    assert len(workers.way) == 3
    workers.arrive()
    assert workers.all[1].of_account("account0") == workers.all[1].of_account(f"account{2 * AT_ONCE}") == 1


def test_the_calls_of_a_worker_that_is_gone_count_no_more() -> None:
    workers = Workers(2)
    workers.all[0].began("key", ALICE, NOW)
    workers.all[0].running({ALICE: 70})
    workers.arrive(NOW)
    workers.all[1].tick(NOW + SILENT_SECONDS - 1)
    assert (workers.all[1].of_account(ALICE), workers.all[1].running_elsewhere(ALICE)) == (1, 70)
    workers.all[1].tick(NOW + SILENT_SECONDS)
    assert (workers.all[1].of_account(ALICE), workers.all[1].running_elsewhere(ALICE)) == (0, 0)


def test_a_worker_that_is_started_anew_is_told_everything_and_has_no_calls_of_before() -> None:
    workers = Workers(2)
    workers.all[0].began("mine", ALICE, NOW)
    workers.all[1].began("dies", ALICE, NOW)
    workers.all[0].tick(NOW)
    workers.arrive()
    workers.all[1] = Together(1, lambda told: workers.way.append((1, json.dumps(told))))
    workers.all[1].tick(NOW + 1)
    workers.arrive(NOW + 1)
    assert workers.all[0].of_account(ALICE) == 1
    workers.all[0].tick(NOW + 1 + SNAPSHOT_SECONDS)
    workers.arrive(NOW + 21)
    assert workers.all[1].of_account(ALICE) == 1


def call(workers: Workers, worker: int, destination: str) -> Alert | None:
    alert = workers.watches[worker].called(ALICE, destination, NOW)
    workers.all[worker].called(ALICE, destination, NOW, alert)
    if alert is not None:
        workers.all[worker].alerted(alert, NOW)
    return alert


def test_destinations_are_counted_together_and_one_worker_alerts() -> None:
    workers = Workers()
    for place in range(3):
        assert call(workers, place, f"tel:+{place}") is None
        workers.arrive()
    assert call(workers, 0, "tel:+9") is not None
    workers.arrive()
    assert workers.alerts == []
    assert all(watch.blocked(ALICE, NOW + 1) for watch in workers.watches)
    assert call(workers, 2, "tel:+10") is None, "it was told once"


def test_a_limit_that_is_passed_at_two_workers_in_one_moment_is_told_of() -> None:
    workers = Workers(2)
    for place in range(4):
        assert call(workers, place % 2, f"tel:+{place}") is None
    workers.arrive()
    assert workers.alerts
    assert all(watch.blocked(ALICE, NOW + 1) for watch in workers.watches)


@pytest.mark.parametrize("going_on", [0, 50])
def test_costs_are_counted_together(going_on: int) -> None:
    workers = Workers(2)
    for worker, each in enumerate(workers.all):
        cost = 51 - going_on // 2
        workers.watches[worker].ended(ALICE, cost, NOW)
        each.ended(ALICE, cost, NOW)
        each.running({ALICE: going_on // 2})
    workers.arrive()
    for watch, each in zip(workers.watches, workers.all, strict=True):
        alert = watch.spends(ALICE, NOW + 1, going_on // 2 + each.running_elsewhere(ALICE))
        assert alert is not None
        assert alert.value == 102


def test_what_makes_no_sense_changes_nothing() -> None:
    workers = Workers(2)
    for told in (
        ["call"],
        ["call", 1, 2, 3],
        ["called", ALICE],
        ["ended", ALICE, "much", 1.0],
        [],
        ["what", 1],
    ):
        assert workers.all[0].heard(1, told, NOW) is None
    assert workers.calls() == [0, 0]


def test_calls_that_were_let_begin_before_they_were_heard_of_are_looked_at_again() -> None:
    """Between machines a call may be answered before the others hear of it."""
    workers = Workers(2)
    one, other = workers.all
    one.began("older", ALICE, NOW, limit=1)
    other.began("younger", ALICE, NOW + 0.001, limit=1)
    assert one.tick(NOW) == other.tick(NOW) == set()
    workers.arrive()
    assert one.tick(NOW + 1) == other.tick(NOW + 1) == {ALICE}
    assert not one.is_beyond("older", ALICE, 1)
    assert other.is_beyond("younger", ALICE, 1)
    assert other.tick(NOW + 2) == set(), "once for each news"
    other.look_again(ALICE)
    assert other.tick(NOW + 3) == {ALICE}


def test_a_node_that_stops_takes_its_calls_along() -> None:
    workers = Workers(2)
    workers.all[0].began("key", ALICE, NOW)
    workers.all[0].running({ALICE: 70})
    workers.arrive()
    workers.all[0].leave()
    workers.arrive()
    assert (workers.all[1].of_account(ALICE), workers.all[1].running_elsewhere(ALICE)) == (0, 0)


def test_whom_one_lets_go_all_let_go_and_older_news_does_not_bring_it_back() -> None:
    workers = Workers(2)
    one, other = workers.all
    watches = workers.watches
    for place in range(4):
        call(workers, 0, f"tel:+{place}")
    workers.arrive()
    assert all(watch.blocked(ALICE, NOW) for watch in watches)
    one.tick(NOW + SNAPSHOT_SECONDS)
    held, workers.way = workers.way, deque()
    one.released(ALICE, NOW + 30)
    watches[0].release(ALICE, NOW + 30)
    workers.arrive(NOW + 30)
    workers.way = held  # the snapshot of before comes late
    workers.arrive(NOW + 31)
    assert not any(watch.blocked(ALICE, NOW + 31) for watch in watches)
    assert other.of_account(ALICE) == 0


def test_a_worker_that_is_started_anew_learns_who_is_blocked() -> None:
    workers = Workers(2)
    for place in range(4):
        call(workers, 0, f"tel:+{place}")
    workers.way.clear()
    workers.all[0].tick(NOW + SNAPSHOT_SECONDS)
    workers.arrive()
    assert workers.watches[1].blocked(ALICE, NOW + SNAPSHOT_SECONDS)
