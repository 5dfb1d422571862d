"""The non-INVITE server transaction (RFC 3261 section 17.2.2, RFC 4320)."""

from __future__ import annotations

import pytest

from tests.conversations.playbook import (
    TCP,
    UDP,
    Fault,
    Over,
    Playbook,
    Up,
    Wire,
    request,
    transactions_are_gone,
)

OPTIONS = request("OPTIONS")


@pytest.mark.rfc("3261", "17.2.2")
def test_a_retransmission_is_absorbed_and_then_answered() -> None:
    play = Playbook()
    play >> OPTIONS << Up("OPTIONS")
    play >> OPTIONS
    play.answer(200) << 200
    play >> OPTIONS << 200
    play.answer(404)  # only the first counts
    play.wait(31.9) >> OPTIONS << 200
    play.wait(0.1).silent()
    transactions_are_gone(play)


@pytest.mark.rfc("3261", "17.2.2")
def test_ends_at_once_over_a_reliable_transport() -> None:
    play = Playbook(flow=TCP)
    play >> OPTIONS << Up("OPTIONS")
    play.answer(200) << 200 << Over()
    transactions_are_gone(play)


@pytest.mark.rfc("4320", "4.1")
@pytest.mark.parametrize("flow", [UDP, TCP])
def test_100_is_sent_late_and_only_when_there_is_no_answer(flow: Wire) -> None:
    play = Playbook(flow=flow)
    play >> OPTIONS << Up("OPTIONS")
    play.trying().wait(3.4).silent()
    play.wait(0.1) << 100
    play.trying().silent()
    play >> OPTIONS << 100
    play.answer(200) << 200


@pytest.mark.rfc("4320", "4.1")
def test_an_answer_in_time_needs_no_100() -> None:
    play = Playbook()
    play >> OPTIONS << Up("OPTIONS")
    play.trying()
    play.trying()  # twice is once
    play.answer(200) << 200
    assert len(play.transactions._deadlines) - play.transactions._deadlines._dead == 1  # timer J alone
    play.wait(4).silent()


@pytest.mark.rfc("4320", "4.1")
def test_no_other_provisional_response_is_sent() -> None:
    play = Playbook()
    play >> OPTIONS << Up("OPTIONS")
    play.answer(183).answer(100).silent()


@pytest.mark.rfc("4320", "4.2")
@pytest.mark.parametrize("late", [False, True])
def test_408_is_not_sent(late: bool) -> None:
    play = Playbook()
    play >> OPTIONS << Up("OPTIONS")
    if late:
        play.trying().wait(3.5) << 100
    play.answer(408)
    play >> OPTIONS
    play.wait(32).silent()
    transactions_are_gone(play)


def test_stays_when_a_response_cannot_be_sent() -> None:
    play = Playbook()
    play >> OPTIONS << Up("OPTIONS")
    play.answer(200) << 200
    play.happen(play.transactions.undelivered(play.server, "no route", play.now)) << Fault(503)
    play >> OPTIONS << 200


@pytest.mark.rfc("3261", "26.3.2.4")
@pytest.mark.parametrize("late", [False, True])
def test_a_discarded_request_leaves_nothing(late: bool) -> None:
    play = Playbook()
    play >> OPTIONS << Up("OPTIONS")
    if late:
        play.trying().wait(3.5) << 100
    play.transactions.discard(play.server)
    transactions_are_gone(play)
    play >> OPTIONS << Up("OPTIONS")
