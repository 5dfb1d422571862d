"""What the driver hands each request to: run the role's steps, then do what the verdict says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import iscoroutine
from time import perf_counter

import structlog

from ringfence.engine.machine import ServerTransaction
from ringfence.message import Params, PeerError, Request, Response, SipUri, TelUri, Uri, response_to
from ringfence.roles.bridge.answers import Concealing
from ringfence.roles.call import Call
from ringfence.roles.forward import Forwarding
from ringfence.roles.pipeline import DECIDED, ONCE_TAG, Answer, Drop, Forward, Hand, Step, Verdict, run
from ringfence.roles.policy import Services
from ringfence.roles.stateless import forward_statelessly
from ringfence.roles.watch import note_answer
from ringfence.store.records import Binding
from ringfence.transport.driver import Work
from ringfence.transport.flow import Flow

log = structlog.get_logger("ringfence.roles")

PHONE = Params((("user", "phone"),))
"""What says that the user part is a telephone number (RFC 3261 section 19.1.1)."""

Finished = Callable[[str, str, float], None]
"""Told of each request that was decided on: its method, the outcome, the seconds that it took."""


class Server:
    """One role at work. ``steps`` is the role's literal list, with the user's own steps where they belong."""

    def __init__(self, services: Services, steps: tuple[Step, ...], finished: Finished | None = None) -> None:
        self.services = services
        self.steps = steps
        self._finished = finished

    def receive(self, request: Request, transaction: ServerTransaction | None, flow: Flow) -> Work | None:
        """Take one request from the driver. Raises PeerError for one that is malformed where we had to read it."""
        if request.method == "CANCEL" and transaction is not None:
            self._cancel(request, transaction, flow)
            return None
        uri = request.target
        if type(uri) is not SipUri:
            uri = number_of_ours(uri, self.services.policy.domain)
        if flow.secure and "alias" in request.via.params:
            self.services.driver.pool.alias(flow, request.via.port)  # RFC 5923: use this connection both ways
        call = Call(request, transaction, flow, self.services, uri)
        started = perf_counter()
        verdict = run(self.steps, call)
        if isinstance(verdict, DECIDED):
            return self._enact(call, verdict, started)
        work = self._wait(call, verdict, started)  # type: ignore[arg-type]
        if not call.findings.quiet:
            return work
        self.services.driver.spawn(work, transaction)
        return None

    async def _wait(self, call: Call, verdict: Awaitable[Verdict], started: float) -> None:
        decided = await verdict
        if call.transaction is not None and call.transaction.answered:
            if call.charge is not None:
                call.charge.dropped("the caller gave up", 487)
            return  # cancelled meanwhile
        work = self._enact(call, decided, started)
        if work is not None:
            await work

    def _enact(self, call: Call, verdict: Verdict, started: float) -> Work | None:
        if self._finished is not None:
            self._finished(call.request.method, outcome(verdict), perf_counter() - started)
        if isinstance(verdict, Forward):
            if call.transaction is None:
                return forward_statelessly(call, verdict.targets)
            return Concealing(call, verdict.targets).start()
        if isinstance(verdict, Hand):
            return verdict.to.start()
        if isinstance(verdict, Answer) and self.services.guard is not None:
            note_answer(self.services.guard, call, verdict)
        if isinstance(verdict, Answer) and call.transaction is not None:
            self._answer(call, call.transaction, verdict)
        elif isinstance(verdict, Drop) and call.request.method != "ACK":  # each challenge has one of those
            log.debug("dropped", method=call.request.method, reason=verdict.reason)
        return None

    def _answer(self, call: Call, transaction: ServerTransaction, verdict: Answer) -> None:
        driver = self.services.driver
        if verdict.once and transaction.response is None:
            tag = ONCE_TAG + driver.stateless_tag(call.request)
            driver.reject(transaction, answer(call.request, verdict, tag))
        else:
            driver.respond(transaction, answer(call.request, verdict, driver.token()))

    # -- flows that end --------------------------------------------------------------------------------

    def flow_closed(self, flow: Flow, _reason: str) -> None:
        """A connection ended: what was registered over it under RFC 5626 has ended with it (section 7)."""
        found = self.services.bindings.by_flow(flow.key)
        if iscoroutine(found):
            found.close()  # across a network: looked for below, in its own time
        if not isinstance(found, tuple) or found:
            self.services.driver.spawn(self._forget(flow.key))

    async def _forget(self, flow: str) -> None:
        def decide(existing: tuple[Binding, ...]) -> list[Binding]:
            return [binding for binding in existing if binding.flow != flow or not binding.reg_id]

        found = self.services.bindings.by_flow(flow)
        bindings = found if isinstance(found, tuple) else await found
        for aor in {binding.aor for binding in bindings if binding.reg_id}:
            await self.services.bindings.change(aor, decide, self.services.clock())

    # -- CANCEL ----------------------------------------------------------------------------------------

    def _cancel(self, request: Request, transaction: ServerTransaction, flow: Flow) -> None:
        """RFC 3261 sections 9.2 and 16.10. A CANCEL is never challenged (22.1): it has to match to do anything.

        We keep state of every INVITE that we forward, so one that matches none is not forwarded (16.10 would
        have a proxy do that which also works statelessly): anybody could send CANCELs through us to anybody.
        """
        driver = self.services.driver
        invite = driver.transactions.find_invite(request)
        if invite is None or not _same_source(invite.flow, flow):  # type: ignore[arg-type]  # an Outlet of ours
            driver.respond(transaction, response_to(request, 481, to_tag=driver.token()))
            return
        driver.respond(transaction, response_to(request, 200, to_tag=driver.token()))
        if isinstance(invite.user, Forwarding):
            invite.user.cancel(request.headers.get("Reason"))
        elif not invite.answered:  # a step still waits for something
            driver.respond(invite, response_to(invite.request, 487, to_tag=driver.token()))


def _same_source(invited: Flow, cancels: Flow) -> bool:
    """Whether a CANCEL comes from where its INVITE came from. Others further down have seen the branch, too."""
    return cancels.key == invited.key or cancels.remote.host == invited.remote.host


def number_of_ours(uri: Uri, domain: str) -> SipUri:
    """A telephone number as an address of our domain (RFC 3261 section 19.1.6).

    Raises:
        PeerError: 416 for a URI that is neither SIP nor a number (section 16.3 step 2).
    """
    if not isinstance(uri, TelUri):
        raise PeerError(416, f"the URI scheme {uri.scheme} is not supported")
    return SipUri("sip", f"{uri.number}{uri.params}".lower(), domain, None, PHONE)


def outcome(verdict: Verdict) -> str:
    """What was done, for the counters: the status of the answer, ``forwarded``, or ``dropped``."""
    if isinstance(verdict, Answer):
        return str(verdict.status)
    return "forwarded" if isinstance(verdict, (Forward, Hand)) else "dropped"


def answer(request: Request, verdict: Answer, to_tag: str) -> Response:
    """The response that an Answer stands for."""
    response = response_to(request, verdict.status, verdict.reason, to_tag=to_tag)
    for name, value in verdict.headers:
        response.headers.add(name, value)
    if verdict.body:
        response.set_body(verdict.body)
    return response
