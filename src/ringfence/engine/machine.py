"""What a transaction is, and the one function that moves its state.

A machine is a table of rows ``(state, event): (next state, *actions)`` in the order of the RFC's figure,
beside a table of the pairs that change nothing, each with its reason. An action takes the transaction and
what came with the event (a message, or the reason of a transport error) and returns effects; it never sends,
waits or looks at a clock. Nothing but ``step`` assigns ``state``.

Timers are events: ``Event.TIMER_A`` of a machine and ``Timer.A`` are equal strings, so the table takes
either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

from ringfence.engine.effects import Effect, Ended, Failed, Outlet
from ringfence.engine.places import DEFAULT_PORTS
from ringfence.engine.timers import Deadline, Durations, Timers
from ringfence.message import LocalError, Request, Response
from ringfence.message.fields import Via

Pair = tuple[str, str]
Action = Callable[[Any, Any], tuple[Effect, ...]]
Table = Mapping[Pair, tuple[Any, ...]]
Rows = dict[Pair, tuple[str, Action, tuple[Action, ...]]]


class Machine(NamedTuple):
    """A table made ready to run: ``rows`` is ``table`` with the first action apart, since most rows have one."""

    name: str
    states: tuple[str, ...]
    events: tuple[str, ...]
    table: Table
    absorbed: Mapping[Pair, str]
    rows: Rows

    @classmethod
    def of(
        cls,
        name: str,
        states: Iterable[str],
        events: Iterable[str],
        table: Table,
        absorbed: Mapping[Pair, str],
    ) -> Machine:
        """Build a machine from what its file spells out."""
        rows: Rows = {pair: (row[0], row[1], row[2:]) for pair, row in table.items()}
        return cls(name, tuple(states), tuple(events), table, absorbed, rows)


def absorb(*groups: tuple[Iterable[str], Iterable[str], str]) -> dict[Pair, str]:
    """Spell out ``(states, events, reason)`` groups as pairs; no pair may stand in two groups."""
    pairs: dict[Pair, str] = {}
    for states, events, reason in groups:
        for pair in [(state, event) for state in states for event in events]:
            if pair in pairs:
                raise LocalError(f"{pair} is absorbed for two reasons")
            pairs[pair] = reason
    return pairs


class Transaction:
    """What client and server transactions share: values that the actions of the machines read and write."""

    __slots__ = (
        "_request",
        "cancel",
        "cancelled",
        "expiry",
        "flow",
        "host",
        "interval",
        "key",
        "merge_key",
        "method",
        "port",
        "response",
        "retry",
        "state",
        "times",
        "user",
    )

    machine: ClassVar[Machine]
    rows: ClassVar[Rows]
    initial: ClassVar[str]
    events: ClassVar[tuple[str, ...]]
    """By the class of a response, from 1xx to 6xx: received by a client, or given to a server by its user."""

    def __init__(self, key: str, request: Request, flow: Outlet, timers: Timers, user: Any = None) -> None:
        self.key = key
        self.method = request.method
        self.flow = flow
        self.user = user  # the transaction user: a response context, a call; None when nobody waits
        self.response: Response | None = None  # the last one sent or received, while it may be needed
        self.state = self.initial
        self.times: Durations = timers.reliable if flow.reliable else timers.unreliable
        self.interval = timers.t1  # of the next retransmission
        self.retry: Deadline | None = None  # the running timer that sends again
        self.expiry: Deadline | None = None  # the running timer that ends the wait
        self.cancelled = False  # client: whether it was to be cancelled
        self.cancel: Request | None = None  # client: a CANCEL that waits for the first provisional response
        self.host = ""  # client: the sent-by of its Via, which has to come back
        self.port: int | None = None
        self.merge_key: str | None = None  # server: set when it was checked for merging
        self._request: Request | None = request

    @property
    def request(self) -> Request:
        """The request, while it may still be needed: it is let go when the transaction only lingers.

        A server transaction lets it go with the final response, a client transaction with a 2xx. At a thousand calls a
        second, 32,000 of each kind linger (RFC 6026); keeping all messages would take four times the memory, and to
        free them late, out of the cache, costs more time.

        Raises:
            LocalError: when it has been let go. A user that needs it for longer keeps it.
        """
        if self._request is None:
            raise LocalError(f"the request of {self!r} was let go with its final response")
        return self._request

    def drop_request(self) -> None:
        """Let the request go: nothing that can still happen needs it."""
        self._request = None

    def release(self) -> None:
        """Let go of all, so that no reference cycle with the user is left: the driver's part of ``Ended``."""
        self.user = None
        self.response = None
        self._request = None

    def __repr__(self) -> str:
        return f"<{self.machine.name} {self.key} {self.state}>"


class ClientTransaction(Transaction):
    """The sending side (RFC 3261 section 17.1)."""

    __slots__ = ()

    def takes(self, via: Via, flow: Outlet) -> bool:
        """Whether a response with this Via that came by this flow may be for the request; else it is discarded.

        "If the value of the sent-by ... does not correspond to a value that the client transport is configured to
        insert into requests, the response MUST be silently discarded" (RFC 3261 section 18.1.2). A port that is the
        default may have been left out or filled in on the way. A response to what went over a connection comes over a
        connection, that one or a new one (section 18.2.2): a datagram would be somebody who saw our Via further down.
        """
        if self.flow.reliable and not flow.reliable:
            return False
        if via.port == self.port and via.host == self.host:
            return True
        default = DEFAULT_PORTS.get(via.transport)
        return (via.port or default) == (self.port or default) and via.host.lower() == self.host.lower()


class ServerTransaction(Transaction):
    """The receiving side (RFC 3261 section 17.2)."""

    __slots__ = ()

    @property
    def answered(self) -> bool:
        """Whether a final response has been given."""
        return self.state not in {"Trying", "Proceeding"}


def step(transaction: Transaction, event: str, given: object = None) -> tuple[Effect, ...]:
    """Let an event happen: find the row, enter its state, gather the effects of its actions."""
    row = transaction.rows.get((transaction.state, event))
    if row is None:
        return ()  # absorbed: see the machine's ABSORBED for why
    transaction.state, action, more = row
    effects = action(transaction, given)
    for action in more:
        effects += action(transaction, given)
    return effects


# Actions that more than one machine has.


def end(transaction: Transaction, given: object) -> tuple[Effect, ...]:
    """Nothing is left to wait for."""
    return (Ended(transaction, ""),)


def report_timeout(transaction: Transaction, given: object) -> tuple[Effect, ...]:
    """Tell the user, as if a 408 had come (RFC 3261 section 8.1.3.1)."""
    return fail(transaction, 408, "no response in time")


def report_failure(transaction: Transaction, reason: str) -> tuple[Effect, ...]:
    """Tell the user, as if a 503 had come (RFC 3261 section 8.1.3.1)."""
    return fail(transaction, 503, reason)


def fail(transaction: Transaction, status: int, reason: str) -> tuple[Effect, ...]:
    """Tell the user, if there is one, and end."""
    ended = Ended(transaction, reason)
    return (ended,) if transaction.user is None else (Failed(transaction, status, reason), ended)


def report_undelivered(transaction: Transaction, reason: str) -> tuple[Effect, ...]:
    """Tell the user that a response could not be sent, and stay (RFC 6026 section 7.1)."""
    return (Failed(transaction, 503, reason),)
