"""A stateful proxy at work on one request (RFC 3261 section 16.6 to 16.10).

``Forwarding`` is the user of one server transaction and of the client transactions of its branches. What to answer
is decided by ``engine.forking``; here its outcomes become messages. Targets of one group are tried together, those
of the next group when all of them have failed. Where a request goes is in ``nexthop``, what it looks like in
``outgoing``.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from itertools import groupby

from ringfence.engine.effects import Effect
from ringfence.engine.forking import MAX_BRANCHES, Branch, Cancel, Outcome, ResponseContext, Upstream
from ringfence.engine.machine import ClientTransaction, Transaction
from ringfence.engine.places import SECURE, Destination
from ringfence.engine.timers import Timer
from ringfence.message import PeerError, Request, Response, reason_phrase
from ringfence.message.build import explain
from ringfence.roles.anchors import Anchor, RequestMedia
from ringfence.roles.border import filter_identity, tell_identity, tell_verdict
from ringfence.roles.call import Call, Target
from ringfence.roles.congestion import may_go, note_response, note_silence
from ringfence.roles.nexthop import known_places, look_up, must_be_tls, next_hop, usable_flow
from ringfence.roles.outgoing import branch_request, loop_value, record_routes_of_sender
from ringfence.roles.policy import Fork
from ringfence.roles.reports import note_answer
from ringfence.roles.steps.trust import CLAIMS
from ringfence.roles.view import View
from ringfence.roles.warnings import sips_not_allowed, sips_required
from ringfence.transport.driver import Work
from ringfence.transport.flow import Flow

DEAD_FLOW = frozenset({408, 430})
"""After these another flow to the same phone is tried; after any other the phone has answered (RFC 5626 7)."""


class ProxyBranch(Branch):
    """A branch with where it may still go."""

    __slots__ = ("anchor", "breadth", "destinations", "target", "transaction", "trusted", "view")

    def __init__(self, target: Target, breadth: int) -> None:
        super().__init__()
        self.target = target
        self.breadth = breadth
        self.destinations: list[Destination] = []
        self.transaction: ClientTransaction | None = None
        self.trusted = False  # the other side is a trusted peer
        self.anchor: Anchor | None = None  # of its media, where they are led through our relay
        self.view: View | None = None  # from whom what is behind us is hidden


class Forwarding:
    """One request on its way through us, with all its branches."""

    __slots__ = ("_call", "_context", "_groups", "_loop", "_server", "_view")

    def __init__(self, call: Call, targets: tuple[Target, ...]) -> None:
        assert call.transaction is not None
        self._call = call
        self._server = call.transaction
        self._context: ResponseContext[ProxyBranch] = ResponseContext(call.request)
        self._loop = loop_value(call)
        self._view: View | None = None  # of the last branch; who asked is the same for all
        chosen = targets[:MAX_BRANCHES]
        if call.services.policy.fork is Fork.PARALLEL:
            self._groups = [list(chosen)]
        else:
            self._groups = [list(group) for _, group in groupby(chosen, key=lambda target: target.q)]

    def start(self) -> Work | None:
        """Send to the first targets."""
        self._server.user = self
        self._next_group()
        self._call.services.driver.trying(self._server)  # unless there was nothing to send to
        return None

    def cancel(self, reason: str | None) -> None:
        """The client cancelled (RFC 3261 section 16.10)."""
        self._perform(self._context.cancel(reason or ""))

    # -- the TransactionUser of the branches -----------------------------------------------------------

    def responded(self, response: Response, transaction: ClientTransaction) -> None:
        """RFC 3261 section 16.7."""
        branch = self._branch_of(transaction)
        if branch is None:
            return
        status = response.status
        note_response(self._call, branch.target, response, transaction.flow)  # type: ignore[arg-type]
        if status == 503 and branch.destinations and not branch.cancelled and not self._context.answered:
            self._try_next(branch)  # RFC 3263 section 4.3: a 503 means the next server
            return
        if status >= 300 and self._other_flow(branch, status):
            return
        if status >= 200:
            note_answer(self._call, branch.target, response)
        if status != 100 and self._server.method == "INVITE":
            self._timer_c(final=status >= 200)
        if status == 430 and branch.target.registered:
            # RFC 5626 section 11.5: "Endpoints should never receive a 430", and we know of no other flow.
            response.status, response.reason = 480, reason_phrase(480)
        if branch.view is None:
            response.headers.remove_top("Via")
        else:
            self._restore(response, branch, transaction.flow)  # type: ignore[arg-type]  # an Outlet of ours
        headers = response.headers
        if not self._goes_on(response):
            return  # it was for us alone (16.7 step 3)
        if headers.has(CLAIMS[0]) or headers.has(CLAIMS[1]):
            filter_identity(response, self._call.findings, believed=branch.trusted)
        media = self._call.media
        if media is not None and branch.anchor is not None:
            work = media.returns(self._call, branch.anchor, response, transaction.flow)  # type: ignore[arg-type]
            if work is not None and self._call.services.driver.spawn(self._pass_on(work, branch, response)):
                return
        self._received(branch, response)

    async def _pass_on(self, work: Awaitable[None], branch: ProxyBranch, response: Response) -> None:
        await work
        self._received(branch, response)

    def _received(self, branch: ProxyBranch, response: Response) -> None:
        if branch.anchor is not None and response.status >= 300:
            self._unanchor(branch)
        self._perform(self._context.receive(branch, response))

    def failed(self, transaction: Transaction, status: int, reason: str) -> None:
        """RFC 3261 sections 16.8 and 16.9. Of the server transaction, too, when nobody acknowledges: nothing to do."""
        branch = self._branch_of(transaction)
        if branch is None:
            return
        if not branch.provisional:
            note_silence(self._call, branch.target, transaction.flow)  # type: ignore[arg-type]
            self._call.services.resolver.lost(transaction.flow.remote)  # type: ignore[attr-defined]
        if branch.destinations and not branch.provisional and not branch.cancelled:
            self._try_next(branch)
            return
        if status == 503 and branch.target.flow and not branch.cancelled:
            self._flow_failed(branch)
        elif not self._other_flow(branch, status):
            self._give_up(branch, status)

    def expired(self, timer: Timer, now: float) -> list[Effect]:
        """Timer C: it has rung long enough (RFC 3261 section 16.8)."""
        for branch in self._context.branches:
            if branch.final is None and branch.transaction is not None:
                branch.destinations.clear()
                self._call.services.driver.cancel(branch.transaction)
        return []

    # -- branches --------------------------------------------------------------------------------------

    def _next_group(self) -> None:
        group = self._groups.pop(0)
        self._context.more = bool(self._groups)
        share, rest = divmod(
            self._call.findings.breadth or self._call.services.policy.max_breadth, len(group)
        )
        fresh = [ProxyBranch(target, share + (place < rest)) for place, target in enumerate(group)]
        self._context.branches += fresh
        for branch in fresh:
            self._launch(branch)

    def _launch(self, branch: ProxyBranch) -> None:
        call = self._call
        target = branch.target
        flow = usable_flow(call, target)
        if flow is not None:
            if must_be_tls(call, target) and not flow.secure:
                self._not_secure(branch)
            else:
                self._send(branch, flow, "")
            return
        if target.flow and target.only_flow:
            self._flow_failed(branch)
            return
        try:
            hop = next_hop(call, target)
        except PeerError as error:
            self._give_up(branch, 503 if target.registered else error.status, explain(error))
            return
        found = known_places(call, hop)
        if found is not None:
            branch.destinations = list(found)
            self._try_next(branch)
        elif not call.services.driver.spawn(self._look_up(branch), self._server):
            self.cancel(None)  # too busy; the client has been told

    async def _look_up(self, branch: ProxyBranch) -> None:
        branch.destinations = await look_up(self._call, next_hop(self._call, branch.target))
        if not branch.cancelled:
            self._try_next(branch)

    def _try_next(self, branch: ProxyBranch) -> None:
        """Send to the next destination (RFC 3263 section 4.3), in a new client transaction."""
        secure = must_be_tls(self._call, branch.target)
        unsafe = held_back = False
        while branch.destinations:
            place = branch.destinations.pop(0)
            if secure and place.transport not in SECURE:
                unsafe = True
                continue  # RFC 5630 section 3.1.3: never a plaintext hop for sips
            flow = self._call.services.driver.flow_to(place)
            if not branch.target.registered and not may_go(self._call, flow):
                held_back = True  # RFC 7339 section 5.10: to a different destination
                continue
            self._send(branch, flow, place.server_name or "")
            return
        if held_back:
            branch.held_back = True
            self._give_up(branch, 503)
        elif unsafe:
            self._not_secure(branch)
        else:
            self._give_up(branch, 503, "Service Unavailable (no address was found to send to)")

    def _send(self, branch: ProxyBranch, flow: Flow, server_name: str) -> None:
        call = self._call
        driver = call.services.driver
        policy, findings = call.services.policy, call.findings
        if policy.peers:
            branch.trusted = policy.peers.trusted_at(flow, server_name)
        if policy.hiding is not None:
            self._view = branch.view = policy.hiding.view(call, branch.target, trusted=branch.trusted)
        request = branch_request(
            call, branch.target, flow, driver.token(), self._loop, branch.breadth, branch.view
        )
        registered = branch.target.registered
        if policy.peers or findings.asserted or (registered and findings.user is not None):
            ours = registered or (
                bool(branch.target.flow)
                and (bool(findings.role) or (findings.in_dialog and flow.user is not None))
            )
            tell_identity(request, findings, trusted=branch.trusted, registered=ours)
        tell_verdict(request, call.findings, branch.target)
        if call.media is None:
            self._leave(branch, request, flow)
        else:
            self._lead(branch, request, flow, call.media)

    def _lead(self, branch: ProxyBranch, request: Request, flow: Flow, media: RequestMedia) -> None:
        """Have the media of the branch led through our relay, if they need it."""
        try:
            anchor = branch.anchor
            if anchor is None or anchor.over:
                anchor = branch.anchor = media.anchor(self._call, branch.target, flow)
            work = media.leaves(self._call, anchor, request, flow) if anchor is not None else None
        except PeerError as error:
            self._give_up(branch, error.status, explain(error))
            return
        if work is None:
            self._leave(branch, request, flow)
        elif not self._call.services.driver.spawn(
            self._lead_later(work, branch, request, flow), self._server
        ):
            self.cancel(None)  # too busy; the client has been told

    async def _lead_later(
        self, work: Awaitable[None], branch: ProxyBranch, request: Request, flow: Flow
    ) -> None:
        try:
            await work
        except PeerError as error:
            self._give_up(branch, error.status, explain(error))
            return
        if not branch.cancelled:
            self._leave(branch, request, flow)

    def _unanchor(self, branch: ProxyBranch) -> None:
        if branch.anchor is not None and self._call.media is not None:
            self._call.media.over(branch.anchor)

    def _goes_on(self, response: Response) -> bool:
        """Whether a response, without our Via, is for somebody before us."""
        return response.headers.has("Via")

    def _leave(self, branch: ProxyBranch, request: Request, flow: Flow) -> None:
        """Send the request of a branch, which is complete."""
        call = self._call
        driver = call.services.driver
        if call.charge is not None:
            call.charge.sent(flow)
        branch.transaction = driver.request(request, flow, self)
        if request.method == "INVITE":
            timer_c = call.services.policy.timer_c
            driver.transactions.arm(self, Timer.C, timer_c, driver.time())

    def _restore(self, response: Response, branch: ProxyBranch, flow: Flow) -> None:
        """What the request lost where it left (16.7 step 3, and what is hidden from those outside)."""
        hiding, view = self._call.services.policy.hiding, branch.view
        if hiding is None or view is None or not view.to_outside:
            response.headers.remove_top("Via")
            return
        ours = record_routes_of_sender(self._call, branch.target, flow) if view.masked else []
        hiding.restore(self._call, view, response, ours)

    def _other_flow(self, branch: ProxyBranch, status: int) -> bool:
        """Try another flow of the phone, if this one was dead and there is another (RFC 5626 section 7)."""
        others = branch.target.others
        if not others or status not in DEAD_FLOW or branch.cancelled or self._context.answered:
            return False
        self._unanchor(branch)
        target = replace(others[0], others=others[1:])
        fresh = ProxyBranch(target, branch.breadth)
        branches = self._context.branches
        branches[branches.index(branch)] = fresh
        self._launch(fresh)
        return True

    def _flow_failed(self, branch: ProxyBranch) -> None:
        """The phone's flow is gone (RFC 5626 section 5.3.1): 430 to a proxy, which may know another; 480 to others."""
        if not self._other_flow(branch, 430):
            self._give_up(branch, 480 if branch.target.registered else 430)

    def _not_secure(self, branch: ProxyBranch) -> None:
        """RFC 5630 section 5.3: 480, and what is in the way."""
        policy = self._call.services.policy
        warning = sips_not_allowed(policy) if self._call.uri.secure else sips_required(policy)
        self._give_up(branch, 480, headers=(warning,))

    def _give_up(
        self,
        branch: ProxyBranch,
        status: int,
        reason: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self._unanchor(branch)
        driver = self._call.services.driver
        self._perform(self._context.fail(branch, status, reason, to_tag=driver.token(), headers=headers))
        if self._server.method == "INVITE" and not self._context.pending:
            driver.transactions.disarm(self, Timer.C)

    def _branch_of(self, transaction: Transaction) -> ProxyBranch | None:
        for branch in self._context.branches:
            if branch.transaction is transaction:
                return branch
        return None

    def _timer_c(self, *, final: bool) -> None:
        driver = self._call.services.driver
        if not final:  # RFC 3261 section 16.7 step 2: each provisional but 100 starts it anew
            driver.transactions.arm(self, Timer.C, self._call.services.policy.timer_c, driver.time())
        elif self._context.pending <= 1:
            driver.transactions.disarm(self, Timer.C)

    # -- outcomes --------------------------------------------------------------------------------------

    def _perform(self, outcomes: tuple[Outcome[ProxyBranch], ...]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Upstream):
                self._upstream(outcome.response)
            elif isinstance(outcome, Cancel):
                self._cancel(outcome)
            else:
                self._next_group()

    def _upstream(self, response: Response) -> None:
        """Answer whoever sent the request."""
        services = self._call.services
        charge = self._call.charge
        if charge is not None and response.status >= 200:
            charge.told(response)
        if self._view is not None and services.policy.hiding is not None:
            services.policy.hiding.show(self._call, self._view, response)
        services.driver.respond(self._server, response)

    def _cancel(self, outcome: Cancel[ProxyBranch]) -> None:
        branch = outcome.branch
        branch.destinations.clear()
        if branch.transaction is not None:
            self._call.services.driver.cancel(branch.transaction, outcome.why or None)
        else:
            self._give_up(branch, 487)
