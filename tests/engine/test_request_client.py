"""The non-INVITE client transaction (RFC 3261 section 17.1.2)."""

from __future__ import annotations

import pytest

from tests.conversations.playbook import (
    TCP,
    Fault,
    Over,
    Playbook,
    Up,
    request,
    response,
    transactions_are_gone,
)

OPTIONS = request("OPTIONS")


@pytest.mark.rfc("3261", "17.1.2.2")
def test_retransmits_up_to_t2_and_gives_up() -> None:
    play = Playbook()
    play.send(OPTIONS) << "OPTIONS"
    for interval in (0.5, 1, 2, 4, 4, 4, 4, 4, 4, 4):
        play.wait(interval - 0.01).silent()
        play.wait(0.01) << "OPTIONS"
    play.wait(0.5) << Fault(408) << Over()
    transactions_are_gone(play)


@pytest.mark.rfc("3261", "17.1.2.2")
def test_retransmits_every_t2_after_a_provisional_response() -> None:
    play = Playbook()
    play.send(OPTIONS) << "OPTIONS"
    play >> response(OPTIONS, 100) << Up(100)
    play.wait(0.5) << "OPTIONS"
    play.wait(3.9).silent()
    play.wait(0.1) << "OPTIONS"
    play.wait(4) << "OPTIONS"
    play >> response(OPTIONS, 100) << Up(100)
    play.wait(20)
    for _ in range(5):
        play << "OPTIONS"
    play.wait(3.5) << Fault(408) << Over()
    transactions_are_gone(play)


@pytest.mark.rfc("3261", "17.1.2.2")
@pytest.mark.parametrize("status", [200, 302, 404, 503, 603])
def test_a_final_response_is_passed_up_once(status: int) -> None:
    play = Playbook()
    play.send(OPTIONS) << "OPTIONS"
    play >> response(OPTIONS, status) << Up(status)
    play >> response(OPTIONS, status)
    play >> response(OPTIONS, 100)
    play.wait(4.9) >> response(OPTIONS, status)
    play.wait(0.1).silent()
    transactions_are_gone(play)


@pytest.mark.rfc("3261", "17.1.2.2")
def test_ends_at_once_over_a_reliable_transport() -> None:
    play = Playbook(flow=TCP)
    play.send(OPTIONS) << "OPTIONS"
    play.wait(5).silent()
    play >> response(OPTIONS, 200) << Up(200) << Over()
    transactions_are_gone(play)


@pytest.mark.rfc("3261", "17.1.4")
@pytest.mark.parametrize("provisional", [False, True])
def test_a_lost_connection_is_a_503(provisional: bool) -> None:
    play = Playbook(flow=TCP)
    play.send(OPTIONS) << "OPTIONS"
    if provisional:
        play >> response(OPTIONS, 100) << Up(100)
    play.happen(play.transactions.failed(TCP, "reset by peer", play.now)) << Fault(503) << Over()
    transactions_are_gone(play)


def test_nobody_is_told_when_nobody_waits() -> None:
    play = Playbook()
    play.send(OPTIONS, user=None) << "OPTIONS"
    play >> response(OPTIONS, 200)
    play.wait(5).silent()
    play.send(OPTIONS, user=None) << "OPTIONS"
    play.wait(32)
    for _ in range(10):
        play << "OPTIONS"
    play.silent()
    transactions_are_gone(play)


@pytest.mark.rfc("3261", "9.1")
def test_only_an_invite_is_cancelled() -> None:
    play = Playbook()
    play.send(OPTIONS) << "OPTIONS"
    play >> response(OPTIONS, 100) << Up(100)
    play.cancel().silent()
