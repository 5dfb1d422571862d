"""Calls that need credit or cost too much, through a node."""

from __future__ import annotations

import pytest

from ringfence.ledger.credit import CreditSession, Grant, NoCreditControl
from ringfence.ledger.events import Kind
from ringfence.ledger.fraud import Action, Alert, FraudRules, FraudWatch
from ringfence.ledger.memory import MemoryLedger
from ringfence.ledger.prepaid import Prepaid
from ringfence.ledger.rates import MICRO, Rate, Rates
from ringfence.roles.charging import Charging, Limits
from ringfence.roles.spending import Spending
from ringfence.store.balances import MemoryBalances
from ringfence.store.records import Rights
from tests.conversations.network import Network
from tests.conversations.phones import Phone, named, network_is_quiet

from .test_charging import BOB, ended_by_us, notes, record, talks

ALICE = "sip:alice@example.org"
PENNY = Rate(60 * MICRO // 100)
"""A cent a second."""


def steps(network: Network, charging: Charging, seconds: int) -> None:
    """Let time pass as it does in a node, which looks every second."""
    for _ in range(seconds):
        network.wait(1)
        charging.sweep(network.services)


def ends(alice: Phone, bob: Phone) -> None:
    """The node has ended the call."""
    for phone in (bob, alice):
        phone << "BYE"
        phone >> phone.answer(200)
        phone.inbox = [each for each in phone.inbox if named(each[0]) != "BYE"]


class Purse:
    """A node that charges, and Alice's money."""

    def __init__(
        self, network: Network, book: MemoryLedger, cents: int, rules: FraudRules | None = None
    ) -> None:
        self.balances = MemoryBalances()
        self.balances.balances[ALICE] = cents * MICRO // 100
        self.alerts: list[Alert] = []
        watch = FraudWatch(rules) if rules is not None else None
        control = Prepaid(self.balances, "node1", quota=60.0)
        self.spending = Spending(book, Rates([("sip:bob", PENNY)]), watch, control, self.alerts.append)
        self.charging = Charging(book, Limits(max_seconds=3600.0), spending=self.spending)
        network.services.charging = self.charging
        network.account("alice", rights=Rights(prepaid=True))

    @property
    def cents(self) -> float:
        return self.balances.balances[ALICE] * 100 / MICRO

    def settle(self) -> None:
        """What the node does in the background."""
        with pytest.raises(StopIteration) as done:
            self.spending.settle().send(None)
        assert done.value.value, "all is settled"
        assert not self.balances.reservations


def test_a_prepaid_call_costs_what_it_took(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    purse = Purse(network, book, 500)
    talks(alice, bob)
    assert purse.cents == 440, "the first minute is set aside"
    steps(network, purse.charging, 130)
    assert notes(book).count("60 seconds are granted") == 2
    bob >> bob.within("BYE")
    alice << "BYE"
    alice >> alice.answer(200)
    bob << 200
    purse.settle()
    assert (record(book).cost, record(book).rate) == ("1.31", "0.60 0.00 1 0")
    assert purse.cents == 369, "130.003 seconds: each begun second counts"


def test_a_call_ends_with_its_credit(network: Network, alice: Phone, bob: Phone, book: MemoryLedger) -> None:
    purse = Purse(network, book, 75)
    talks(alice, bob)
    steps(network, purse.charging, 74)
    network_is_quiet(alice, bob)
    network.wait(1)
    ended_by_us(network, alice, bob)
    purse.settle()
    assert (record(book).reason, record(book).cost) == ("its credit is used up", "0.75")
    assert purse.cents == 0
    alice >> alice.invite(BOB) << 407 >> alice.ack() >> alice.authorized() << 100 << 403
    assert alice.response.reason == "Forbidden (the credit is used up)"
    assert len(purse.charging.calls) == 0


def test_a_call_that_is_not_answered_costs_nothing(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    purse = Purse(network, book, 100)
    alice >> alice.invite(BOB) << 407 >> alice.ack() >> alice.authorized() << 100
    bob << "INVITE"
    bob >> bob.answer(486)
    bob << "ACK"
    alice << 486 >> alice.ack()
    purse.settle()
    assert (record(book).cost, purse.cents) == ("0.00", 100)


def test_what_has_no_price_is_free_unless_it_is_a_number(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    purse = Purse(network, book, 0)
    network.account("alice", rights=Rights(allow=("sip:", "tel:+"), prepaid=True))
    purse.spending._rates = Rates()
    talks(alice, bob)
    steps(network, purse.charging, 100)
    network_is_quiet(alice, bob)
    alice >> alice.invite("sip:+15550001@gw.example.net") << 407 >> alice.ack()
    alice >> alice.authorized() << 100 << 403
    assert alice.response.reason == "Forbidden (the destination has no price)"


def test_two_calls_can_not_spend_the_same_money(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    Purse(network, book, 60)
    talks(alice, bob)
    alice >> alice.invite(BOB) << 407 >> alice.ack() >> alice.authorized() << 100 << 403


class Gone(Prepaid):
    """A database, or server, that has gone away."""

    away = False

    async def _reserve(self, session: CreditSession, used: float) -> Grant:
        if self.away:
            raise NoCreditControl("gone")
        return await super()._reserve(session, used)

    async def close(self, session: CreditSession) -> None:
        if self.away:
            raise NoCreditControl("gone")
        await super().close(session)


def test_while_credit_can_not_be_asked_for(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    purse = Purse(network, book, 500)
    control = purse.spending.control = Gone(purse.balances, "node1", quota=60.0)
    talks(alice, bob)
    control.away = True
    alice >> alice.invite(BOB) << 407 >> alice.ack() >> alice.authorized() << 100 << 503
    assert alice.response.headers.get("Retry-After") == "5"
    alice >> alice.ack()
    steps(network, purse.charging, 59)
    network_is_quiet(alice, bob)
    network.wait(1)
    network.services.charging.sweep(network.services)
    ends(alice, bob)
    with pytest.raises(StopIteration) as done:
        purse.spending.settle().send(None)
    assert not done.value.value
    control.away = False
    purse.settle()
    assert purse.cents == 440, "the one call is charged, and once"


def test_a_node_that_is_asked_again_does_not_cut_a_call_off(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger
) -> None:
    purse = Purse(network, book, 500)
    control = purse.spending.control = Gone(purse.balances, "node1", quota=60.0)
    talks(alice, bob)
    control.away = True
    steps(network, purse.charging, 57)
    control.away = False
    steps(network, purse.charging, 60)
    network_is_quiet(alice, bob)


def test_many_destinations_are_told_and_refused(network: Network, alice: Phone, book: MemoryLedger) -> None:
    purse = Purse(network, book, 0, FraudRules(destinations=2, block_seconds=100))
    network.account("alice", rights=Rights(allow=("sip:", "tel:+")))
    network.names.host("gw.example.net", "203.0.113.9")
    gateway = Phone(network, "gw", "203.0.113.9")
    for number in range(2):
        alice >> alice.invite(f"sip:+1555000{number}@gw.example.net") << 407 >> alice.ack()
        alice >> alice.authorized() << 100
        gateway << "INVITE"
        gateway >> gateway.answer(486)
        gateway << "ACK"
        alice << 486 >> alice.ack()
    for _ in range(2):
        alice >> alice.invite("sip:+15550009@gw.example.net") << 407 >> alice.ack()
        alice >> alice.authorized() << 403 >> alice.ack()
    network_is_quiet(gateway)
    (alert,) = purse.alerts
    assert (alert.account, alert.rule, alert.value, alert.limit) == (ALICE, "destinations-per-hour", 3, 2)
    (told,) = [event for event in book.events if event.kind is Kind.ALERT]
    assert told.facts["action"] == "refuse"
    assert purse.spending.watch is not None
    assert purse.spending.watch.release(ALICE, 0.0)
    alice >> alice.invite("sip:+15550009@gw.example.net") << 407 >> alice.ack() >> alice.authorized() << 100


@pytest.mark.parametrize("action", [Action.ALERT, Action.REFUSE, Action.END])
def test_what_costs_too_much_is_told_while_it_goes_on(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger, action: Action
) -> None:
    purse = Purse(network, book, 0, FraudRules(cost=MICRO, action=action))
    network.account("alice")
    talks(alice, bob)
    steps(network, purse.charging, 99)
    assert not purse.alerts
    steps(network, purse.charging, 11)
    assert [each.rule for each in purse.alerts] == ["cost-per-hour"]
    if action is Action.END:
        ends(alice, bob)
        assert record(book).reason == "its account has called too much"
    network_is_quiet(alice, bob)
    alice >> alice.invite(BOB) << 407 >> alice.ack() >> alice.authorized()
    alice << (100 if action is Action.ALERT else 403)


def test_an_hour_later_all_is_forgotten() -> None:
    watch = FraudWatch(FraudRules(cost=10, destinations=1, block_seconds=5))
    watch.ended(ALICE, 9, 1000.0)
    assert watch.spends(ALICE, 1001.0) is None
    assert watch.called(ALICE, "tel:+1", 1001.0) is None
    assert watch.called(ALICE, "tel:+1", 1002.0) is None
    assert watch.spends(ALICE, 1002.0, going_on=2) is not None
    assert watch.blocked(ALICE, 1003.0)
    assert not watch.blocked(ALICE, 1008.0)
    assert watch.spends(ALICE, 4600.0, going_on=2) is None
    assert watch.called(ALICE, "tel:+2", 4603.0) is None
    watch.tidy(10_000.0)
    assert not watch.release(ALICE, 10_000.0)


# -- after the node was started anew -----------------------------------------------------------------------


def started_anew(network: Network) -> MemoryLedger:
    book = MemoryLedger()
    network.services.charging = Charging(book, Limits())
    return book


def test_who_goes_on_calling_after_a_restart_pays(network: Network, alice: Phone, bob: Phone) -> None:
    talks(alice, bob)
    book = started_anew(network)
    alice >> alice.within("INVITE") << 407 >> alice.ack()
    alice >> alice.authorized() << 100
    bob << "INVITE"
    bob >> bob.answer(200)
    alice << 200
    assert record(book).account == ALICE


def test_nobody_goes_on_with_a_call_of_somebody_else_after_a_restart(
    network: Network, alice: Phone, bob: Phone
) -> None:
    talks(alice, bob)
    book = started_anew(network)
    bob >> bob.within("INVITE") << 481
    alice >> alice.within("BYE")
    bob << "BYE"
    assert not book.events


class Asked(Prepaid):
    """Counts how often more is asked for."""

    def __init__(self, balances: MemoryBalances) -> None:
        super().__init__(balances, "node1", quota=60.0)
        self.asked: list[float] = []
        self.session: CreditSession | None = None

    async def open(self, session: CreditSession) -> Grant:
        self.session = session
        return await super().open(session)

    async def more(self, session: CreditSession, used: float) -> Grant:
        self.asked.append(used)
        return await super().more(session, used)


@pytest.mark.rfc("8506", "5.5")
@pytest.mark.parametrize("cents", [500, 60])
def test_whoever_grants_may_want_to_be_asked_at_once(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger, cents: int
) -> None:
    """Also when the last portion was said to be the last one: somebody may have paid."""
    purse = Purse(network, book, cents)
    control = purse.spending.control = Asked(purse.balances)
    talks(alice, bob)
    steps(network, purse.charging, 10)
    assert not control.asked
    assert control.session is not None
    assert control.session.interrupt is not None
    control.session.interrupt(False)
    steps(network, purse.charging, 1)
    assert [round(used) for used in control.asked] == [11]
    network_is_quiet(alice, bob)


@pytest.mark.rfc("6733", "8.5")
@pytest.mark.parametrize("before_the_answer", [False, True])
def test_whoever_grants_may_end_a_call(
    network: Network, alice: Phone, bob: Phone, book: MemoryLedger, before_the_answer: bool
) -> None:
    purse = Purse(network, book, 500)
    control = purse.spending.control = Asked(purse.balances)
    if before_the_answer:
        opened = control.open

        async def interrupted(session: CreditSession) -> Grant:
            grant = await opened(session)
            assert session.interrupt is not None
            session.interrupt(True)
            return grant

        control.open = interrupted  # type: ignore[method-assign]
    talks(alice, bob)
    if not before_the_answer:
        assert control.session is not None
        assert control.session.interrupt is not None
        control.session.interrupt(True)
    steps(network, purse.charging, 1)
    ended_by_us(network, alice, bob)
    assert record(book).reason == "its credit server has ended it"
