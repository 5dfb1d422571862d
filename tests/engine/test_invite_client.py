"""The INVITE client transaction (RFC 3261 section 17.1.1, RFC 6026 section 7.2)."""

from __future__ import annotations

import pytest

from ringfence.message import Request
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

INVITE = request()


@pytest.mark.rfc("3261", "17.1.1.2")
def test_retransmits_with_doubling_intervals_and_gives_up() -> None:
    play = Playbook()
    play.send(INVITE) << "INVITE"
    for interval in (0.5, 1, 2, 4, 8, 16):
        play.wait(interval - 0.01).silent()
        play.wait(0.01) << "INVITE"
    play.wait(0.5) << Fault(408) << Over()  # timer B: 64*T1 after the first of seven
    transactions_are_gone(play)


@pytest.mark.rfc("3261", "17.1.1.2")
def test_sends_once_over_a_reliable_transport() -> None:
    play = Playbook(flow=TCP)
    play.send(INVITE) << "INVITE"
    play.wait(31.9).silent()
    play.wait(0.1) << Fault(408) << Over()
    transactions_are_gone(play)


@pytest.mark.rfc("3261", "17.1.1.2")
def test_a_provisional_response_stops_the_retransmission_and_the_timeout() -> None:
    play = Playbook()
    play.send(INVITE) << "INVITE"
    play >> response(INVITE, 100) << Up(100)
    play.wait(100).silent()
    play >> response(INVITE, 180) << Up(180)
    play >> response(INVITE, 180) << Up(180)
    play.silent()


@pytest.mark.rfc("3261", "17.1.1.2")
def test_acknowledges_a_failure_and_each_of_its_retransmissions() -> None:
    play = Playbook()
    play.send(INVITE) << "INVITE"
    play >> response(INVITE, 486) << "ACK" << Up(486)
    play.wait(31.9) >> response(INVITE, 486) << "ACK"
    play.wait(0.1).silent()
    transactions_are_gone(play)
    play >> response(INVITE, 486) << Up(486, stray=True)


@pytest.mark.rfc("3261", "17.1.1.2")
def test_ends_at_once_after_a_failure_over_a_reliable_transport() -> None:
    play = Playbook(flow=TCP)
    play.send(INVITE) << "INVITE"
    play >> response(INVITE, 486) << "ACK" << Up(486) << Over()
    transactions_are_gone(play)


@pytest.mark.rfc("3261", "17.1.1.3")
def test_the_ack_is_made_from_the_invite_and_the_response() -> None:
    routed = request(headers=(("Route", "<sip:p1.example.org;lr>"), ("Route", "<sip:p2.example.org;lr>")))
    play = Playbook()
    play.send(routed) << "INVITE"
    play >> response(routed, 404, to_tag="99sa0xk") << "ACK" << Up(404)
    ack = play.sent[-1]
    assert isinstance(ack, Request)
    assert ack.uri == routed.uri
    assert ack.headers.all("Via") == ["SIP/2.0/UDP pc33.example.org;branch=z9hG4bKa"]
    assert ack.headers.get("From") == routed.headers.get("From")
    assert ack.headers.get("To") == "Bob <sip:bob@example.net>;tag=99sa0xk"
    assert ack.headers.get("Call-ID") == "call-1"
    assert ack.headers.get("CSeq") == "1 ACK"
    assert ack.headers.all("Route") == routed.headers.all("Route")


@pytest.mark.rfc("6026", "7.2")
def test_passes_every_2xx_up_and_acknowledges_none() -> None:
    play = Playbook()
    play.send(INVITE) << "INVITE"
    play >> response(INVITE, 180) << Up(180)
    play >> response(INVITE, 200) << Up(200)
    play.wait(1) >> response(INVITE, 200) << Up(200)
    play >> response(INVITE, 200, to_tag="other") << Up(200)
    play.wait(30.9) >> response(INVITE, 200) << Up(200)
    play.wait(0.1).silent()
    transactions_are_gone(play)
    play >> response(INVITE, 200) << Up(200, stray=True)


@pytest.mark.rfc("6026", "7.2")
def test_keeps_a_2xx_apart_over_a_reliable_transport_too() -> None:
    play = Playbook(flow=TCP)
    play.send(INVITE) << "INVITE"
    play >> response(INVITE, 200) << Up(200)
    play.wait(31.9) >> response(INVITE, 200) << Up(200)
    play.wait(0.1).silent()
    transactions_are_gone(play)


def test_a_second_final_response_is_absorbed() -> None:
    play = Playbook()
    play.send(INVITE) << "INVITE"
    play >> response(INVITE, 200) << Up(200)
    play >> response(INVITE, 486)
    play >> response(INVITE, 180)
    play.silent()


@pytest.mark.rfc("3261", "17.1.4")
def test_a_lost_connection_is_a_503() -> None:
    play = Playbook(flow=TCP)
    play.send(INVITE) << "INVITE"
    play.happen(play.transactions.failed(TCP, "reset by peer", play.now)) << Fault(503) << Over()
    transactions_are_gone(play)


@pytest.mark.rfc("3261", "9.1")
def test_a_cancel_waits_for_a_provisional_response() -> None:
    play = Playbook()
    play.send(INVITE) << "INVITE"
    play.cancel().silent()
    play >> response(INVITE, 100) << Up(100) << "CANCEL"
    play.cancel().silent()  # once is enough
    cancel = play.sent[-1]
    assert isinstance(cancel, Request)
    assert cancel.uri == INVITE.uri
    assert cancel.headers.all("Via") == INVITE.headers.all("Via")
    assert cancel.headers.get("CSeq") == "1 CANCEL"
    assert cancel.headers.get("To") == INVITE.headers.get("To")
    play >> response(cancel, 200)  # nobody waits for it
    play >> response(INVITE, 487) << "ACK" << Up(487)
    play.wait(32).silent()
    transactions_are_gone(play)


@pytest.mark.rfc("3326", "2")
def test_a_cancel_says_why() -> None:
    play = Playbook()
    play.send(INVITE) << "INVITE"
    play >> response(INVITE, 180) << Up(180)
    play.cancel('SIP;cause=200;text="Call completed elsewhere"') << "CANCEL"
    assert play.sent[-1].headers.get("Reason") == 'SIP;cause=200;text="Call completed elsewhere"'


@pytest.mark.rfc("3261", "9.1")
def test_a_cancel_that_comes_too_late_is_not_sent() -> None:
    play = Playbook()
    play.send(INVITE) << "INVITE"
    play.cancel()
    play >> response(INVITE, 200) << Up(200)
    play.cancel().silent()


@pytest.mark.rfc("3261", "9.1")
def test_a_cancelled_invite_that_stays_unanswered_is_given_up() -> None:
    play = Playbook()
    play.send(INVITE) << "INVITE"
    play >> response(INVITE, 180) << Up(180)
    play.cancel() << "CANCEL"
    cancel = play.sent[-1]
    assert isinstance(cancel, Request)
    play >> response(cancel, 200)
    play.wait(31.9).silent()
    play.wait(0.1) << Fault(487) << Over()
    transactions_are_gone(play)
