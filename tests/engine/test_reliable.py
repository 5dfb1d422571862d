"""Reliable provisional responses (RFC 3262)."""

from __future__ import annotations

import pytest

from ringfence.engine.reliable import Order, Received, Sent, is_reliable, rack_for
from ringfence.message import LocalError, PeerError, Request, Response, response_to
from tests.conversations.playbook import request

INVITE = request("INVITE", cseq=7)


def ringing(rseq: int | None, status: int = 180, require: str | None = "100rel") -> Response:
    response = response_to(INVITE, status, to_tag="b")
    if require is not None:
        response.headers.add("Require", require)
    if rseq is not None:
        response.headers.add("RSeq", rseq)
    return response


def prack(rack: str) -> Request:
    return request("PRACK", cseq=8, to_tag="b", headers=(("RAck", rack),))


@pytest.mark.rfc("3262", "4")
def test_what_asks_for_a_prack() -> None:
    assert is_reliable(ringing(1))
    assert is_reliable(ringing(1, require="precondition, 100REL"))
    assert not is_reliable(ringing(1, require=None))
    assert not is_reliable(ringing(1, require="timer"))
    assert not is_reliable(ringing(None))
    assert not is_reliable(ringing(1, status=100))
    assert not is_reliable(ringing(1, status=200))


@pytest.mark.rfc("3262", "4")
def test_they_are_taken_in_order() -> None:
    received = Received()
    assert received.receive(ringing(None, require=None)) is Order.UNRELIABLE
    assert received.receive(ringing(776656)) is Order.NEXT  # the first sets the number
    assert received.receive(ringing(776656)) is Order.REPEATED
    assert received.receive(ringing(776658)) is Order.AHEAD
    assert received.receive(ringing(776657)) is Order.NEXT
    assert received.receive(ringing(776658)) is Order.NEXT
    assert received.receive(ringing(776650)) is Order.REPEATED


def test_a_number_that_cannot_be_read_is_the_peers_fault() -> None:
    broken = ringing(None)
    broken.headers.add("RSeq", "0")
    with pytest.raises(PeerError, match="RSeq"):
        Received().receive(broken)


@pytest.mark.rfc("3262", "7.2")
def test_a_rack_repeats_rseq_and_cseq() -> None:
    assert str(rack_for(ringing(776656))) == "776656 7 INVITE"


@pytest.mark.rfc("3262", "3")
def test_they_are_sent_one_after_the_other() -> None:
    sent = Sent(INVITE, 5)
    first, second, third = (
        ringing(None, require=None),
        ringing(None, require=None),
        ringing(None, require=None),
    )
    assert sent.mark(first) == 5
    assert is_reliable(first)
    assert not sent.may_send
    with pytest.raises(LocalError, match="first reliable response"):
        sent.mark(second)
    assert sent.receive(prack("5 7 INVITE")) == 5
    assert sent.mark(second) == 6
    assert sent.mark(third) == 7  # after the first, more than one may wait
    assert sent.waiting == 2
    assert sent.receive(prack("7 7 INVITE")) == 7
    assert sent.receive(prack("6 7 INVITE")) == 6
    assert sent.waiting == 0


@pytest.mark.rfc("3262", "3")
@pytest.mark.parametrize("rack", ["6 7 INVITE", "5 8 INVITE", "5 7 OPTIONS"])
def test_a_prack_for_something_else_is_refused(rack: str) -> None:
    sent = Sent(INVITE, 5)
    sent.mark(ringing(None, require=None))
    with pytest.raises(PeerError) as caught:
        sent.receive(prack(rack))
    assert caught.value.status == 481
    assert sent.waiting == 1


@pytest.mark.rfc("3262", "3")
def test_a_second_prack_is_refused() -> None:
    sent = Sent(INVITE, 5)
    sent.mark(ringing(None, require=None))
    sent.receive(prack("5 7 INVITE"))
    with pytest.raises(PeerError):
        sent.receive(prack("5 7 INVITE"))


def test_a_prack_without_rack_is_malformed() -> None:
    with pytest.raises(PeerError) as caught:
        Sent(INVITE, 5).receive(request("PRACK", cseq=8, to_tag="b"))
    assert caught.value.status == 400


@pytest.mark.rfc("3262", "3")
@pytest.mark.parametrize("first", [0, 2**31])
def test_the_first_number_is_in_range(first: int) -> None:
    with pytest.raises(LocalError, match="RSeq"):
        Sent(INVITE, first)


@pytest.mark.rfc("3262", "3")
@pytest.mark.parametrize("status", [100, 200])
def test_only_101_to_199_are_sent_reliably(status: int) -> None:
    with pytest.raises(LocalError, match="reliably"):
        Sent(INVITE, 1).mark(ringing(None, status=status, require=None))
