"""Which calls are recorded, when they begin and end, and how many and how long they may be.

A call is an INVITE that is not part of a dialog that we know, whatever it says of itself: a To tag made up, or a Route
taken from another call, would otherwise be a call that nobody pays for. Its start is durable before it is forwarded.
What it becomes is told by `Charge`, which ``roles.forward`` informs of what goes where and what comes back.

A BYE ends a bill when it comes from a party, goes the way to the other one, and was answered by it. One that does not
is still forwarded, but changes nothing. A session that is not refreshed in time and a call that has lasted as long as
it may are ended by us, with a BYE to each side: so the bill ends when the call does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from inspect import isawaitable
from typing import TYPE_CHECKING

import structlog

from ringfence.ledger.calls import Calls, Dialog, LiveCall, Side
from ringfence.ledger.events import Event, Fact, Kind
from ringfence.ledger.keys import Privacy
from ringfence.ledger.port import Ledger
from ringfence.ledger.together import Together
from ringfence.message import PeerError, Response
from ringfence.message.fields import SESSION_EXPIRES
from ringfence.roles.bodies import Body, Exposure
from ringfence.roles.call import Authenticated, Call
from ringfence.roles.callers import wants_privacy
from ringfence.roles.charges import ByeCharge, InviteCharge, RefreshCharge
from ringfence.roles.hangup import hang_up, same_target, sides
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict
from ringfence.roles.spending import Spending
from ringfence.roles.steps.claims import is_anonymous
from ringfence.store.errors import StoreError

if TYPE_CHECKING:
    from ringfence.roles.policy import Services

log = structlog.get_logger("ringfence.charging")

RETRY_AFTER = ("Retry-After", "5")
"""A full disk or a lost database takes longer; a busy one less."""

MAX_FACT = 300
"""Characters of what a peer wrote that are kept: a URI is a tenth of this."""

ALIVE_SECONDS = 60.0
"""While calls go on, the ledger notes this often that the node lives: a crash shortens no bill by more."""

SESSION_GRACE = 32.0
"""Seconds that a refresh may be late: transaction timer B, within which the BYE of a party comes too."""


@dataclass(slots=True)
class Limits:
    """How much may be called."""

    calls: int = 100_000
    """At a time, on this worker."""
    max_seconds: float = 14_400.0
    """For one call."""


class Charging:
    """The calls of one worker, and their ledger. ``required``: what can't be recorded is not connected."""

    def __init__(
        self,
        ledger: Ledger,
        limits: Limits,
        *,
        required: bool = True,
        privacy: Privacy | None = None,
        spending: Spending | None = None,
    ) -> None:
        self.ledger = ledger
        self.calls = Calls(limits.calls)
        self._limits = limits
        self._required = required
        self._privacy = privacy
        self._alive = 0.0
        self.spending = spending
        """Prices, credit and limits on what is spent; None: there are none."""
        self.together: Together | None = None
        """The calls of all workers of the node; None: there is one."""

    def join(self, together: Together) -> None:
        """Count calls and what they cost together with the other workers of the node."""
        self.together = together
        if self.spending is not None:
            self.spending.together = together

    def _of_account(self, account: str) -> int:
        return (self.together or self.calls).of_account(account)

    # -- a call begins ---------------------------------------------------------------------------------

    def begin(self, call: Call, within: LiveCall | None = None) -> Verdict | Awaitable[Verdict]:
        """Record that a call begins, or refuse it. ``within``: the call whose dialog it claims to be of, and which
        its account pays for too."""
        user = call.findings.user
        account = user.account.aor if user is not None else within.account if within is not None else ""
        if user is not None and self._of_account(account) >= user.account.rights.max_calls:
            return Answer(403, f"Forbidden (the account has {self._of_account(account)} calls already)")
        if self.calls.full:
            return Answer(503, "Service Unavailable (too many calls)", (RETRY_AFTER,))
        now = call.services.clock()
        live = self._live(call, account, now)
        if user is not None:
            live.max_seconds = min(live.max_seconds, user.account.rights.max_seconds)
            live.prepaid, live.max_calls = user.account.rights.prepaid, user.account.rights.max_calls
        elif within is not None:
            live.max_seconds, live.prepaid = within.max_seconds, within.prepaid
        if self.spending is not None and account:
            refusal = self.spending.refusal(call, live, now)
            if refusal is not None:
                return refusal
        event = Event(Kind.START, now, live.key, self._facts(call, live))
        self._add(live)
        if live.credit is not None:
            return self._with_credit(call, live, event)
        return self._record(call, live, event)

    def _live(self, call: Call, account: str, now: float) -> LiveCall:
        return LiveCall(
            f"{int(now):x}.{call.services.driver.token()}",
            account,
            call.call_id,
            call.request.from_.tag or "",
            now,
            {call.flow.remote.host},
            max_seconds=self._limits.max_seconds,
        )

    async def _with_credit(self, call: Call, live: LiveCall, event: Event) -> Verdict:
        """Nobody is called on credit that is not there."""
        assert self.spending is not None  # it has made the credit
        try:
            refusal = await self.spending.open(live)
        except BaseException:
            self._remove(live)
            raise
        if refusal is not None:
            self._remove(live)
            return refusal
        verdict = self._record(call, live, event)
        return await verdict if isawaitable(verdict) else verdict

    def _record(self, call: Call, live: LiveCall, event: Event) -> Verdict | Awaitable[Verdict]:
        if not self._required:
            self.ledger.note(event)
            return self._begun(call, live)
        try:
            durable = self.ledger.append(event)
        except StoreError as error:
            return self._refused(live, event.time, error)
        return self._begun(call, live) if durable is None else self._when_durable(call, live, durable)

    def _begun(self, call: Call, live: LiveCall) -> Verdict:
        call.charge = InviteCharge(self, live, call)
        return CONTINUE

    async def _when_durable(self, call: Call, live: LiveCall, durable: Awaitable[None]) -> Verdict:
        try:
            await durable
        except StoreError as error:
            return self._refused(live, call.services.clock(), error)
        except BaseException:
            self.stop(live, call.services.clock(), "the node stopped", 0)
            raise
        if self.together is not None and self.together.is_beyond(live.key, live.account, live.max_calls):
            self.stop(live, call.services.clock(), "the account has too many calls", 403)
            return Answer(403, "Forbidden (the account has too many calls)")
        call.charge = InviteCharge(self, live, call)
        return CONTINUE

    def _add(self, live: LiveCall) -> None:
        self.calls.add(live)
        if self.together is not None and live.account:
            self.together.began(live.key, live.account, live.started, live.max_calls)

    def _remove(self, live: LiveCall) -> None:
        self.calls.remove(live)
        if self.together is not None:
            self.together.over(live.key)

    def _refused(self, live: LiveCall, now: float, error: StoreError) -> Answer:
        """A failed write may have been done all the same: a stop makes sure that it is no open call."""
        log.error("a call was refused: it could not be recorded", reason=str(error))
        self._remove(live)
        if self.spending is not None:
            self.spending.over(live, 0.0, "its start was not durable")
        self.ledger.note(
            Event(Kind.STOP, now, live.key, {"reason": "its start was not durable", "status": 503})
        )
        return Answer(503, "Service Unavailable (the call can't be recorded)", (RETRY_AFTER,))

    def _facts(self, call: Call, live: LiveCall) -> dict[str, Fact]:
        request, findings, policy = call.request, call.findings, call.services.policy
        from_ = request.from_.uri
        facts: dict[str, Fact] = {
            "account": live.account,
            "caller": policy.address_of(from_)[:MAX_FACT],
            "callee": policy.address_of(call.uri)[:MAX_FACT],
            "call_id": call.call_id[:MAX_FACT],
            "evidence": _evidence(call),
            "transport": call.flow.transport,
            "source": f"{call.flow.remote.host} {call.flow.remote.port}",
        }
        facts["body_read"], facts["body_change"] = _exposed(call.flow.secure, call.uri.secure, findings.body)
        if live.rate is not None:
            facts["rate"] = str(live.rate)
        if findings.peer_name:
            facts["peer"] = findings.peer_name
        if findings.private is not None or request.headers.has("Privacy") or is_anonymous(from_):
            private = findings.private is not None or is_anonymous(from_) or wants_privacy(request.headers)
            if private and self._privacy is not None:
                return self._privacy.seal(facts)
        return facts

    # -- requests inside a dialog ----------------------------------------------------------------------

    def knows(self, call: Call) -> bool:
        """Whether a request belongs to a call that goes on here."""
        request = call.request
        return self.calls.find(call.call_id, request.from_.tag, request.to.tag) is not None

    def follow(self, call: Call) -> Verdict | Awaitable[Verdict]:
        """A request inside a dialog that was set up through us."""
        request = call.request
        found = self.calls.find(call.call_id, request.from_.tag, request.to.tag)
        if found is None:
            return self.begin(call) if request.method == "INVITE" else CONTINUE
        live, dialog, by_caller = found
        sender, other = (dialog.caller, dialog.callee) if by_caller else (dialog.callee, dialog.caller)
        party = self._is_party(call, live, by_caller)
        if party:
            sender.cseq = max(sender.cseq, request.cseq.number)
        if request.method == "BYE":
            call.charge = ByeCharge(self, live, dialog, call, by_caller, party)
        elif request.method in {"INVITE", "UPDATE"}:
            if (
                request.method == "INVITE"
                and live.end is None
                and not self._goes_to(call, live, other, by_caller)
            ):
                return self.begin(call, live)  # to somebody else: another call
            call.charge = RefreshCharge(self, live, call, sender, other, party)
        return CONTINUE

    def follow_bridged(self, call: Call) -> None:
        """The same for one of a private call, as its caller knows it: where it goes is not for its sender to choose."""
        request = call.request
        if self.calls.find(call.call_id, request.from_.tag, request.to.tag) is not None:
            self.follow(call)

    def _is_party(self, call: Call, live: LiveCall, by_caller: bool) -> bool:
        """Whether a request comes from where the party is, or has authenticated, with it or on its connection."""
        if call.flow.remote.host in (live.caller_hosts if by_caller else live.callee_hosts):
            return True
        bound: Iterable[Authenticated] = call.flow.user or ()  # type: ignore[assignment]  # see ``roles.bound``
        proven = (*bound, call.findings.user) if call.findings.user is not None else bound
        return by_caller and any(user.account.aor == live.account for user in proven)

    def _goes_to(self, call: Call, live: LiveCall, other: Side, by_caller: bool) -> bool:
        """Whether a request is on the way to the other party: that of the dialog, or a place where it was before."""
        if same_target(call, other):
            return True
        hosts = live.callee_hosts if by_caller else live.caller_hosts
        flow = call.services.driver.pool.find(call.findings.flow) if call.findings.flow else None
        return call.uri.host.strip("[]") in hosts if flow is None else flow.remote.host in hosts

    # -- what has happened -----------------------------------------------------------------------------

    def answered(self, live: LiveCall, call: Call, response: Response) -> None:
        """A 2xx to the INVITE of a call goes to its caller."""
        tag = response.to.tag or ""
        if live.over or tag in live.dialogs:
            return
        services = call.services
        now = services.clock()
        live.dialogs[tag] = Dialog(*sides(call, response, live))
        if not live.answered:
            live.answered = now
            if self.spending is not None:
                self.spending.answered(live, now)
            self.ledger.note(Event(Kind.ANSWER, now, live.key, {"tag": tag[:MAX_FACT]}))
            if not services.policy.record_route and live.end is None:
                self.stop(live, now, "the node does not follow the call", 200)
                return
        self.refreshed(live, now, response)

    def refreshed(self, live: LiveCall, now: float, response: Response) -> None:
        """A 2xx settles until when the session lives (RFC 4028)."""
        interval = None
        if response.headers.has("Session-Expires"):
            with suppress(PeerError):  # what can't be read settles nothing
                interval = response.headers.first(SESSION_EXPIRES)
        live.expires = now + interval.seconds + SESSION_GRACE if interval is not None else float("inf")
        self._due(live)

    def _due(self, live: LiveCall) -> None:
        """The call has to be looked at when the first of its limits comes."""
        self.calls.due(live, min(live.expires, live.answered + live.max_seconds, live.credit_due))

    def hung_up(self, live: LiveCall, dialog: Dialog, now: float, reason: str) -> None:
        """One dialog of a call is over."""
        for tag, each in tuple(live.dialogs.items()):
            if each is dialog:
                del live.dialogs[tag]
        if not live.dialogs:
            self.stop(live, now, reason, 200)

    def stop(self, live: LiveCall, now: float, reason: str, status: int) -> None:
        """The call is over."""
        if not live.over:
            self._remove(live)
            if self.spending is not None:
                self.spending.over(live, max(0.0, now - live.answered) if live.answered else 0.0, reason)
            self.ledger.note(Event(Kind.STOP, now, live.key, {"reason": reason, "status": status}))

    def remark(self, live: LiveCall, now: float, text: str) -> None:
        """Something that people should know."""
        self.ledger.note(Event(Kind.NOTE, now, live.key, {"text": text}))

    # -- time ------------------------------------------------------------------------------------------

    def sweep(self, services: Services) -> None:
        """End what has lasted too long. To be called every second."""
        now = services.clock()
        if self.together is not None:
            for account in self.together.tick(now):
                self._thin_out(services, self.together, account, now)
        for live in self.calls.expired(now):
            if not live.answered:
                self.stop(live, now, "it was never answered", 0)
            elif reason := self._ends(services, live, now):
                self._hang_up(services, live, now, reason)
            else:
                self._due(live)
        if self.spending is not None:
            for live in self.spending.overspent(services, self.calls, now):
                self._hang_up(services, live, now, "its account has called too much")
        if len(self.calls) and now - self._alive >= ALIVE_SECONDS:
            self._alive = now
            self.ledger.note(Event(Kind.NOTE, now, "", {"text": "the node lives", "calls": len(self.calls)}))

    def _thin_out(self, services: Services, together: Together, account: str, now: float) -> None:
        """Calls that began at two nodes before either had heard of the other's: the younger ones end."""
        for live in self.calls:
            if live.account == account and together.is_beyond(live.key, account, live.max_calls):
                if live.answered:
                    self._hang_up(services, live, now, "the account has too many calls")
                else:
                    together.look_again(account)

    def _ends(self, services: Services, live: LiveCall, now: float) -> str:
        """Why a call has to end now; empty: it need not."""
        if live.expires <= now:
            return "its session was not refreshed"
        if live.answered + live.max_seconds <= now:
            return "it lasted as long as a call may"
        if live.aborted:
            return "its credit server has ended it"
        if self.spending is not None and not self.spending.has_credit(services, live, now):
            return "its credit is used up"
        return ""

    def _hang_up(self, services: Services, live: LiveCall, now: float, reason: str) -> None:
        for tag, dialog in live.dialogs.items():
            if live.end is not None:
                live.end(tag, reason)
            else:
                hang_up(services, live, dialog, reason)
        # What is granted pays for the call to its very end: that we look once a second is not the caller's cost.
        self.stop(live, min(now, live.paid_until), reason, 200 if live.answered else 0)

    def close(self, now: float) -> None:
        """The node stops. Calls go on without us, and their bills end here: what comes then can't be known."""
        for live in self.calls:
            self.stop(live, now, "the node stopped", 200 if live.answered else 0)


@lru_cache(16)
def _exposed(hop: bool, every_hop: bool, body: Body) -> tuple[str, str]:
    """Who could read the body and who could change it, as far as this hop tells."""
    return Exposure(hop, every_hop, body).facts


def _evidence(call: Call) -> str:
    findings = call.findings
    if findings.user is not None:
        return findings.user.evidence
    if findings.peer_name:
        return str(findings.peer)
    return findings.caller.evidence[:MAX_FACT] if findings.caller is not None else "none"
