"""Calls through a node, and what its ledger says of them."""

from __future__ import annotations

from collections.abc import Awaitable
from itertools import pairwise

import pytest

from ringfence.ledger.events import Event, Kind
from ringfence.ledger.memory import MemoryLedger
from ringfence.ledger.records import CallRecord, records_of
from ringfence.ledger.together import Together
from ringfence.message import Request
from ringfence.roles.charging import Charging, Limits
from ringfence.store.errors import StoreError
from ringfence.store.records import Rights
from tests.conversations.network import Network, Waiting
from tests.conversations.phones import Phone, network_is_quiet

from .conftest import PRIVACY

BOB = "sip:bob@example.org"


def rings(alice: Phone, bob: Phone, invite: Request | None = None) -> None:
    alice >> (invite or alice.invite(BOB)) << 407 >> alice.ack()
    alice >> alice.authorized() << 100
    bob << "INVITE"
    bob >> bob.answer(180)
    alice << 180


def talks(alice: Phone, bob: Phone, *more: tuple[str, str], invite: Request | None = None) -> None:
    rings(alice, bob, invite)
    bob >> bob.answer(200, *more)
    (alice << 200).begin()
    alice >> alice.within("ACK", cseq=alice.dialog.cseq)
    bob << "ACK"


def record(book: MemoryLedger) -> CallRecord:
    (found,) = records_of(book.events)
    return found


def notes(book: MemoryLedger) -> list[str]:
    return [str(event.facts["text"]) for event in book.events if event.kind is Kind.NOTE]


