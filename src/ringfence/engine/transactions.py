"""Every transaction of a node: which message belongs to which, what runs, what is due.

This is the door to the engine. A message or the time goes in, effects come out: ``Send``, ``Deliver``,
``Failed``, ``Due`` and ``Ended``. Nothing is raised for what a peer sends, as long as the message came through
``parse``. A server transaction stays with the flow that its request came by: whoever further down knows a
branch and a sent-by (every Via is shown to them) can repeat the request from elsewhere, and must not draw the
responses to themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ringfence.engine import invite_client, invite_server, request_client, request_server
from ringfence.engine.effects import Arm, Deliver, Disarm, Due, Effect, Ended, Outlet, Send, Waiter
from ringfence.engine.invite_client import InviteClient
from ringfence.engine.invite_server import InviteServer
from ringfence.engine.keys import acknowledges, merge_key, request_key, response_key, server_key
from ringfence.engine.machine import ClientTransaction, ServerTransaction, Transaction, step
from ringfence.engine.request_client import RequestClient
from ringfence.engine.request_server import RequestServer
from ringfence.engine.timers import RETRANSMITTING, Deadline, Deadlines, Timer, Timers
from ringfence.message import LocalError, PeerError, Request, Response, cancel_for, response_to

MAX_TRANSACTIONS = 250_000
"""Most transactions at a time. A proxied call leaves four behind for up to 32 seconds, so that a thousand calls a
second need 130,000. One that lingers takes 0.4 to 1.2 KB (bench/engine.py), all of them 300 MB; one that is still open
holds its request too, which is why nothing stays open for a peer that is not known (see ``discard``)."""

# Bound once: to look up a member of an enum takes 0.06 us. Events that two machines have are equal strings.
_INVITE: Final = invite_server.Event.REQUEST
_REQUEST: Final = request_server.Event.REQUEST
_ACK: Final = invite_server.Event.ACK
_NO_ANSWER_YET: Final = invite_server.Event.NO_ANSWER_YET
_DISCARDED: Final = invite_server.Event.DISCARDED
_TIMEOUT: Final = request_server.Event.TIMEOUT
_TRANSPORT_ERROR: Final = invite_server.Event.TRANSPORT_ERROR
_INVITE_FROM_TU: Final = invite_client.Event.REQUEST
_REQUEST_FROM_TU: Final = request_client.Event.REQUEST
_CANCELLED: Final = invite_client.Event.CANCELLED
_CALLING: Final = invite_client.State.CALLING
_PROCEEDING: Final = invite_client.State.PROCEEDING

RETRY_AFTER = 10
"""Seconds in the Retry-After of a refusal: what is lingering then has mostly gone."""


@dataclass(slots=True)
class Counts:
    """What has happened since the start, for metrics."""

    received: int = 0
    sent: int = 0
    refused: int = 0
    failed: int = 0
    retransmitted: int = 0
    absorbed: int = 0
    stray: int = 0


class Transactions:
    """The transactions of one node. ``limit`` bounds how many there are before new requests are refused."""

    __slots__ = (
        "_armed",
        "_by_flow",
        "_clients",
        "_deadlines",
        "_merged",
        "_servers",
        "counts",
        "limit",
        "timers",
    )

    def __init__(self, timers: Timers | None = None, limit: int = MAX_TRANSACTIONS) -> None:
        self.timers = timers or Timers()
        self.limit = limit
        self.counts = Counts()
        self._clients: dict[str, ClientTransaction] = {}
        self._servers: dict[str, ServerTransaction] = {}
        self._merged: dict[str, ServerTransaction] = {}
        self._by_flow: dict[str, set[Transaction]] = {}  # of connections only: see failed()
        self._armed: dict[tuple[Waiter, Timer], Deadline] = {}
        self._deadlines = Deadlines()

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)

    @property
    def clients(self) -> int:
        """How many client transactions there are."""
        return len(self._clients)

    @property
    def servers(self) -> int:
        """How many server transactions there are."""
        return len(self._servers)

    # -- from the network ------------------------------------------------------------------------------

    def receive(self, message: Request | Response, flow: Outlet, now: float) -> list[Effect]:
        """Take a message that came by this flow."""
        if isinstance(message, Response):
            return self._receive_response(message, flow, now)
        try:
            key = server_key(message)
        except PeerError as error:
            # The parser has read Via and CSeq. Without the magic cookie From and To are compared too; when those
            # cannot be read, the answer leaves no state (RFC 4475 section 3.2.1).
            reason = f"Bad Request ({error.header}: {error.reason})"
            return [] if message.method == "ACK" else [Send(response_to(message, 400, reason), flow)]
        transaction = self._servers.get(key)
        if transaction is not None:
            return self._receive_again(transaction, message, now)
        if message.method == "ACK":
            return [Deliver(message, None)]
        if len(self._servers) + len(self._clients) >= self.limit and not self._cancels(message):
            return self._refuse(message, flow)
        self.counts.received += 1
        made = InviteServer if message.method == "INVITE" else RequestServer
        transaction = self._servers[key] = made(key, message, flow, self.timers)
        return [Deliver(message, transaction)]

    def _receive_again(self, transaction: ServerTransaction, request: Request, now: float) -> list[Effect]:
        if request.method != "ACK":
            self.counts.absorbed += 1
            return self._run(transaction, _INVITE if request.method == "INVITE" else _REQUEST, request, now)
        response = transaction.response
        if response is not None and response.status >= 300 and not acknowledges(request, response):
            return [Deliver(request, None)]
        return self._run(transaction, _ACK, request, now)

    def _receive_response(self, response: Response, flow: Outlet, now: float) -> list[Effect]:
        transaction = self._clients.get(response_key(response))
        if transaction is None or not transaction.takes(response.via, flow):
            self.counts.stray += 1
            return [Deliver(response, None)]
        effects = self._run(transaction, transaction.events[response.status // 100 - 1], response, now)
        if transaction.cancel is not None:
            effects += self._send_cancel(transaction, now)
        return effects

    def _cancels(self, request: Request) -> bool:
        return request.method == "CANCEL" and self.find_invite(request) is not None

    def _refuse(self, request: Request, flow: Outlet) -> list[Effect]:
        """Full: a 503 without state, with the same tag for a retransmission (RFC 3261 section 8.2.7)."""
        self.counts.refused += 1
        tag = format(hash(server_key(request)) & 0xFFFF_FFFF_FFFF, "x")
        response = response_to(request, 503, to_tag=tag)
        response.headers.add("Retry-After", RETRY_AFTER)
        return [Send(response, flow)]

    # -- from the transaction user: server side --------------------------------------------------------

    def respond(self, transaction: ServerTransaction, response: Response, now: float) -> list[Effect]:
        """Give a response through its server transaction. What the state does not allow is absorbed.

        The request is let go with the final response, and a repeated 2xx to INVITE is the caller's to send.
        """
        status = response.status
        if status == 408 and transaction.method != "INVITE":
            return self._run(transaction, _TIMEOUT, response, now)  # "MUST NOT send": RFC 4320 section 4.2
        return self._run(transaction, transaction.events[status // 100 - 1], response, now)

    def trying(self, transaction: ServerTransaction, now: float) -> list[Effect]:
        """Say that an answer may take longer than 200 ms, since the request is forwarded or a person asked.

        An INVITE gets a 100 at once, unless something has been sent (RFC 3261 section 17.2.1). Another
        request gets one after 3.5 s, if it has no final response by then (RFC 4320 section 4.1).
        """
        return self._run(transaction, _NO_ANSWER_YET, None, now)

    def discard(self, transaction: ServerTransaction) -> None:
        """Forget a transaction that has not been answered, at once.

        For a challenge that is sent once and leaves no state (RFC 3261 section 26.3.2.4), and for a request
        that gets no answer at all. Without this, an unanswered transaction is kept for ever.
        """
        if self._run(transaction, _DISCARDED, None, 0.0):
            transaction.release()

    def undelivered(self, transaction: ServerTransaction, reason: str, now: float) -> list[Effect]:
        """Say that a response could not be sent anywhere (RFC 3261 section 18.2.2). It stays, unless it is over."""
        if self._servers.get(transaction.key) is not transaction:
            return []
        return self._run(transaction, _TRANSPORT_ERROR, reason, now)

    def answered_over(self, flow: Outlet, most: int) -> list[ServerTransaction]:
        """The newest, up to ``most``, that were answered over a flow and not acknowledged. Not for each message."""
        answered = (each for each in reversed(self._servers.values()) if each.response is not None)
        open_ = (each for each in answered if each.state != "Confirmed" and each.flow.key == flow.key)
        return [*open_][:most]

    # -- from the transaction user: client side --------------------------------------------------------

    def request(
        self, request: Request, flow: Outlet, user: Any, now: float
    ) -> tuple[ClientTransaction, list[Effect]]:
        """Send a request through a new client transaction, known by the branch of its topmost Via.

        Responses and failures are for ``user``; None means that nobody waits for them. The limit does not
        apply: what we send follows from what we took.

        Raises:
            LocalError: for an ACK, which has no transaction, and when the branch is in use.
        """
        if request.method == "ACK":
            raise LocalError("an ACK is sent without a client transaction (RFC 3261 section 17.1)")
        key = request_key(request)
        if key in self._clients:
            raise LocalError(f"the branch and method {key} are in use")
        made = InviteClient if request.method == "INVITE" else RequestClient
        transaction = self._clients[key] = made(key, request, flow, self.timers, user)
        transaction.host, transaction.port = request.via.host, request.via.port
        if flow.reliable:
            self._by_flow.setdefault(flow.key, set()).add(transaction)
        self.counts.sent += 1
        event = _INVITE_FROM_TU if made is InviteClient else _REQUEST_FROM_TU
        return transaction, self._run(transaction, event, None, now)

    def cancel(self, transaction: ClientTransaction, now: float, reason: str | None = None) -> list[Effect]:
        """Cancel an INVITE: at once after a provisional response, else as soon as one comes (RFC 3261 section 9.1).

        ``reason`` is the value of a Reason header field (RFC 3326). Nothing happens for other methods, after a final
        response, or the second time.
        """
        waiting = transaction.state in {_CALLING, _PROCEEDING}
        if transaction.method != "INVITE" or transaction.cancelled or not waiting:
            return []
        transaction.cancelled = True
        transaction.cancel = cancel_for(transaction.request)
        if reason is not None:
            transaction.cancel.headers.add("Reason", reason)
        return self._send_cancel(transaction, now)

    def _send_cancel(self, transaction: ClientTransaction, now: float) -> list[Effect]:
        """Send the CANCEL that waits, if its time has come; forget it, if that has passed."""
        cancel = transaction.cancel
        if cancel is None or transaction.state == _CALLING:
            return []
        transaction.cancel = None
        if transaction.state != _PROCEEDING:
            return []
        _, effects = self.request(cancel, transaction.flow, None, now)
        return effects + self._run(transaction, _CANCELLED, None, now)

    # -- from the transport and the clock --------------------------------------------------------------

    def failed(self, flow: Outlet, reason: str, now: float) -> list[Effect]:
        """A connection is gone: its client transactions fail as with a 503 (RFC 3261 section 17.1.4).

        Server transactions stay; their responses go to another connection (section 18.2.2), which is the
        driver's to find. Datagram flows do not fail: what is sent over them times out.
        """
        effects: list[Effect] = []
        for transaction in self._by_flow.pop(flow.key, ()):
            effects += self._run(transaction, _TRANSPORT_ERROR, reason, now)
        return effects

    def arm(self, owner: Waiter, timer: Timer, delay: float, now: float) -> None:
        """Start a timer of a transaction user; a running one of that name starts anew.

        Raises:
            LocalError: when the delay is not above zero.
        """
        if delay <= 0:
            raise LocalError(f"a delay of {delay} s")
        self.disarm(owner, timer)
        self._armed[owner, timer] = self._deadlines.arm(owner, timer, delay, now)

    def disarm(self, owner: Waiter, timer: Timer) -> None:
        """Stop a timer of a transaction user; nothing happens when it does not run."""
        deadline = self._armed.pop((owner, timer), None)
        if deadline is not None:
            self._deadlines.stop(deadline)

    def expire(self, now: float) -> list[Effect]:
        """Let everything happen that is due."""
        effects: list[Effect] = []
        for deadline in self._deadlines.due(now):
            owner, timer = self._deadlines.fire(deadline)
            if isinstance(owner, Transaction):
                if timer in RETRANSMITTING:
                    self.counts.retransmitted += 1
                done = self._run(owner, timer, None, now)
                if len(done) == 1 and type(done[0]) is Ended:
                    owner.release()  # it only lingered: there is nothing to perform
                else:
                    effects += done
            elif owner is not None:
                del self._armed[owner, timer]
                effects.append(Due(owner, timer))
        return effects

    def next_deadline(self) -> float | None:
        """When ``expire`` has to be called next, or None."""
        return self._deadlines.next()

    @property
    def earliest(self) -> float:
        """Not later than ``next_deadline``, and quicker to ask for."""
        return self._deadlines.earliest

    # -- look up ---------------------------------------------------------------------------------------

    def find(self, key: str) -> Transaction | None:
        """The transaction with this key (see ``keys``)."""
        return self._servers.get(key) or self._clients.get(key)

    def find_invite(self, cancel: Request) -> InviteServer | None:
        """The INVITE that a CANCEL is for (RFC 3261 section 9.2), or None: then the answer is 481.

        A CANCEL cannot be authenticated. The role should see that it came by the flow of the INVITE, where
        that is a connection.
        """
        found = self._servers.get(server_key(cancel, "INVITE"))
        return found if isinstance(found, InviteServer) else None

    def unanswered(self) -> list[ServerTransaction]:
        """The requests that have no final response yet."""
        return [each for each in self._servers.values() if not each.answered]

    def merged(self, transaction: ServerTransaction) -> ServerTransaction | None:
        """The ongoing transaction that brought the same request another way, or None (RFC 3261 section 8.2.2.2).

        For user agents, which answer the later ones with 482. What was asked about is remembered.

        Raises:
            PeerError: 400 when From or To is malformed.
        """
        key = merge_key(transaction.request)
        if key is None:
            return None
        first = self._merged.setdefault(key, transaction)
        if first is transaction:
            transaction.merge_key = key
            return None
        return first

    # -- the machine room ------------------------------------------------------------------------------

    def _run(self, transaction: Transaction, event: str, given: object, now: float) -> list[Effect]:
        """Let an event happen; keep what is for the engine itself and pass on the rest, in order."""
        effects: list[Effect] = []
        for effect in step(transaction, event, given):
            kind = type(effect)
            if kind is Send or kind is Deliver:
                effects.append(effect)
            elif isinstance(effect, Arm):
                if not self._arm(transaction, effect, now):
                    effects += self._run(transaction, effect.timer, None, now)
            elif kind is Disarm:
                self._disarm(transaction)
            else:
                effects.append(effect)
                if kind is Ended:
                    self._end(transaction)
                else:
                    self.counts.failed += 1
        return effects

    def _arm(self, transaction: Transaction, arm: Arm, now: float) -> bool:
        """Start a timer; False when its time is zero, as for reliable transports, and it has to fire at once."""
        if arm.again:
            if transaction.retry is not None:
                self._deadlines.stop(transaction.retry)
            transaction.retry = self._deadlines.arm(transaction, arm.timer, arm.delay, now)
            return True
        if transaction.expiry is not None or transaction.retry is not None:
            self._disarm(transaction)
        if arm.delay:
            transaction.expiry = self._deadlines.arm(transaction, arm.timer, arm.delay, now)
        return bool(arm.delay)

    def _disarm(self, transaction: Transaction) -> None:
        if transaction.retry is not None:
            self._deadlines.stop(transaction.retry)
            transaction.retry = None
        if transaction.expiry is not None:
            self._deadlines.stop(transaction.expiry)
            transaction.expiry = None

    def _end(self, transaction: Transaction) -> None:
        self._disarm(transaction)
        if isinstance(transaction, ServerTransaction):
            del self._servers[transaction.key]
            if transaction.merge_key is not None:
                del self._merged[transaction.merge_key]
            return
        del self._clients[transaction.key]
        if transaction.flow.reliable:
            on_flow = self._by_flow.get(transaction.flow.key)
            if on_flow is not None:
                on_flow.discard(transaction)
                if not on_flow:
                    del self._by_flow[transaction.flow.key]
