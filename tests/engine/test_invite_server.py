"""The INVITE server transaction (RFC 3261 section 17.2.1, RFC 6026 section 7.1)."""

from __future__ import annotations

import pytest

from ringfence.message import LocalError
from tests.conversations.playbook import TCP, Fault, Over, Playbook, Up, request, transactions_are_gone

INVITE = request()


@pytest.mark.rfc("3261", "17.2.1")
def test_100_is_sent_when_the_answer_takes_time() -> None:
    play = Playbook()
    play >> request(headers=(("Timestamp", "54"),)) << Up("INVITE")
    play.trying() << 100
    trying = play.sent[-1]
    assert trying.headers.get("Timestamp") == "54"
    assert trying.to.tag is None
    play.trying().silent()  # once


@pytest.mark.rfc("3261", "17.2.1")
def test_no_100_after_something_else_was_sent() -> None:
    play = Playbook()
    play >> INVITE << Up("INVITE")
    play.answer(180) << 180
    play.trying().silent()


@pytest.mark.rfc("3261", "17.2.1")
def test_a_retransmission_gets_the_last_provisional_response() -> None:
    play = Playbook()
    play >> INVITE << Up("INVITE")
    play.wait(0.5) >> INVITE << 100  # nothing was sent within T1: the 100 is due
    play.answer(180) << 180
    play.answer(183) << 183
    play >> INVITE << 183
    play.silent()


@pytest.mark.rfc("3261", "17.2.1")
def test_a_failure_is_repeated_until_the_ack() -> None:
    play = Playbook()
    play >> INVITE << Up("INVITE")
    play.answer(486) << 486
    play.wait(0.5) << 486
    play.wait(1) << 486
    play.wait(2) << 486
    play.wait(4) << 486
    play.wait(4) << 486  # capped at T2
    play >> INVITE << 486
    play >> request("ACK", to_tag="t")
    play.wait(4.9).silent()
    play >> request("ACK", to_tag="t")  # its retransmission is absorbed
    play >> INVITE
    play.wait(0.1).silent()
    transactions_are_gone(play)


@pytest.mark.rfc("3261", "17.2.1")
def test_no_ack_is_told() -> None:
    play = Playbook(flow=TCP)
    play >> INVITE << Up("INVITE")
    play.server.user = "user"
    play.answer(486) << 486
    play.wait(31.9).silent()
    play.wait(0.1) << Fault(408) << Over()
    transactions_are_gone(play)


def test_no_ack_is_told_to_nobody_when_nobody_waits() -> None:
    play = Playbook(flow=TCP)
    play >> INVITE << Up("INVITE")
    play.answer(486) << 486
    play.wait(32).silent()
    transactions_are_gone(play)


@pytest.mark.rfc("3261", "17.2.1")
def test_the_ack_ends_it_at_once_over_a_reliable_transport() -> None:
    play = Playbook(flow=TCP)
    play >> INVITE << Up("INVITE")
    play.answer(486) << 486
    play >> request("ACK", to_tag="t") << Over()
    transactions_are_gone(play)


@pytest.mark.rfc("6026", "7.1")
def test_a_2xx_is_the_users_to_repeat() -> None:
    play = Playbook()
    play >> INVITE << Up("INVITE")
    play.answer(200) << 200
    play.wait(1) >> INVITE  # absorbed, not answered, not new
    play.answer(200) << 200
    play.answer(200, to_tag="second branch") << 200
    play.answer(486)
    play >> request("ACK", branch="z9hG4bKnew", to_tag="t") << Up("ACK", stray=True)
    play.wait(30.9) >> INVITE
    play.wait(0.1).silent()
    transactions_are_gone(play)
    play >> INVITE << Up("INVITE")


@pytest.mark.rfc("6026", "6")
def test_an_ack_on_the_old_branch_goes_up_after_a_2xx() -> None:
    play = Playbook()
    play >> INVITE << Up("INVITE")
    play.answer(200) << 200
    play >> request("ACK", to_tag="t") << Up("ACK", stray=True)


@pytest.mark.rfc("6026", "7.1")
def test_stays_when_a_response_cannot_be_sent() -> None:
    play = Playbook()
    play >> INVITE << Up("INVITE")
    play.answer(486) << 486
    play.happen(play.transactions.undelivered(play.server, "no route", play.now)) << Fault(503)
    play >> INVITE << 486


def test_an_ack_before_the_final_response_is_absorbed() -> None:
    play = Playbook()
    play >> INVITE << Up("INVITE")
    play >> request("ACK", to_tag="t")
    play.silent()


def test_nothing_is_sent_after_the_final_response() -> None:
    play = Playbook()
    play >> INVITE << Up("INVITE")
    play.answer(486) << 486
    play.answer(180)
    play.answer(200)
    play.answer(500)
    play.silent()


@pytest.mark.rfc("3261", "26.3.2.4")
def test_a_discarded_invite_leaves_nothing() -> None:
    play = Playbook()
    play >> INVITE << Up("INVITE")
    server = play.server
    play.transactions.discard(server)
    transactions_are_gone(play)
    with pytest.raises(LocalError, match="let go"):
        server.request.copy()
    play >> INVITE << Up("INVITE")
    assert play.server is not server
    play.answer(401, server=server).silent()  # the old one is dead
    play.answer(401) << 401  # and the new one not disturbed
