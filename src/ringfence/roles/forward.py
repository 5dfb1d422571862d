"""A stateful proxy at work on one request (RFC 3261 section 16.6 to 16.10).

``Forwarding`` is the user of one server transaction and of the client transactions of its branches. What to answer
is decided by ``engine.forking``; here its outcomes become messages. Targets of the highest q are tried
together, those of the next q when all of them have failed.
"""

from __future__ import annotations

from itertools import groupby

from ringfence.engine.effects import Effect
from ringfence.engine.forking import MAX_BRANCHES, Branch, Cancel, Outcome, ResponseContext, Upstream
from ringfence.engine.machine import ClientTransaction
from ringfence.engine.places import Destination
from ringfence.engine.timers import Timer
from ringfence.message import Request, Response
from ringfence.roles.call import Call, Target
from ringfence.roles.outgoing import branch_request, loop_value, next_hop
from ringfence.transport.driver import Work
from ringfence.transport.flow import Flow


class ProxyBranch(Branch):
    """A branch with where it may still go."""

    __slots__ = ("destinations", "target", "transaction")

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target
        self.destinations: list[Destination] = []
        self.transaction: ClientTransaction | None = None


class Forwarding:
    """One request on its way through us, with all its branches."""

    __slots__ = ("_call", "_context", "_groups", "_loop", "_server")

    def __init__(self, call: Call, targets: tuple[Target, ...]) -> None:
        assert call.transaction is not None
        self._call = call
        self._server = call.transaction
        self._context: ResponseContext[ProxyBranch] = ResponseContext(call.request)
        self._loop = loop_value(call)
        chosen = targets[:MAX_BRANCHES]
        self._groups = [list(group) for _, group in groupby(chosen, key=lambda target: target.q)]

    def start(self) -> Work | None:
        """Send to the first targets; gives work when one of them has to be looked up."""
        self._server.user = self
        driver = self._call.services.driver
        if self._call.request.method == "INVITE":
            driver.trying(self._server)
        self._next_group()
        return None

    def cancel(self, reason: str | None) -> None:
        """The client cancelled (RFC 3261 section 16.10)."""
        self._groups.clear()
        self._perform(self._context.cancel(reason or ""))

    # -- the TransactionUser of the branches -----------------------------------------------------------

    def responded(self, response: Response, transaction: ClientTransaction) -> None:
        """RFC 3261 section 16.7."""
        branch = self._branch_of(transaction)
        if branch is None:
            return
        status = response.status
        if status == 503 and branch.destinations and not branch.cancelled and not self._context.answered:
            self._try_next(branch)  # RFC 3263 section 4.3: a 503 means the next server
            return
        if status != 100 and self._server.method == "INVITE":
            self._timer_c(branch, final=status >= 200)
        response.headers.remove_top("Via")
        if "Via" not in response.headers:
            return  # it was for us alone (16.7 step 3)
        self._settled(self._context.receive(branch, response))

    def failed(self, transaction: ClientTransaction, status: int, reason: str) -> None:
        """RFC 3261 sections 16.8 and 16.9."""
        branch = self._branch_of(transaction)
        if branch is None:
            return
        if branch.destinations and not branch.provisional and not branch.cancelled:
            self._try_next(branch)
            return
        self._give_up(branch, status)

    def expired(self, timer: Timer, now: float) -> list[Effect]:
        """Timer C: it has rung long enough (RFC 3261 section 16.8)."""
        for branch in self._context.branches:
            if branch.final is None and branch.transaction is not None:
                self._call.services.driver.cancel(branch.transaction)
        return []

    # -- branches --------------------------------------------------------------------------------------

    def _next_group(self) -> None:
        for target in self._groups.pop(0):
            self._context.branches.append(ProxyBranch(target))
        for branch in self._context.branches[:]:
            if branch.transaction is None and branch.final is None:
                self._launch(branch)

    def _launch(self, branch: ProxyBranch) -> None:
        call = self._call
        if branch.target.flow:
            flow = call.services.driver.pool.find(branch.target.flow)
            if flow is not None and not flow.closed:
                if call.uri.secure and not flow.secure:
                    self._give_up(branch, 480)
                else:
                    self._send(branch, flow)
                return
            if branch.target.only_flow:
                self._give_up(branch, 430)  # RFC 5626 section 5.3.1: the phone's flow is gone
                return
        uri = next_hop(call.request, branch.target)
        found = call.services.resolver.known(uri)
        if found is None:
            call.services.driver.spawn(self._look_up(branch), self._server)
        else:
            branch.destinations = list(found)
            self._try_next(branch)

    async def _look_up(self, branch: ProxyBranch) -> None:
        call = self._call
        branch.destinations = await call.services.resolver.locate(next_hop(call.request, branch.target))
        if not branch.cancelled:
            self._try_next(branch)

    def _try_next(self, branch: ProxyBranch) -> None:
        """Send to the next destination (RFC 3263 section 4.3), in a new client transaction."""
        secure = self._call.uri.secure
        while branch.destinations:
            place = branch.destinations.pop(0)
            if secure and place.transport not in {"TLS", "WSS"}:
                continue  # RFC 5630 section 3.1.3: never a plaintext hop for sips
            pool = self._call.services.driver.pool
            self._send(branch, pool.flow_to(place.transport, place.endpoint, place.server_name))
            return
        # RFC 3261 section 16.6: nothing to send to. RFC 5630 section 4.3 names 480 for what can't be kept secure.
        self._give_up(branch, 480 if secure else 503)

    def _send(self, branch: ProxyBranch, flow: Flow) -> None:
        call = self._call
        driver = call.services.driver
        request = branch_request(call, branch.target, flow, driver.token(), self._loop)
        branch.transaction = driver.request(request, flow, self)
        if request.method == "INVITE":
            timer_c = call.services.policy.timer_c
            driver.transactions.arm(self, Timer.C, timer_c, driver.time())

    def _give_up(self, branch: ProxyBranch, status: int) -> None:
        self._settled(self._context.fail(branch, status))

    def _branch_of(self, transaction: ClientTransaction) -> ProxyBranch | None:
        for branch in self._context.branches:
            if branch.transaction is transaction:
                return branch
        return None

    def _timer_c(self, branch: ProxyBranch, *, final: bool) -> None:
        driver = self._call.services.driver
        if not final:  # RFC 3261 section 16.7 step 2: each provisional but 100 starts it anew
            driver.transactions.arm(self, Timer.C, self._call.services.policy.timer_c, driver.time())
        elif self._context.pending <= 1:
            driver.transactions.disarm(self, Timer.C)

    # -- outcomes --------------------------------------------------------------------------------------

    def _settled(self, outcomes: tuple[Outcome[ProxyBranch], ...]) -> None:
        """Perform outcomes, unless what failed was only the first group and there is a next one."""
        for outcome in outcomes:
            if self._groups and isinstance(outcome, Upstream) and 300 <= outcome.response.status < 600:
                self._context.answered = False
                self._next_group()
                return
        self._perform(outcomes)

    def _perform(self, outcomes: tuple[Outcome[ProxyBranch], ...]) -> None:
        driver = self._call.services.driver
        for outcome in outcomes:
            if isinstance(outcome, Upstream):
                driver.respond(self._server, outcome.response)
            else:
                assert isinstance(outcome, Cancel)
                self._cancel(outcome)

    def _cancel(self, outcome: Cancel[ProxyBranch]) -> None:
        branch = outcome.branch
        branch.destinations.clear()
        if branch.transaction is not None:
            self._call.services.driver.cancel(branch.transaction, outcome.why or None)
        else:
            self._give_up(branch, 487)


def forward_statelessly(call: Call, targets: tuple[Target, ...]) -> Work | None:
    """Send an ACK for a 2xx on: it belongs to no transaction (RFC 3261 section 16.11)."""
    target = targets[0]
    driver = call.services.driver
    if target.flow:
        flow = driver.pool.find(target.flow)
        if flow is not None and not flow.closed:
            _send_ack(call, target, flow)
        return None
    found = call.services.resolver.known(next_hop(call.request, target))
    if found is None:
        return _look_up_ack(call, target)
    _send_to_first(call, target, found)
    return None


async def _look_up_ack(call: Call, target: Target) -> None:
    _send_to_first(call, target, await call.services.resolver.locate(next_hop(call.request, target)))


def _send_to_first(call: Call, target: Target, found: list[Destination]) -> None:
    for place in found:
        if not call.uri.secure or place.transport in {"TLS", "WSS"}:
            pool = call.services.driver.pool
            _send_ack(call, target, pool.flow_to(place.transport, place.endpoint, place.server_name))
            return


def _send_ack(call: Call, target: Target, flow: Flow) -> None:
    driver = call.services.driver
    request: Request = branch_request(call, target, flow, driver.token(), loop_value(call))
    driver.send(request, flow)
