"""The transaction layer as a whole: what has no transaction, limits, connections, memory."""

from __future__ import annotations

import gc
import weakref

import pytest

from ringfence.engine.effects import Effect
from ringfence.engine.keys import server_key
from ringfence.engine.timers import Timer
from ringfence.engine.transactions import Transactions
from ringfence.message import LocalError, Request, Response
from tests.conversations.playbook import (
    TCP,
    UDP,
    Fault,
    Over,
    Playbook,
    Up,
    Wire,
    request,
    response,
    transactions_are_gone,
)


@pytest.mark.rfc("3261", "17")
def test_an_ack_for_a_2xx_has_no_transaction() -> None:
    play = Playbook()
    play >> request("ACK", to_tag="t") << Up("ACK", stray=True)
    transactions_are_gone(play)


@pytest.mark.rfc("6026", "7.3")
def test_a_stray_response_is_passed_up_as_one() -> None:
    play = Playbook()
    play >> response(request(), 200) << Up(200, stray=True)
    play >> response(request("OPTIONS"), 404) << Up(404, stray=True)
    assert play.transactions.counts.stray == 2


@pytest.mark.rfc("3261", "18.2.2")
def test_a_datagram_does_not_answer_what_went_over_a_connection() -> None:
    play = Playbook(flow=TCP)
    play.send(request()) << "INVITE"
    play.flow = UDP
    play >> response(request(), 200) << Up(200, stray=True)
    play.flow = Wire("another connection", reliable=True)
    play >> response(request(), 200) << Up(200)


@pytest.mark.rfc("3261", "18.1.2")
@pytest.mark.parametrize(
    ("sent_by", "stray"),
    [
        ("pc33.example.org:5060", False),
        ("PC33.Example.org", False),
        ("pc33.example.org:5062", True),
        ("evil", True),
    ],
)
def test_a_response_has_to_bring_our_sent_by_back(sent_by: str, stray: bool) -> None:
    play = Playbook()
    play.send(request()) << "INVITE"
    answer = response(request(), 200)
    answer.headers.set("Via", str(answer.headers.get("Via")).replace(request().via.sent_by, sent_by))
    play >> answer << Up(200, stray=stray)


def test_a_repeated_request_from_elsewhere_does_not_draw_the_response() -> None:
    play = Playbook()
    play >> request("OPTIONS") << Up("OPTIONS")
    play.answer(200)
    play.flow = Wire("attacker")
    play << 200
    play.happen(play.transactions.receive(request("OPTIONS"), play.flow, play.now))
    assert [getattr(effect, "flow", None) for effect in play.pending] == [UDP]


@pytest.mark.rfc("3261", "9.2")
def test_a_cancel_finds_its_invite() -> None:
    play = Playbook()
    play >> request("INVITE") << Up("INVITE")
    invite = play.server
    play >> request("CANCEL") << Up("CANCEL")
    assert play.server.method == "CANCEL"
    assert play.transactions.find_invite(request("CANCEL")) is invite
    assert not invite.answered
    play.answer(200) << 200
    play >> request("CANCEL") << 200
    assert play.transactions.find_invite(request("CANCEL", branch="z9hG4bKother")) is None
    assert play.transactions.find(server_key(request("INVITE"))) is invite


@pytest.mark.rfc("3261", "8.2.2.2")
def test_a_merged_request_is_found() -> None:
    play = Playbook()
    play >> request("INVITE") << Up("INVITE")
    first = play.server
    assert play.transactions.merged(first) is None
    assert play.transactions.merged(first) is None
    play >> request("INVITE", branch="z9hG4bKfork") << Up("INVITE")
    assert play.transactions.merged(play.server) is first
    play.transactions.discard(first)
    assert play.transactions.merged(play.server) is None
    play >> request("INVITE", branch="z9hG4bKin", to_tag="t") << Up("INVITE")
    assert play.transactions.merged(play.server) is None


def test_a_full_node_refuses_without_state() -> None:
    play = Playbook()
    play.transactions.limit = 1
    play >> request("INVITE") << Up("INVITE")
    play >> request("OPTIONS", branch="z9hG4bKb") << 503
    refusal = play.sent[-1]
    assert refusal.headers.get("Retry-After") == "10"
    assert refusal.to.tag
    play >> request("OPTIONS", branch="z9hG4bKb") << 503
    assert play.sent[-1].to.tag == refusal.to.tag
    play >> request("CANCEL") << Up("CANCEL")  # it makes room
    play >> request("CANCEL", branch="z9hG4bKb") << 503
    play >> request("INVITE") << 100
    play >> request("ACK", branch="z9hG4bKb") << Up("ACK", stray=True)
    assert play.transactions.servers == 2
    assert play.transactions.counts.refused == 3


@pytest.mark.rfc("4475", "3.2.1")
def test_what_cannot_be_told_apart_is_refused_without_state() -> None:
    play = Playbook()
    broken = request("OPTIONS", branch=None)
    broken.headers.set("To", "<sip:bob@example.net")
    play >> broken << 400
    broken = request("ACK", branch=None)
    broken.headers.set("To", "<sip:bob@example.net")
    play >> broken
    play.silent()
    transactions_are_gone(play)