def test_a_session_timer_that_can_t_be_read_settles_nothing(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    talks(alice, bob, ("Session-Expires", "soon"))
    assert record(book).open


def test_a_call_is_recorded_from_its_start_to_its_end(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    talks(alice, bob)
    network.wait(60)
    bob >> bob.within("BYE")
    alice << "BYE"
    assert record(book).open, "a BYE that nobody has answered ends nothing"
    alice >> alice.answer(200)
    bob << 200
    found = record(book)
    assert [event.kind for event in book.events] == [Kind.START, Kind.ANSWER, Kind.STOP]
    assert (found.account, found.caller, found.callee) == (
        "sip:alice@example.org",
        "sip:alice@example.org",
        BOB,
    )
    assert (found.evidence, found.transport, found.source) == (
        "digest SHA-512-256",
        "UDP",
        "198.51.100.10 5060",
    )
    assert found.seconds == pytest.approx(60, abs=0.1)
    assert found.reason == "the callee hung up"
    assert len(network.services.charging.calls) == 0


def test_a_challenged_invite_is_no_call(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    alice >> alice.invite(BOB) << 407 >> alice.ack()
    assert book.events == []


@pytest.mark.parametrize(("status", "reason"), [(486, "it was not answered"), (603, "it was not answered")])
def test_a_call_that_is_refused_costs_nothing(
    alice: Phone, bob: Phone, book: MemoryLedger, status: int, reason: str
) -> None:
    rings(alice, bob)
    bob >> bob.answer(status) << "ACK"
    alice << status
    found = record(book)
    assert (found.seconds, found.status, found.reason) == (0, status, reason)


def test_a_caller_who_gives_up_pays_nothing(alice: Phone, bob: Phone, book: MemoryLedger) -> None:
    rings(alice, bob)
    invite = bob.request
    alice >> alice.cancel() << 200
    bob << "CANCEL"
    bob >> bob.answer(200) >> bob.answer(487, request=invite) << "ACK"
    alice << 487
    assert (record(book).status, record(book).reason) == (487, "the caller gave up")


def test_a_phone_that_is_gone_is_a_call_that_ended(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    alice >> alice.invite(BOB) << 407 >> alice.ack() >> alice.authorized() << 100
    network.wait(40)
    alice << 408
    assert record(book).status == 408


# -- who tries to pay less -------------------------------------------------------------------------------


def mallory(network: Network) -> Phone:
    return Phone(network, "mallory", "198.51.100.66")


def test_a_bye_from_elsewhere_does_not_end_the_bill(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    talks(alice, bob)
    mallory(network) >> alice.within("BYE") << 407
    network_is_quiet(bob)
    assert record(book).open


def test_a_bye_from_elsewhere_in_the_name_of_a_stranger_does_not_end_the_bill(
    network: Network, bob: Phone, book: MemoryLedger
) -> None:
    network.names.host("example.net", "203.0.113.9")
    dan = Phone(network, "dan", "203.0.113.9", domain="example.net")
    dan >> dan.invite(BOB) << 100
    bob << "INVITE" >> bob.answer(200)
    dan << 200 >> dan.begin().within("ACK")
    bob << "ACK"
    mallory(network) >> dan.within("BYE")
    bob << "BYE"
    bob >> bob.answer(200)
    assert record(book).open
    assert notes(book) == ["a BYE did not come from the caller: it does not count"]


def test_a_bye_that_goes_elsewhere_does_not_end_the_bill(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    talks(alice, bob)
    friend = mallory(network)
    bye = alice.within("BYE")
    bye.uri = friend.contact
    alice >> bye
    friend << "BYE"
    friend >> friend.answer(200)
    alice << 200
    assert record(book).open
    assert notes(book) == ["a BYE of the caller did not go to the other side: it does not count"]


def test_a_bye_that_the_other_side_refuses_does_not_end_the_bill(
    alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    talks(alice, bob)
    alice >> alice.within("BYE", cseq=1)
    bob << "BYE"
    bob >> bob.answer(500)
    alice << 500
    assert record(book).open


def test_a_bye_with_other_tags_is_of_no_call(alice: Phone, bob: Phone, book: MemoryLedger) -> None:
    talks(alice, bob)
    bye = alice.within("BYE")
    bye.headers.set("To", f"<{BOB}>;tag=other")
    alice >> bye
    bob << "BYE"
    bob >> bob.answer(200)
    alice << 200
    assert record(book).open


def test_an_invite_in_a_dialog_to_somebody_else_is_another_call(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    talks(alice, bob)
    friend = mallory(network)
    again = alice.within("INVITE")
    again.uri = friend.contact
    alice >> again << 100
    friend << "INVITE"
    records = list(records_of(book.events))
    assert [each.account for each in records] == ["sip:alice@example.org"] * 2
    assert records[1].callee == "sip:mallory@198.51.100.66"


def test_a_re_invite_is_no_call_of_its_own(alice: Phone, bob: Phone, book: MemoryLedger) -> None:
    talks(alice, bob)
    alice >> alice.within("INVITE") << 100
    bob << "INVITE"
    bob >> bob.answer(200)
    alice << 200
    assert len([event for event in book.events if event.kind is Kind.START]) == 1


def test_the_same_call_id_again_is_another_call(alice: Phone, bob: Phone, book: MemoryLedger) -> None:
    talks(alice, bob)
    talks(alice, bob, invite=alice.invite(BOB, call_id=alice.dialog.call_id))
    assert len(list(records_of(book.events))) == 2


# -- how many and how long -------------------------------------------------------------------------------


def test_an_account_has_only_so_many_calls(network: Network, alice: Phone, bob: Phone) -> None:
    network.account("alice", rights=Rights(max_calls=1))
    talks(alice, bob)
    dialog = alice.dialog
    alice >> alice.invite(BOB) << 407 >> alice.ack() >> alice.authorized() << 403
    assert alice.response.reason == "Forbidden (the account has 1 calls already)"
    alice >> alice.ack()
    alice.dialog = dialog
    alice >> alice.within("BYE")
    bob << "BYE"
    bob >> bob.answer(200)
    alice << 200
    talks(alice, bob)


def test_a_call_too_many_that_began_at_another_node_in_the_same_moment_is_ended(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    """The other node had let its call begin before it heard of ours, and that one is the older."""
    network.account("alice", rights=Rights(max_calls=1))
    assert network.services.charging is not None
    together = Together("here", lambda _told: None)
    network.services.charging.join(together)
    talks(alice, bob)
    now = network.services.clock()
    together.heard("elsewhere", ["call", "elder", "sip:alice@example.org", now - 60.0], now)
    ended_by_us(network, alice, bob)
    assert record(book).reason == "the account has too many calls"
    network.services.charging.sweep(network.services)
    network_is_quiet(alice, bob)


def test_a_node_has_only_so_many_calls(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    network.services.charging = Charging(book, Limits(calls=0))
    alice >> alice.invite(BOB) << 407 >> alice.ack() >> alice.authorized() << 503
    assert alice.response.headers.get("Retry-After") == "5"


def ended_by_us(network: Network, alice: Phone, bob: Phone) -> None:
    network.services.charging.sweep(network.services)
    bob << "BYE"
    assert bob.request.cseq.number == 3
    bob >> bob.answer(200)
    alice << "BYE"
    assert alice.request.from_.tag == bob.tag
    alice >> alice.answer(200)
    network_is_quiet(alice, bob)


def test_a_call_lasts_only_so_long(network: Network, alice: Phone, bob: Phone, book: MemoryLedger) -> None:
    talks(alice, bob)
    network.wait(3590)
    network.services.charging.sweep(network.services)
    assert not bob.inbox
    network.wait(11)
    ended_by_us(network, alice, bob)
    found = record(book)
    assert (found.reason, round(found.seconds)) == ("it lasted as long as a call may", 3601)


@pytest.mark.rfc("4028", "9")
def test_a_session_that_nobody_refreshes_is_ended(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    talks(alice, bob, ("Session-Expires", "90;refresher=uas"))
    network.wait(100)
    bob >> bob.within("INVITE") << 100
    alice << "INVITE"
    alice >> alice.answer(200, ("Session-Expires", "90;refresher=uac"))
    bob << 200
    network.wait(100)
    network.services.charging.sweep(network.services)
    assert not bob.inbox, "it was refreshed"
    network.wait(25)
    ended_by_us(network, alice, bob)
    assert record(book).reason == "its session was not refreshed"


def test_a_call_that_two_phones_answer_is_over_with_the_second(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    desk = Phone(network, "bob", "198.51.100.21")
    desk >> desk.register(call_id="the-desk") << 401 >> desk.authorized() << 200
    alice >> alice.invite(BOB) << 407 >> alice.ack() >> alice.authorized() << 100
    dialogs = []
    for phone in (bob, desk):
        phone << "INVITE"
    for phone in (bob, desk):  # both are picked up before any CANCEL could come
        phone >> phone.answer(200)
        dialogs.append((alice << 200).begin().dialog)
    for dialog, phone, over in zip(dialogs, (bob, desk), (False, True), strict=True):
        network.wait(10)
        alice.dialog = dialog
        alice.inbox.clear()
        phone.inbox.clear()
        alice >> alice.within("BYE")
        phone << "BYE" >> phone.answer(200)
        assert record(book).open is not over
    assert record(book).seconds == pytest.approx(20, abs=0.1)


def test_while_calls_go_on_the_ledger_says_once_a_minute_that_the_node_lives(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    charging = network.services.charging
    assert charging is not None
    charging.sweep(network.services)
    assert book.events == [], "without calls there is nothing to lose"
    talks(alice, bob)
    begun = len(book.events)
    for _ in range(180):
        network.wait(1)
        charging.sweep(network.services)
    said = book.events[begun:]
    assert [event.facts["text"] for event in said] == ["the node lives"] * 3
    assert [round(later.time - one.time) for one, later in pairwise(said)] == [60, 60]


def test_a_node_that_stops_ends_the_bills_of_calls_that_go_on(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    talks(alice, bob)
    network.wait(60)
    charging = network.services.charging
    assert charging is not None
    charging.close(network.services.clock())
    network_is_quiet(alice, bob)
    found = record(book)
    assert (found.reason, found.status) == ("the node stopped", 200)
    assert found.seconds == pytest.approx(60, abs=0.1)
    alice >> alice.within("BYE")
    bob << "BYE" >> bob.answer(200)
    alice << 200
    assert len(book.events) == 3, "what comes later changes nothing"


# -- privacy ---------------------------------------------------------------------------------------------


@pytest.mark.rfc("3323", "4.2")
def test_a_private_caller_is_charged_and_not_named(alice: Phone, bob: Phone, book: MemoryLedger) -> None:
    talks(alice, bob, invite=alice.invite(BOB, ("Privacy", "id")))
    assert "alice" not in str(book.events)
    found = record(book)
    assert (found.private, found.account, found.callee) == (True, "", BOB)
    (opened,) = records_of(book.events, PRIVACY)
    assert (opened.account, opened.caller) == ("sip:alice@example.org", "sip:alice@example.org")


# -- a ledger that fails ---------------------------------------------------------------------------------


class BrokenLedger(MemoryLedger):
    """Storage that fails, at once or after a while."""

    def __init__(self, later: bool) -> None:
        super().__init__()
        self.later = later

    def append(self, event: Event) -> Awaitable[None]:  # type: ignore[override]
        if not self.later:
            raise StoreError("disk full")
        return self._fail()

    async def _fail(self) -> None:
        await Waiting()
        raise StoreError("disk full")


@pytest.mark.parametrize("later", [False, True])
def test_what_can_not_be_recorded_is_not_connected(
    network: Network, alice: Phone, bob: Phone, later: bool
) -> None:
    book = BrokenLedger(later)
    network.services.charging = Charging(book, Limits())
    alice >> alice.invite(BOB) << 407 >> alice.ack() >> alice.authorized()
    if later:
        alice << 100
        network.answer_names()
    alice << 503
    assert alice.response.headers.get("Retry-After") == "5"
    assert len(network.services.charging.calls) == 0
    assert [event.kind for event in book.events] == [Kind.STOP]
    assert list(records_of(book.events)) == []
    network_is_quiet(bob)


def test_an_owner_may_prefer_calls_to_records(network: Network, alice: Phone, bob: Phone) -> None:
    network.services.charging = Charging(BrokenLedger(later=False), Limits(), required=False)
    talks(alice, bob)


class SlowLedger(MemoryLedger):
    """Storage that takes its time."""

    async def append(self, event: Event) -> None:  # type: ignore[override]
        super().append(event)
        await Waiting()


def test_nothing_is_forwarded_before_it_is_durable(network: Network, alice: Phone, bob: Phone) -> None:
    book = SlowLedger()
    network.services.charging = Charging(book, Limits())  # type: ignore[arg-type]
    alice >> alice.invite(BOB) << 407 >> alice.ack() >> alice.authorized() << 100
    network_is_quiet(alice, bob)
    network.answer_names()
    bob << "INVITE"


def test_a_caller_who_gives_up_before_that_is_recorded_once(
    network: Network, alice: Phone, bob: Phone
) -> None:
    book = SlowLedger()
    network.services.charging = Charging(book, Limits())  # type: ignore[arg-type]
    alice >> alice.invite(BOB) << 407 >> alice.ack() >> alice.authorized() << 100
    alice >> alice.cancel() << 200 << 487 >> alice.ack()
    network.answer_names()
    network_is_quiet(alice, bob)
    assert (record(book).status, record(book).reason) == (487, "the caller gave up")
    assert len(network.services.charging.calls) == 0
