"""Anonymous, and paid for all the same: the bill of a call that is two dialogs, and who may read whose it is."""

from __future__ import annotations

import pytest

from ringfence.ledger.events import Kind
from ringfence.ledger.memory import MemoryLedger
from ringfence.ledger.records import CallRecord, records_of
from ringfence.roles.bridge.ending import sweep
from ringfence.roles.charging import Charging, Limits
from ringfence.store.records import Rights
from tests.conversations.network import Network
from tests.conversations.phones import SDP, Phone, network_is_quiet

from .conftest import PRIVACY

BOB = "sip:bob@example.org"
WISH = ("Privacy", "user;header")


def talk(alice: Phone, bob: Phone, *more: tuple[str, str], answer: tuple[tuple[str, str], ...] = ()) -> None:
    alice >> alice.invite(BOB, WISH, *more) << 407 >> alice.ack() >> alice.authorized() << 100
    bob << "INVITE" >> bob.answer(180)
    alice << 180
    bob >> bob.answer(200, *answer, body=SDP)
    alice << 200
    number = alice.response.cseq.number
    alice.begin()
    alice.dialog.cseq = number
    alice >> alice.within("ACK", cseq=number)
    bob << "ACK"
    bob.dialog.cseq = 200


def revealed(book: MemoryLedger) -> CallRecord:
    (found,) = records_of(book.events, PRIVACY)
    return found


def shown(book: MemoryLedger) -> CallRecord:
    (found,) = records_of(book.events)
    return found


@pytest.mark.parametrize("by", ["alice", "bob"])
def test_the_account_is_charged_and_not_named(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger, by: str
) -> None:
    talk(alice, bob)
    network.wait(60)
    one, two = (alice, bob) if by == "alice" else (bob, alice)
    one >> one.within("BYE")
    two << "BYE" >> two.answer(200)
    one << 200
    assert [event.kind for event in book.events] == [Kind.START, Kind.ANSWER, Kind.STOP]
    assert "alice" not in repr(book.events)
    assert "198.51.100.10" not in repr(book.events)
    found = shown(book)
    assert (found.account, found.caller, found.callee, found.private) == ("", "", BOB, True)
    assert revealed(book).account == "sip:alice@example.org"
    assert 59 < found.seconds < 62
    assert found.reason == ("the caller hung up" if by == "alice" else "the callee hung up")


def test_an_account_that_is_always_private_is_charged_alike(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    network.account("alice", rights=Rights(privacy=frozenset({"user", "header"})))
    alice >> alice.invite(BOB) << 407 >> alice.ack() >> alice.authorized() << 100
    bob << "INVITE"
    assert str(bob.request.from_.uri) == "sip:anonymous@anonymous.invalid"
    assert "alice" not in repr(book.events)
    assert revealed(book).account == "sip:alice@example.org"


def test_a_change_of_the_session_is_no_other_call(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    talk(alice, bob)
    dialogs = alice.dialog, bob.dialog
    for one, two in ((alice, bob), (bob, alice)):
        one >> one.within("INVITE", ("Content-Type", "application/sdp"), body=SDP) << 100
        two << "INVITE" >> two.answer(200, body=SDP)
        one << 200
        alice.dialog, bob.dialog = dialogs
        one >> one.within("ACK", cseq=one.dialog.cseq)
        two << "ACK"
    assert [event.kind for event in book.events] == [Kind.START, Kind.ANSWER]
    alice >> alice.within("BYE")
    bob << "BYE" >> bob.answer(200)
    alice << 200
    assert not shown(book).open


def test_a_call_that_lasts_too_long_is_ended_on_both_sides(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    assert network.services.charging is not None
    talk(alice, bob)
    network.wait(3601)
    network.services.charging.sweep(network.services)
    for phone, other in ((alice, "bob"), (bob, "alice")):
        phone << "BYE"
        assert phone.request.call_id == phone.dialog.call_id
        assert str(phone.request.from_) == phone.dialog.remote
        assert other not in phone.request.to_bytes().decode() or phone is alice
        phone >> phone.answer(200)
    assert shown(book).reason == "it lasted as long as a call may"
    assert not network.services.bridges
    network_is_quiet(alice, bob)


def test_a_session_that_nobody_refreshes_ends_its_bill(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    talk(alice, bob, ("Session-Expires", "90"), answer=(("Session-Expires", "90;refresher=uac"),))
    network.wait(130)
    sweep(network.services)
    alice << "BYE" >> alice.answer(200)
    bob << "BYE" >> bob.answer(200)
    assert not shown(book).open
    assert shown(book).reason == "it was not refreshed"


def test_a_call_that_can_t_be_kept_private_costs_nothing(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    alice >> alice.invite(BOB, ("Privacy", "session;critical")) << 407 >> alice.ack()
    alice >> alice.authorized() << 500 >> alice.ack()
    assert "session" in alice.response.reason
    assert not book.events
    network_is_quiet(alice, bob)


def test_a_full_house(network: Network, alice: Phone, bob: Phone, book: MemoryLedger) -> None:
    assert network.services.bridges is not None
    network.services.bridges.policy.max_bridges = 0
    alice >> alice.invite(BOB, WISH) << 407 >> alice.ack() >> alice.authorized() << 503 >> alice.ack()
    assert shown(book).status == 503
    network_is_quiet(alice, bob)


def test_a_caller_who_gives_up_pays_nothing(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    alice >> alice.invite(BOB, WISH) << 407 >> alice.ack() >> alice.authorized() << 100
    bob << "INVITE" >> bob.answer(180)
    alice << 180
    theirs = bob.request
    alice >> alice.cancel() << 200
    bob << "CANCEL" >> bob.answer(200) >> bob.answer(487, request=theirs) << "ACK"
    alice << 487 >> alice.ack()
    assert (shown(book).status, shown(book).seconds) == (487, 0)


def test_the_limit_on_calls_counts_private_ones(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    network.account("alice", rights=Rights(max_calls=1))
    network.services.charging = Charging(book, Limits(), privacy=PRIVACY)
    talk(alice, bob)
    alice >> alice.invite(BOB, WISH) << 407 >> alice.ack() >> alice.authorized() << 403
