"""How much is taken when there is too much, and what neighbours are told (RFC 7339, RFC 7415)."""

from __future__ import annotations

import pytest

from ringfence.guard.overload import LEAST, MAX_UPSTREAMS, PATIENCE, TICK_SECONDS, VALIDITY, Load, Overload
from ringfence.message.fields.via import Via, parse_via
from tests.conversations.playbook import request, response

LATE, IDLE = Load(0.5, 0.0, 0.0), Load(0.0, 0.0, 0.0)
WALL = 1_800_000_000.0


def measured(overload: Overload, load: Load, times: int, begin: float = 0.0) -> float:
    for number in range(times):
        overload.measure(load, begin + number * TICK_SECONDS, WALL + begin + number * TICK_SECONDS)
    return begin + times * TICK_SECONDS


def offer(algorithms: str = "loss,rate") -> Via:
    return parse_via(f'SIP/2.0/TLS p1.example.net;branch=z9hG4bK1;oc;oc-algo="{algorithms}"')


def told(overload: Overload, host: str = "192.0.2.9") -> Via:
    """The topmost Via of a response to a neighbour."""
    answer = response(request(), 200)
    overload.tell(answer, host)
    return answer.via


def test_a_hiccup_changes_nothing() -> None:
    overload = Overload()
    measured(overload, LATE, PATIENCE - 1)
    measured(overload, IDLE, 1)
    assert overload.share == 1.0
    assert not overload.active


@pytest.mark.parametrize("load", [Load(0.5, 0, 0), Load(0, 0.5, 0), Load(0, 0, 1.0)])
def test_less_is_taken_while_it_is_late_and_all_again_afterwards(load: Load) -> None:
    overload = Overload()
    measured(overload, load, 50)
    assert LEAST <= overload.share < 0.5
    assert overload.active
    measured(overload, IDLE, 100)
    assert overload.share == 1.0
    assert not overload.active


def test_of_a_share_just_that_passes_and_less_of_strangers() -> None:
    overload = Overload()
    overload.share = 0.7
    assert sum(overload.takes(True) for _ in range(1000)) == pytest.approx(700, abs=1)
    assert sum(overload.takes(False) for _ in range(1000)) == pytest.approx(490, abs=1)


@pytest.mark.rfc("7339", "5.1")
def test_a_neighbour_is_told_that_all_is_well() -> None:
    overload = Overload()
    overload.offered("192.0.2.9", offer(), 0.0)
    measured(overload, IDLE, 1)
    via = told(overload)
    assert via.params.get("oc") == "0"
    assert via.params.get("oc-validity") == "0"
    assert via.params.raw("oc-algo") == '"loss"'


@pytest.mark.rfc("7339", "5.2")
def test_a_neighbour_is_told_by_how_much_to_reduce() -> None:
    overload = Overload()
    overload.offered("192.0.2.9", offer("loss"), 0.0)
    now = measured(overload, LATE, PATIENCE)
    via = told(overload)
    assert via.params.get("oc") == str(round(100 * (1 - overload.share))) != "0"
    assert via.params.get("oc-validity") == str(VALIDITY)
    first = float(via.params.get("oc-seq") or 0)
    measured(overload, LATE, 1, now)
    assert float(told(overload).params.get("oc-seq") or 0) > first


@pytest.mark.rfc("7339", "4.4")
def test_the_sequence_has_the_form_of_the_grammar() -> None:
    overload = Overload()
    overload.offered("192.0.2.9", offer(), 0.0)
    measured(overload, LATE, PATIENCE)
    whole, _, part = (told(overload).params.get("oc-seq") or "").partition(".")
    assert whole.isdigit()
    assert part.isdigit()
    assert len(whole) <= 12
    assert len(part) <= 5


@pytest.mark.rfc("7339", "4.2")
def test_the_algorithm_is_one_that_both_have_and_stays() -> None:
    overload = Overload(("rate", "loss"))
    overload.offered("192.0.2.9", offer("loss,A"), 0.0)
    overload.offered("192.0.2.8", offer("loss,rate"), 0.0)
    assert told(overload).params.get("oc-algo") == "loss"
    assert told(overload, "192.0.2.8").params.get("oc-algo") == "rate"
    overload.offered("192.0.2.9", offer("rate,loss"), 10.0)
    assert told(overload).params.get("oc-algo") == "loss"
    overload.offered("192.0.2.9", offer("rate,loss"), 4000.0)
    assert told(overload).params.get("oc-algo") == "rate"


@pytest.mark.rfc("7415", "3.3")
def test_by_rate_a_neighbour_gets_its_share_of_what_it_sent() -> None:
    overload = Overload(("rate",))
    for tick in range(200):
        for _ in range(20):
            overload.offered("192.0.2.9", offer("loss,rate"), tick * TICK_SECONDS)
        measured(overload, IDLE, 1, tick * TICK_SECONDS)
    measured(overload, LATE, PATIENCE, 20.0)
    assert told(overload).params.get("oc") == str(int(200 * overload.share))
    measured(overload, LATE, 50, 21.0)
    assert int(told(overload).params.get("oc") or 0) >= 1  # 0 would be a stop, which nothing could end


def test_who_has_not_offered_is_told_nothing() -> None:
    overload = Overload()
    measured(overload, LATE, 5)
    assert "oc" not in told(overload).params


def test_whoever_offers_from_many_addresses_fills_no_table() -> None:
    overload = Overload()
    for number in range(MAX_UPSTREAMS + 100):
        overload.offered(f"host{number}", offer(), float(number))
    assert overload.upstreams == MAX_UPSTREAMS
