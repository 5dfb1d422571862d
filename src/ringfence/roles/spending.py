"""What calls may cost: prices, credit for prepaid accounts, and who spends more than anybody should.

Part of `roles.charging`, which asks before a call begins, tells when it was answered and is over, and ends it when this
says that its credit is used up. Credit is asked for anew `MARGIN_SECONDS` before the last portion ends, so that nobody
who has credit is cut off. When nobody can be asked, a call goes on to the end of its portion and no further.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from ringfence.ledger.calls import Calls, LiveCall
from ringfence.ledger.credit import CreditControl, CreditRefused, CreditSession, Grant, NoCreditControl
from ringfence.ledger.events import Event, Fact, Kind
from ringfence.ledger.fraud import Action, Alert, FraudWatch
from ringfence.ledger.port import Ledger
from ringfence.ledger.rates import Rates
from ringfence.ledger.together import Together
from ringfence.message.grammar import unescape
from ringfence.roles.call import Call
from ringfence.roles.pipeline import Answer
from ringfence.security.canonical import telephone_number

if TYPE_CHECKING:
    from ringfence.roles.policy import Services

log = structlog.get_logger("ringfence.charging")

RETRY_AFTER = ("Retry-After", "5")

MARGIN_SECONDS: Final = 5.0
"""Before the end of a portion: time for two servers to answer. Of a short portion, a quarter."""

AGAIN_SECONDS: Final = 2.0
"""How soon credit is asked for again when nobody has answered, as long as the portion lasts."""

LOOK_SECONDS: Final = 10.0
"""How often what goes on is added up for each account."""

RETRY_SECONDS: Final = 5.0
"""How soon a call is settled again when that did not work."""

Told = Callable[[Alert], None]


class Spending:
    """The prices and the credit of one node. ``told`` hears of each alert."""

    def __init__(
        self,
        ledger: Ledger,
        rates: Rates,
        watch: FraudWatch | None = None,
        control: CreditControl | None = None,
        told: Told | None = None,
    ) -> None:
        self.watch = watch
        self.control = control
        self.together: Together | None = None
        """What the other workers of the node count; None: there are none."""
        self._ledger = ledger
        self._rates = rates
        self._told = told
        self._looked = 0.0
        self._ended: deque[CreditSession] = deque()
        self._wake = asyncio.Event()

    # -- before a call ---------------------------------------------------------------------------------

    def refusal(self, call: Call, live: LiveCall, now: float) -> Answer | None:
        """Find the price of a call of an account, and why it may not be made; None: it may."""
        destination = destination_of(call)
        live.rate = self._rates.of(destination)
        watch = self.watch
        if watch is not None:
            if watch.blocked(live.account, now):
                return Answer(403, "Forbidden (the account is blocked: it has called too much)")
            alerts = [watch.spends(live.account, now)]
            if not call.findings.for_us:
                alerts.append(alert := watch.called(live.account, destination, now))
                if self.together is not None:
                    self.together.called(live.account, destination, now, alert)
            for alert in alerts:
                if alert is not None:
                    self.alert(call.services, alert, now)
            if watch.blocked(live.account, now):
                return Answer(403, "Forbidden (the account has called too much)")
        if not live.prepaid:
            return None
        if self.control is None:
            return Answer(503, "Service Unavailable (there is no credit control)", (RETRY_AFTER,))
        live.credit = CreditSession(live.key, live.account, destination, live.rate)
        live.credit.interrupt = partial(self._interrupt, call.services, live)
        return None

    def _interrupt(self, services: Services, live: LiveCall, abort: bool) -> None:
        """Whoever grants wants to be asked at once, or the call to end; before the answer it waits for that."""
        live.aborted = live.aborted or abort
        live.wanted = True
        if live.answered and services.charging is not None:
            self._due_now(live, services.clock())
            services.charging.calls.due(live, live.credit_due)

    @staticmethod
    def _due_now(live: LiveCall, now: float) -> None:
        """Credit is looked at once, whatever was granted."""
        live.wanted = False
        live.credit_due = now
        if live.granted is not None:
            live.granted = live.granted._replace(final=False)

    async def open(self, live: LiveCall) -> Answer | None:
        """Ask for the first portion; gives the refusal."""
        credit, control = live.credit, self.control
        assert credit is not None  # see `refusal`
        assert control is not None
        try:
            grant = await control.open(credit)
        except CreditRefused as error:
            return Answer(403, f"Forbidden ({error})")
        except NoCreditControl as error:
            log.error("a call was refused: its credit is not known", reason=str(error))
            self.over(live, 0.0, "its credit is not known")  # it may have been granted all the same
            return Answer(503, "Service Unavailable (the credit can't be asked for)", (RETRY_AFTER,))
        except BaseException:
            self.over(live, 0.0, "the caller gave up")
            raise
        live.granted = grant
        return None

    # -- while it goes on ------------------------------------------------------------------------------

    def answered(self, live: LiveCall, now: float) -> None:
        """The first portion begins to be used."""
        if live.granted is not None:
            self._apply(live, live.granted, now)

    def has_credit(self, services: Services, live: LiveCall, now: float) -> bool:
        """Whether a call may go on; asks for more when it is time."""
        if live.credit is None or now < live.credit_due:
            return True
        if now >= live.paid_until:
            return False
        if live.granted is None or live.granted.final:
            live.credit_due = live.paid_until
        else:
            live.credit_due = min(live.paid_until, now + AGAIN_SECONDS)
            if not live.asking:
                live.asking = True
                services.driver.spawn(self._more(services, live, now))
        return True

    async def _more(self, services: Services, live: LiveCall, now: float) -> None:
        assert live.credit is not None
        assert self.control is not None
        used = now - live.answered
        try:
            grant = await self.control.more(live.credit, used)
        except CreditRefused:
            live.granted = Grant(0.0, final=True)
            live.credit_due = live.paid_until
            return
        except NoCreditControl as error:
            log.error("credit could not be asked for; the call goes on to the end of its portion", call=live.key,
                      reason=str(error))  # fmt: skip
            return
        finally:
            live.asking = False
        if not live.over:
            self._apply(live, grant, now)
            text = f"{max(live.paid_until - now, 0):.0f} seconds are granted"
            self._ledger.note(Event(Kind.NOTE, services.clock(), live.key, {"text": text}))

    def _apply(self, live: LiveCall, grant: Grant, now: float) -> None:
        live.granted = grant
        live.paid_until = now + grant.seconds
        if grant.final:
            live.credit_due = live.paid_until
        else:
            early = min(MARGIN_SECONDS, grant.seconds / 4)
            live.credit_due = min(live.paid_until - early, now + grant.validity)
        if live.wanted:
            self._due_now(live, now)

    def overspent(self, services: Services, calls: Calls, now: float) -> list[LiveCall]:
        """Add up what goes on; gives the calls that have to end. Does nothing until it is time."""
        watch = self.watch
        if watch is None or now - self._looked < LOOK_SECONDS:
            return []
        self._looked = now
        totals: dict[str, int] = {}
        for live in calls:
            if live.account and live.rate is not None and live.answered:
                cost = live.rate.cost(now - live.answered)
                totals[live.account] = totals.get(live.account, 0) + cost
        together, over = self.together, set()
        if together is not None:
            together.running(totals)
        for account, total in totals.items():
            elsewhere = together.running_elsewhere(account) if together is not None else 0
            alert = watch.spends(account, now, total + elsewhere)
            if alert is not None:
                self.alert(services, alert, now)
            if watch.rules.action is Action.END and watch.blocked(account, now):
                over.add(account)
        watch.tidy(now)
        return [live for live in calls if live.account in over]

    # -- afterwards ------------------------------------------------------------------------------------

    def over(self, live: LiveCall, used: float, reason: str) -> None:
        """A call is over: its cost counts, and its credit is settled."""
        if self.watch is not None and live.rate is not None and used:
            ended = live.account, live.rate.cost(used), live.answered + used
            self.watch.ended(*ended)
            if self.together is not None:
                self.together.ended(*ended)
        credit, live.credit = live.credit, None
        if credit is not None:
            credit.used, credit.reason = used, reason
            self.settle_later(credit)

    def settle_later(self, credit: CreditSession) -> None:
        """Settle a call that is over: soon, and again until that works."""
        self._ended.append(credit)
        self._wake.set()

    async def run(self) -> None:
        """Settle calls until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not await self.settle():
                await asyncio.sleep(RETRY_SECONDS)
                self._wake.set()

    async def settle(self) -> bool:
        """Settle the calls that are over; gives whether all are."""
        while self._ended and self.control is not None:
            try:
                await self.control.close(self._ended[0])
            except NoCreditControl as error:
                log.error("a call could not be settled yet", reason=str(error), waiting=len(self._ended))
                self._ended.rotate(-1)  # others get their turn
                return False
            self._ended.popleft()
        return True

    def alert(self, services: Services, alert: Alert, now: float) -> None:
        """Tell of an account that is over a limit."""
        assert self.watch is not None
        if self.together is not None:
            self.together.alerted(alert, now)
        facts: dict[str, Fact] = {
            "account": alert.account,
            "rule": alert.rule,
            "value": alert.value,
            "limit": alert.limit,
        }
        log.warning("an account calls too much", **facts)
        services.driver.counts[f"alert {alert.rule}"] += 1
        self._ledger.note(Event(Kind.ALERT, now, "", facts | {"action": str(self.watch.rules.action)}))
        if self._told is not None:
            self._told(alert)


def destination_of(call: Call) -> str:
    """Where a call goes, as prices name it: ``tel:+358...`` for a number of somewhere else, else its address."""
    if not call.findings.for_us and (number := telephone_number(call.uri)) is not None:
        return f"tel:{'+' if unescape(call.uri.user or '').startswith('+') else ''}{number}"
    return call.services.policy.address_of(call.uri)
