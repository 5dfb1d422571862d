"""The seam between the engine, which knows no clock and no socket, and the event loop.

After every input it does the same: let the guard admit it, parse, feed the transaction layer, perform the effects,
re-arm one timer. It makes no task for a datagram; a task starts only when a role has to wait for something. What
it needs from above are three things that ``service/wiring`` hands in: ``admit``, ``on_request`` and ``observe``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, Protocol

import structlog

from ringfence.engine.effects import Deliver, Due, Effect, Ended, Failed, Send
from ringfence.engine.machine import ClientTransaction, ServerTransaction
from ringfence.engine.places import Destination, is_private
from ringfence.engine.transactions import Transactions
from ringfence.message import Message, PeerError, Request, Response, parse, response_to
from ringfence.message.build import explain
from ringfence.transport.answers import Answers, Locate
from ringfence.transport.flow import Endpoint, Flow
from ringfence.transport.pool import Pool
from ringfence.transport.tokens import StatelessTags, Tokens

log = structlog.get_logger("ringfence.driver")

MAX_WAITING = 20_000
"""Requests whose role waits (for DNS, a database, a durable write) at one time; one more is answered 503."""

MIN_REST = 0.01
"""Seconds between two looks at the timers: a busy node has thousands due each second, and the shortest is half a second
long. To wake for each by itself costs more than what it does."""

Work = Coroutine[Any, Any, None]


class TransactionUser(Protocol):
    """Who made a client transaction, or took a server transaction (the TU of RFC 3261 section 5)."""

    def responded(self, response: Response, transaction: ClientTransaction) -> None:
        """A response came for a request that this user sent."""

    def failed(self, transaction: ClientTransaction, status: int, reason: str) -> None:
        """A request of this user got no answer: 408, or could not be sent: 503."""


class OnRequest(Protocol):
    """What takes each request: roles, or a user agent."""

    def __call__(self, request: Request, transaction: ServerTransaction | None, flow: Flow, /) -> Work | None:
        """Decide at once, or return the work that has to wait; ``transaction`` is None for an ACK."""


Admit = Callable[[Flow, bytes, float], bool]
"""Whether the bytes of a message are to be read at all; the last is the time of the loop."""

Feedback = Callable[[Response, Flow], None]
"""Writes into a response that leaves how much its receiver may go on sending (RFC 7339)."""

Elsewhere = Callable[[Request | Response, bytes, Flow], bool]
"""Whether a message belongs to another worker, which has been given it."""

Observe = Callable[[str, Message, Flow], None]


class Driver:
    """One per worker. Everything here runs on one event loop."""

    def __init__(self, transactions: Transactions, loop: asyncio.AbstractEventLoop) -> None:
        self.transactions = transactions
        self.counts: Counter[str] = Counter()
        self.token = Tokens()
        self.stateless_tag = StatelessTags()
        self.pool: Pool
        self._loop = loop
        self.time = loop.time
        self._timer: asyncio.TimerHandle | None = None
        self._armed_at = float("inf")
        self._expired_at = float("-inf")
        self._admit: Admit | None = None
        self._elsewhere: Elsewhere | None = None
        self._observe: Observe | None = None
        self._on_request: OnRequest
        self._on_closed: Callable[[Flow, str], None] | None = None
        self.feedback: Feedback | None = None
        self.on_malformed: Callable[[Flow], None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = False
        self._answers: Answers
        self._reached: dict[Endpoint, Flow] = {}
        self._answering: ServerTransaction | None = None

    def bind(
        self,
        pool: Pool,
        on_request: OnRequest,
        *,
        admit: Admit | None = None,
        elsewhere: Elsewhere | None = None,
        on_closed: Callable[[Flow, str], None] | None = None,
        locate: Locate | None = None,
    ) -> None:
        """Hand in what the driver needs from outside; called once by wiring before anything listens.

        ``locate`` finds where a response may go whose flow has failed (RFC 3263 section 5).
        """
        self.pool = pool
        self._reached = pool.reached
        self._on_request = on_request
        self._admit = admit
        self._elsewhere = elsewhere
        self._on_closed = on_closed
        self._answers = Answers(self.transactions, pool.flow_to, locate, self._undelivered)

    def watch(self, observe: Observe | None) -> None:
        """Show each message that comes in ("in") or goes out ("out") to a trace; None ends it."""
        self._observe = observe

    @property
    def waiting(self) -> int:
        """How much work waits for something."""
        return len(self._tasks)

    # -- upward, called by the sockets -----------------------------------------------------------------

    def received(self, data: bytes, flow: Flow) -> None:
        """One whole message from a flow."""
        if self._admit is not None and not self._admit(flow, data, self.time()):
            return
        self.take(data, flow, self._elsewhere)

    def take(self, data: bytes, flow: Flow, elsewhere: Elsewhere | None = None) -> None:
        """The same for a message that has been admitted, here or by the worker that handed it over."""
        now = self.time()
        try:
            message = parse(data)
            if elsewhere is not None and elsewhere(message, data, flow):
                return
            way_back = _stamp(message, flow) if type(message) is Request else flow
        except PeerError as error:
            self._refuse(error, flow)
            return
        if self._observe is not None:
            self._observe("in", message, flow)
        effects = self.transactions.receive(message, way_back, now)
        if effects:
            self.perform(effects, flow)
        self._arm()

    def opened(self, flow: Flow) -> None:
        """A connection is ready."""
        self.counts["opened " + flow.transport] += 1
        self._answers.opened(flow)

    def closed(self, flow: Flow, reason: str) -> None:
        """A connection ended, or could not be made: its client transactions fail (RFC 3261 section 17.1.4)."""
        self.counts["closed " + flow.transport] += 1
        log.debug("flow closed", flow=flow.key, remote=flow.remote, reason=reason)
        if self._on_closed is not None:
            self._on_closed(flow, reason)
        self.perform(self.transactions.failed(flow, reason, self.time()))
        for work in self._answers.failed(flow, reason, self.time()):
            self.spawn(work)
        self._arm()

    # -- downward, called by roles and clients ---------------------------------------------------------

    def respond(self, transaction: ServerTransaction, response: Response) -> None:
        """Send a response through its server transaction."""
        effects = self.transactions.respond(transaction, response, self.time())
        if transaction.flow.closed:  # type: ignore[attr-defined]  # every Outlet here is a Flow
            self._answering = transaction
            self.perform(effects)
            self._answering = None
        else:
            self.perform(effects)
        self._arm()

    def reject(self, transaction: ServerTransaction, response: Response) -> None:
        """Send a response once and forget the transaction: for challenges (RFC 3261 section 26.3.2.4)."""
        self.transactions.discard(transaction)
        self.send(response, transaction.flow)  # type: ignore[arg-type]  # every Outlet here is a Flow

    def trying(self, transaction: ServerTransaction) -> None:
        """Tell the client that its INVITE has arrived, unless it has been told something already."""
        self.perform(self.transactions.trying(transaction, self.time()))

    def flow_to(self, place: Destination) -> Flow:
        """See ``Pool.flow_to``; the usual case is here, where it is compiled."""
        if place.transport == "UDP":
            known = self._reached.get(place.endpoint)
            if known is not None and not known.closed:
                return known
        return self.pool.flow_to(place.transport, place.endpoint, place.server_name)

    def request(self, request: Request, flow: Flow, user: TransactionUser) -> ClientTransaction:
        """Start a client transaction; the topmost Via of the request is ours already."""
        transaction, effects = self.transactions.request(request, flow, user, self.time())
        self.perform(effects)
        self._arm()
        return transaction

    def cancel(self, transaction: ClientTransaction, reason: str | None = None) -> None:
        """Cancel an INVITE client transaction (RFC 3261 section 9.1)."""
        self.perform(self.transactions.cancel(transaction, self.time(), reason))
        self._arm()

    def send(self, message: Message, flow: Flow) -> None:
        """Write a message to a flow, outside any transaction (ACK for 2xx, single-shot answers)."""
        if type(message) is Response and flow.closed:
            flow = self._answers.elsewhere(message, flow, self._answering)
        if self.feedback is not None and type(message) is Response:
            self.feedback(message, flow)
        if self._observe is not None:
            self._observe("out", message, flow)
        flow.send(message.to_bytes())

    def spawn(self, work: Work, transaction: ServerTransaction | None = None) -> bool:
        """Run work that waits; what it raises is logged, and the client gets 500. False: there is too much of it."""
        if self._over or len(self._tasks) >= MAX_WAITING:
            work.close()
            self.counts["too busy"] += 1
            if transaction is not None:
                self._answer(transaction, 503)
            return False
        task = self._loop.create_task(self._run(work, transaction))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    # -- effects ---------------------------------------------------------------------------------------

    def perform(self, effects: Iterable[Effect], flow: Flow | None = None) -> None:
        """Do what the engine decided, in order; ``flow`` is where the message came from that caused them."""
        for effect in effects:
            kind = type(effect)
            if kind is Send:
                self.send(effect.message, effect.flow)  # type: ignore[union-attr, arg-type]  # an Outlet of ours is a Flow
            elif kind is Deliver:
                self._deliver(effect, flow)  # type: ignore[arg-type]
            elif isinstance(effect, Failed):
                user = effect.transaction.user
                if user is not None:
                    user.failed(effect.transaction, effect.status, effect.reason)
            elif isinstance(effect, Due):
                self._due(effect)
            else:
                assert isinstance(effect, Ended)  # Arm and Disarm stay inside the engine
                effect.transaction.release()

    def _due(self, effect: Due) -> None:
        try:
            self.perform(effect.owner.expired(effect.timer, self.time()))
        except Exception:
            log.exception("timer of a role failed", timer=effect.timer)

    def _deliver(self, effect: Deliver, flow: Flow | None) -> None:
        message, transaction = effect.message, effect.transaction
        if type(message) is Response:
            if isinstance(transaction, ClientTransaction) and transaction.user is not None:
                self._responded(message, transaction, transaction.user)
            else:
                self.counts["stray responses"] += 1  # RFC 6026 section 7.2: dropped, never forwarded
            return
        assert isinstance(message, Request)
        assert flow is not None  # requests are delivered only while one is being received
        server = transaction if isinstance(transaction, ServerTransaction) else None
        try:
            work = self._on_request(message, server, flow)
        except PeerError as error:
            self._fault(server, error.status, error)
        except Exception:
            log.exception("role failed", method=message.method)
            self._answer(server, 500)
        else:
            if work is not None:
                if server is not None:
                    self.trying(server)
                self.spawn(work, server)

    def _responded(self, response: Response, transaction: ClientTransaction, user: TransactionUser) -> None:
        """Hand a response to who asked. One that is malformed where it had to be read is dropped."""
        try:
            user.responded(response, transaction)
        except PeerError as error:
            self.counts["malformed"] += 1
            log.info("malformed response", status=response.status, header=error.header, reason=error.reason)
        except Exception:
            log.exception("role failed", status=response.status)

    async def _run(self, work: Work, transaction: ServerTransaction | None) -> None:
        try:
            await work
        except PeerError as error:
            self._fault(transaction, error.status, error)
        except Exception:
            log.exception("role failed")
            self._answer(transaction, 500)

    def _fault(self, transaction: ServerTransaction | None, status: int, error: PeerError) -> None:
        self.counts["malformed"] += 1
        log.info("malformed request", status=status, header=error.header, reason=error.reason)
        self._answer(transaction, status, explain(error))

    def _answer(self, transaction: ServerTransaction | None, status: int, reason: str | None = None) -> None:
        if transaction is not None and not transaction.answered:
            response = response_to(transaction.request, status, reason, to_tag=self.new_tag())
            self.respond(transaction, response)

    def new_tag(self) -> str:
        """A tag for a To that this node answers for (RFC 3261 section 19.3)."""
        return self.token()

    def _refuse(self, error: PeerError, flow: Flow) -> None:
        """Answer a message that could not be read, when it is a request that tells whom to answer."""
        self.counts["malformed"] += 1
        log.info("malformed message", remote=flow.remote, header=error.header, reason=error.reason)
        if self.on_malformed is not None:
            self.on_malformed(flow)
        request = error.message
        if not isinstance(request, Request) or request.method == "ACK":
            return
        with suppress(PeerError):  # a Via that can't be read goes back as it came, to where it came from
            flow = _stamp(request, flow)
        response = response_to(request, error.status, explain(error), to_tag=self.stateless_tag(request))
        headers = response.headers
        for name in ("From", "To", "Call-ID", "CSeq"):
            if headers.count(name) > 1:  # the fault need not go back
                headers.set(name, headers.get(name) or "")
        if headers.has("Via") and not flow.closed:
            self.send(response, flow)

    def _undelivered(self, transaction: ServerTransaction, reason: str) -> None:
        self.counts["responses undelivered"] += 1
        self.perform(self.transactions.undelivered(transaction, reason, self.time()))

    # -- time ------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        soonest = self._expired_at + MIN_REST
        if self.transactions.earliest >= self._armed_at or self._armed_at <= soonest:
            return  # the timer that is set fires earlier, finds nothing due and is set anew
        deadline = self.transactions.next_deadline()
        if deadline is None or deadline >= self._armed_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed_at = max(deadline, soonest)
        self._timer = self._loop.call_at(self._armed_at, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self._armed_at = float("inf")
        self._expired_at = self.time()
        self.perform(self.transactions.expire(self._expired_at))
        self._arm()

    async def close(self) -> None:
        """Stop the timer and end the work that waits; no other begins."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _stamp(request: Request, flow: Flow) -> Flow:
    """Note where a request came from in its topmost Via; gives the flow that its responses take.

    RFC 3261 section 18.2.1 (received), RFC 3581 section 4 (rport). Over UDP without rport, responses go to the
    port of the Via, not to the port that the request came from (18.2.2); but a private address there that is not the
    source is behind NAT, where that port leads nowhere. ``maddr`` is not followed: it would let anybody aim our answers
    at a third party.
    """
    via = request.via
    remote = flow.remote
    host = via.host.strip("[]")
    if via.wants_rport:
        stamped = via.with_param("rport", str(remote.port)).with_param("received", remote.host)
        request.headers.set_top("Via", stamped)
        return flow
    if host.lower() != remote.host or "received" in via.params:
        request.headers.set_top("Via", via.with_param("received", remote.host))
    if flow.reliable:
        return flow
    port = via.port or 5060
    if port == remote.port or (host != remote.host and is_private(host)):
        return flow
    return flow.toward(Endpoint(remote.host, port))
