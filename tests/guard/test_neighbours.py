"""What next hops have asked us for is what they get (RFC 7339 section 5, RFC 7415)."""

from __future__ import annotations

from itertools import pairwise

import pytest

from ringfence.engine.places import Endpoint
from ringfence.guard.neighbours import LONGEST_RETRY_AFTER, MAX_NEIGHBOURS, SILENCES, Neighbours
from ringfence.message.params import parse_params

HOP, OTHER = Endpoint("203.0.113.5", 5060), Endpoint("203.0.113.6", 5060)


def hears(neighbours: Neighbours, text: str, now: float = 0.0) -> None:
    neighbours.heard(HOP, parse_params(text), now)


def sent(neighbours: Neighbours, count: int, now: float = 0.1, important: bool = False) -> int:
    return sum(neighbours.may_send(HOP, important, now) for _ in range(count))


@pytest.mark.rfc("7339", "7.2")
def test_by_loss_a_part_is_held_back() -> None:
    neighbours = Neighbours()
    hears(neighbours, ';oc=40;oc-algo="loss";oc-validity=1000;oc-seq=1.1')
    assert sent(neighbours, 1000) == pytest.approx(500, abs=2)  # 40 of 100, when 80 of 100 may be held back
    assert sent(neighbours, 1000, important=True) == 1000
    assert neighbours.may_send(OTHER, False, 0.1)


@pytest.mark.rfc("7339", "7.2")
def test_when_that_is_not_enough_important_ones_too() -> None:
    neighbours = Neighbours()
    hears(neighbours, ";oc=90;oc-validity=1000;oc-seq=1.1")
    assert sent(neighbours, 1000) == 0
    assert sent(neighbours, 1000, important=True) == pytest.approx(500, abs=2)
    hears(neighbours, ";oc=100;oc-validity=1000;oc-seq=1.2")
    assert sent(neighbours, 1000, important=True) == 0


@pytest.mark.rfc("7339", "5.7")
@pytest.mark.parametrize("end", [";oc=0;oc-validity=0;oc-seq=2.0", None])
def test_it_ends_when_it_is_said_or_the_time_is_over(end: str | None) -> None:
    neighbours = Neighbours()
    hears(neighbours, ";oc=100;oc-seq=1.0")
    assert sent(neighbours, 10, 0.49) == 0
    if end is not None:
        hears(neighbours, end, 0.1)
        assert sent(neighbours, 10, 0.2) == 10
    assert sent(neighbours, 10, 0.51) == 10  # 500 ms where nothing else is said


@pytest.mark.rfc("7339", "5.4")
def test_what_is_late_or_known_changes_nothing() -> None:
    neighbours = Neighbours()
    hears(neighbours, ";oc=100;oc-validity=500;oc-seq=10.5")
    hears(neighbours, ";oc=0;oc-validity=500;oc-seq=10.4", 0.1)
    assert sent(neighbours, 10, 0.2) == 0
    hears(neighbours, ";oc=100;oc-validity=500;oc-seq=10.5", 0.4)
    assert sent(neighbours, 10, 0.6) == 10
    hears(neighbours, ";oc=100;oc-validity=500;oc-seq=3000000.0", 1.0)
    hears(neighbours, ";oc=0;oc-validity=500;oc-seq=1.0", 1.1)  # far lower: it has begun anew (section 4.4)
    assert sent(neighbours, 10, 1.2) == 10


@pytest.mark.rfc("7415", "3.5")
def test_by_rate_no_more_a_second_than_it_said() -> None:
    neighbours = Neighbours()
    hears(neighbours, ';oc=50;oc-algo="rate";oc-validity=60000;oc-seq=1.0')
    passed = sum(neighbours.may_send(HOP, False, number / 1000) for number in range(10_000))
    assert 500 <= passed <= 510
    more = sum(neighbours.may_send(HOP, True, 10 + number / 1000) for number in range(10_000))
    assert 500 <= more <= 510


@pytest.mark.rfc("7415", "3.5.2")
def test_by_rate_important_ones_find_a_place_where_others_do_not() -> None:
    neighbours = Neighbours()
    hears(neighbours, ';oc=10;oc-algo="rate";oc-validity=60000;oc-seq=1.0')
    while neighbours.may_send(HOP, False, 1.0):
        pass
    assert neighbours.may_send(HOP, True, 1.0)
    hears(neighbours, ';oc=0;oc-algo="rate";oc-validity=60000;oc-seq=2.0', 1.0)
    assert not neighbours.may_send(HOP, True, 1.1)


@pytest.mark.parametrize(
    "text",
    [";oc", ";oc=x", ";oc=-1", ";oc=101", ';oc=5;oc-algo="A"', ";oc=100;oc-seq=z", ";oc=100;oc-validity=-"],
)
def test_what_can_not_be_read_is_passed_over(text: str) -> None:
    neighbours = Neighbours()
    hears(neighbours, text)
    assert sent(neighbours, 10) == 10


def test_nobody_is_shut_off_for_days_by_one_response() -> None:
    neighbours = Neighbours()
    hears(neighbours, ";oc=100;oc-validity=99999999999;oc-seq=1.0")
    assert sent(neighbours, 10, 61.0) == 10
    neighbours.unavailable(HOP, 1e9, 61.0)
    assert sent(neighbours, 10, 62.0) == 0
    assert sent(neighbours, 10, 62.0 + LONGEST_RETRY_AFTER) == 10


@pytest.mark.rfc("3261", "21.5.4")
def test_retry_after_is_kept_to_for_what_is_new() -> None:
    neighbours = Neighbours()
    neighbours.unavailable(HOP, 5.0, 0.0)
    assert sent(neighbours, 10, 4.9) == 0
    assert sent(neighbours, 10, 4.9, important=True) == 10
    assert sent(neighbours, 10, 5.1) == 10


@pytest.mark.rfc("7339", "5.9")
def test_who_never_answers_is_asked_less_and_less_often() -> None:
    neighbours = Neighbours()
    for _ in range(SILENCES):
        assert neighbours.may_send(HOP, False, 0.0)
        neighbours.silent(HOP, 0.0)
    probes, now = [], 0.0
    while now < 100.0:
        if neighbours.may_send(HOP, False, now):
            probes.append(now)
            neighbours.silent(HOP, now)
        now += 0.1
    gaps = [round(b - a) for a, b in pairwise(probes)]
    assert len(probes) < 9
    assert gaps == sorted(gaps)
    assert max(gaps) == 32
    neighbours.answered(HOP)
    assert sent(neighbours, 100, now) == 100


def test_many_next_hops_fill_no_table() -> None:
    neighbours = Neighbours()
    for number in range(MAX_NEIGHBOURS + 10):
        neighbours.unavailable(Endpoint(f"host{number}", 5060), 1.0, 0.0)
    assert len(neighbours) == MAX_NEIGHBOURS
