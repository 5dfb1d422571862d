"""Responses whose flow is gone: where else they can go (RFC 3261 section 18.2.2, RFC 3263 section 5).

First to where the request came from, at the port that its Via names; then to where DNS leads for the host that the Via
names. What has no place to go is given up, and its transaction is told. A connection that is being made keeps what is
sent on it, so a response is kept here only until its connection is there, or has failed.

The second step sends to a place that whoever asked has named. Only a response of a transaction takes it, one connection
or datagram for each, never a challenge or another answer that was given without a transaction: nobody can have us write
to a third party more than it has sent itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from ringfence.engine.machine import ServerTransaction
from ringfence.engine.places import Destination, is_numeric
from ringfence.engine.transactions import Transactions
from ringfence.message import Response
from ringfence.message.fields import Via
from ringfence.transport.flow import Endpoint, Flow

MAX_LOST = 10_000
"""Responses that wait for another connection at a time, of some two kilobytes each. Over it they are given up."""

MIN_LOOK = 1.0
"""Seconds between two looks through all transactions for those whose datagrams were refused: who lets many be refused
must not keep us busy."""

MAX_REFUSED = 32
"""Responses that go another way after one such look, the newest: what was refused is what was sent just now. Whoever
asks a thousand things and closes the port must not have us find a thousand other ways, again each second."""

Work = Coroutine[Any, Any, None]

Locate = Callable[[Via], Awaitable[list[Destination]]]
"""Where to send a response by the sent-by of its Via (``Resolver.locate_response``)."""

FlowTo = Callable[[str, Endpoint, str | None], Flow]


@dataclass(slots=True)
class Lost:
    """One response on its way to another place."""

    response: Response
    transaction: ServerTransaction | None
    tried: list[tuple[str, Endpoint]] = field(default_factory=list)
    places: list[Destination] | None = None
    """What DNS has given and was not tried yet; None before it was asked."""


class Answers:
    """The responses of one driver that wait for a flow.

    ``locate`` None leaves out the second step. ``give_up`` is told of a response that nobody can be given.
    """

    def __init__(
        self,
        transactions: Transactions,
        flow_to: FlowTo,
        locate: Locate | None,
        give_up: Callable[[ServerTransaction, str], None],
    ) -> None:
        self._transactions = transactions
        self._looked_at = float("-inf")
        self._flow_to = flow_to
        self._locate = locate
        self._give_up = give_up
        self._waiting: dict[str, list[Lost]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def elsewhere(self, response: Response, flow: Flow, transaction: ServerTransaction | None) -> Flow:
        """The flow that takes the place of one that is closed: to the source of the request, the port of its Via."""
        via = response.via
        host = via.host.strip("[]")
        remote = Endpoint(via.received or host, via.port or default_port(via.transport))
        made = self._flow_to(flow.transport, remote, None if is_numeric(host) else host)
        self._keep(made, Lost(response, transaction, [(flow.transport, remote)]))
        return made

    def opened(self, flow: Flow) -> None:
        """The connection is there: what was sent on it is on its way."""
        self._size -= len(self._waiting.pop(flow.key, ()))

    def failed(self, flow: Flow, reason: str, now: float) -> list[Work]:
        """The connection could not be made, or a datagram was refused: what was to go by it goes on, in work that asks
        the DNS."""
        lost = self._waiting.pop(flow.key, [])
        self._size -= len(lost)
        if not flow.reliable and self._locate is not None and now >= self._looked_at + MIN_LOOK:
            self._looked_at = now
            lost += map(_refused, self._transactions.answered_over(flow, MAX_REFUSED))
        return [self._go_on(each, reason) for each in lost if self._may_go_on(each, reason)]

    def _may_go_on(self, lost: Lost, reason: str) -> bool:
        if lost.transaction is None:
            return False
        if self._locate is None:
            self._give_up(lost.transaction, reason)
            return False
        return True

    async def _go_on(self, lost: Lost, reason: str) -> None:
        """RFC 3263 section 5: the places of the sent-by, one after another."""
        assert lost.transaction is not None  # see _may_go_on
        if lost.places is None:
            lost.places = await self._locate(lost.response.via) if self._locate is not None else []
        while lost.places:
            place = lost.places.pop(0)
            if (place.transport, place.endpoint) in lost.tried:
                continue
            lost.tried.append((place.transport, place.endpoint))
            flow = self._flow_to(place.transport, place.endpoint, place.server_name)
            if not flow.closed:
                self._keep(flow, lost)
                flow.send(lost.response.to_bytes())
                return
        self._give_up(lost.transaction, reason)

    def _keep(self, flow: Flow, lost: Lost) -> None:
        if flow.reliable and self._size < MAX_LOST:
            self._waiting.setdefault(flow.key, []).append(lost)
            self._size += 1


def _refused(transaction: ServerTransaction) -> Lost:
    """The response of a transaction whose datagram nobody takes."""
    assert transaction.response is not None  # only such are looked for
    flow: Flow = transaction.flow  # type: ignore[assignment]  # every Outlet here is a Flow
    return Lost(transaction.response, transaction, [(flow.transport, flow.remote)])


def default_port(transport: str) -> int:
    """The port of a Via that names none (RFC 3261 section 18.2.1)."""
    return 5061 if transport in {"TLS", "WSS"} else 5060
