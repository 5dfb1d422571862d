"""What the driver hands each request to: run the role's steps, then do what the verdict says."""

from __future__ import annotations

from inspect import isawaitable

import structlog

from ringfence.engine.machine import ServerTransaction
from ringfence.message import PeerError, Request, Response, SipUri, response_to
from ringfence.roles.call import Call
from ringfence.roles.forward import Forwarding, forward_statelessly
from ringfence.roles.pipeline import Answer, Drop, Forward, Step, Verdict, run
from ringfence.roles.policy import Services
from ringfence.store.records import Binding
from ringfence.transport.driver import Work
from ringfence.transport.flow import Flow

log = structlog.get_logger("ringfence.roles")


class Server:
    """One role at work. ``steps`` is the role's literal list, with the user's own steps where they belong."""

    def __init__(self, services: Services, steps: tuple[Step, ...]) -> None:
        self.services = services
        self.steps = steps

    def receive(self, request: Request, transaction: ServerTransaction | None, flow: Flow) -> Work | None:
        """Take one request from the driver. Raises PeerError for one that is malformed where we had to read it."""
        if request.method == "CANCEL" and transaction is not None:
            self._cancel(request, transaction)
            return None
        uri = request.target
        if not isinstance(uri, SipUri):
            raise PeerError(416, f"the URI scheme {uri.scheme} is not supported")
        if flow.secure and "alias" in request.via.params:
            self.services.driver.pool.alias(flow, request.via.port)  # RFC 5923: use this connection both ways
        call = Call(request, transaction, flow, self.services, uri)
        verdict = run(self.steps, call)
        if isinstance(verdict, Answer | Forward | Drop):
            return self._enact(call, verdict)
        return self._wait(call, verdict)  # type: ignore[arg-type]

    async def _wait(self, call: Call, verdict: Work) -> None:
        work = self._enact(call, await verdict)  # type: ignore[func-returns-value, arg-type]
        if work is not None:
            await work

    def _enact(self, call: Call, verdict: Verdict) -> Work | None:
        if isinstance(verdict, Forward):
            if call.transaction is None:
                return forward_statelessly(call, verdict.targets)
            return Forwarding(call, verdict.targets).start()
        if isinstance(verdict, Answer) and call.transaction is not None:
            self._answer(call, call.transaction, verdict)
        elif isinstance(verdict, Drop):
            log.debug("dropped", method=call.request.method, reason=verdict.reason)
        return None

    def _answer(self, call: Call, transaction: ServerTransaction, verdict: Answer) -> None:
        driver = self.services.driver
        response = answer(call.request, verdict, driver.token())
        if verdict.once and transaction.response is None:
            driver.reject(transaction, response)
        else:
            driver.respond(transaction, response)

    def flow_closed(self, flow: Flow, _reason: str) -> None:
        """A connection ended: what was registered over it under RFC 5626 has ended with it (section 7)."""
        found = self.services.bindings.by_flow(flow.key)
        if found and not isawaitable(found):
            for aor in {binding.aor for binding in found if binding.reg_id}:
                self.services.driver.spawn(self._forget(aor, flow.key))

    async def _forget(self, aor: str, flow: str) -> None:
        def decide(existing: tuple[Binding, ...]) -> list[Binding]:
            return [binding for binding in existing if binding.flow != flow or not binding.reg_id]

        await self.services.bindings.change(aor, decide, self.services.clock())

    def _cancel(self, request: Request, transaction: ServerTransaction) -> None:
        """RFC 3261 sections 9.2 and 16.10. A CANCEL is never challenged (22.1): it has to match to do anything."""
        driver = self.services.driver
        invite = driver.transactions.find_invite(request)
        status = 481 if invite is None else 200
        driver.respond(transaction, response_to(request, status, to_tag=driver.token()))
        if invite is not None and isinstance(invite.user, Forwarding):
            invite.user.cancel(request.headers.get("Reason"))


def answer(request: Request, verdict: Answer, to_tag: str) -> Response:
    """The response that an Answer stands for."""
    response = response_to(request, verdict.status, verdict.reason, to_tag=to_tag)
    for name, value in verdict.headers:
        response.headers.add(name, value)
    if verdict.body:
        response.set_body(verdict.body)
    return response