def test_an_ack_is_not_sent_through_a_transaction() -> None:
    with pytest.raises(LocalError, match="ACK"):
        Playbook().send(request("ACK"))


def test_a_branch_is_used_once() -> None:
    play = Playbook()
    play.send(request()) << "INVITE"
    with pytest.raises(LocalError, match="in use"):
        play.send(request())


@pytest.mark.rfc("3261", "17.1.4")
def test_a_lost_connection_fails_what_was_sent_over_it() -> None:
    play = Playbook(flow=TCP)
    play >> request("INVITE") << Up("INVITE")
    for number in range(3):
        play.send(request("OPTIONS", branch=f"z9hG4bK{number}")) << "OPTIONS"
    play.flow = Wire("another", reliable=True)
    play.send(request("OPTIONS", branch="z9hG4bKother")) << "OPTIONS"
    play.happen(play.transactions.failed(TCP, "reset", play.now))
    for _ in range(3):
        play << Fault(503) << Over()
    play.silent()
    assert (play.transactions.clients, play.transactions.servers) == (1, 1)
    assert play.transactions.counts.failed == 3
    play.happen(play.transactions.failed(TCP, "again", play.now)).silent()
    play.answer(480) << 480  # the driver finds another way for it


class Phone:
    """A transaction user with timers."""

    def __init__(self) -> None:
        self.heard: list[tuple[Timer, float]] = []

    def expired(self, timer: Timer, now: float) -> list[Effect]:
        self.heard.append((timer, now))
        return []


@pytest.mark.rfc("3261", "16.8")
def test_a_transaction_user_has_timers_too() -> None:
    play, phone, other = Playbook(), Phone(), Phone()
    play.transactions.arm(phone, Timer.C, 180, play.now)
    play.transactions.arm(other, Timer.C, 180, play.now)
    play.wait(100)
    play.transactions.arm(phone, Timer.C, 180, play.now)  # a provisional response came
    play.transactions.disarm(other, Timer.C)
    play.transactions.disarm(other, Timer.C)
    play.wait(179).silent()
    assert phone.heard == []
    play.wait(1)
    assert phone.heard == [(Timer.C, 1280.0)]
    assert other.heard == []
    with pytest.raises(LocalError, match="delay"):
        play.transactions.arm(phone, Timer.C, 0, play.now)


def test_what_was_retransmitted_and_absorbed_is_counted() -> None:
    play = Playbook()
    play.send(request()) << "INVITE"
    play.wait(0.5) << "INVITE"
    play >> request("OPTIONS") << Up("OPTIONS")
    play >> request("OPTIONS")
    counts = play.transactions.counts
    assert (counts.sent, counts.received, counts.retransmitted, counts.absorbed) == (1, 1, 1, 1)


class Call:
    """A transaction user that holds its transactions, as a response context does."""

    def __init__(self) -> None:
        self.transactions: list[object] = []


def proxied_call(play: Playbook, number: int) -> Call:
    """An INVITE taken and forwarded and accepted; the call and its transactions hold each other."""
    invite = request(branch=f"z9hG4bKin{number}", body=b"v=0\r\n" * 50)
    onward = request(branch=f"z9hG4bKout{number}", body=invite.body)
    play >> invite << Up("INVITE")
    call = Call()
    play.server.user = call
    play.send(onward, user=call) << "INVITE"
    call.transactions += [play.server, play.client]
    play >> response(onward, 200) << Up(200)
    play.answer(200) << 200
    play.received = None
    play.sent.clear()
    return call


def test_what_lingers_holds_no_message() -> None:
    play = Playbook()
    proxied_call(play, 1)
    gc.collect()
    held = [thing for thing in gc.get_objects() if isinstance(thing, Request | Response)]
    assert len(play.transactions) == 2
    assert not [thing for thing in held if isinstance(thing, Response)]
    assert not [thing for thing in held if thing.body]


def test_what_has_ended_is_freed_without_the_garbage_collector() -> None:
    play = Playbook()
    calls = [weakref.ref(proxied_call(play, number)) for number in range(5)]
    play.server = play.client = None
    gc.collect()
    gc.disable()
    try:
        assert all(call() for call in calls)
        play.wait(32).silent()
        transactions_are_gone(play)
        assert not any(call() for call in calls)
    finally:
        gc.enable()


def test_fifty_thousand_that_linger_stay_small() -> None:
    """Counted in objects that the garbage collector walks, since a figure in bytes moves with the Python version."""
    transactions = Transactions()
    gc.collect()
    before = len(gc.get_objects())
    for number in range(5000):
        made = request("OPTIONS", branch=f"z9hG4bK{number}")
        _, effects = transactions.request(made, UDP, None, 0.0)
        transactions.receive(response(made, 200), UDP, 0.0)
        del effects
    gc.collect()
    assert len(transactions) == 5000
    assert (
        len(gc.get_objects()) - before
    ) / 5000 < 5  # the transaction, its deadlines: dead E and F, running K
