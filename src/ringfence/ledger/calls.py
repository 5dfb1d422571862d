"""The calls that go on: who pays for each, what ends it, and when it has to end.

A call is known by its Call-ID and the tag of its caller; each 2xx adds a dialog with the tag of who answered. It is
over when its last dialog is, or when its INVITE was refused. What a peer may choose (Call-ID, tags) never makes two
calls one: the same Call-ID again is another call with a key of its own.

Pure: `now` is an argument, in seconds since the epoch. Bounded by ``limit``, since a call costs memory until it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

from ringfence.ledger.credit import CreditSession, Grant
from ringfence.ledger.rates import Rate
from ringfence.transport.flow import Flow

SETUP_SECONDS = 3600.0
"""After this a call that was neither answered nor refused is given up. Its INVITE is gone for long: timer C, forks
and redirections of an INVITE take minutes."""


@dataclass(slots=True, eq=False)
class Side:
    """One party of a dialog, as far as needed to know its requests, and to send it a BYE."""

    address: str
    """What From or To say of it, with its tag."""
    contact: str
    """Its URI in Contact, the target of requests to it (RFC 3261 section 12.1)."""
    routes: tuple[str, ...]
    """Routes on the way from us to it."""
    flow: Flow
    call_id: str
    """The one by which it knows the call: topology hiding may have given it another."""
    cseq: int = 0
    """The highest CSeq in its requests."""


@dataclass(slots=True, eq=False)
class Dialog:
    """Two parties who talk."""

    caller: Side
    callee: Side


@dataclass(slots=True, eq=False)
class LiveCall:
    """A call that goes on."""

    key: str
    account: str
    """Who pays; empty for a call from outside."""
    call_id: str
    tag: str
    """The caller's."""
    started: float
    caller_hosts: set[str]
    """Addresses that the caller's requests come from."""
    callee_hosts: set[str] = field(default_factory=set)
    """Addresses that its INVITE went to."""
    callee_flow: Flow | None = None
    """The one of them that it was sent to last."""
    max_seconds: float = 0.0
    max_calls: int = 1 << 31
    """How many its account may make at a time; no limit for a call whose account has not proved itself anew."""
    answered: float = 0.0
    deadline: float = 0.0
    """When it is ended by us."""
    expires: float = float("inf")
    """When its session expires unless it is refreshed (RFC 4028)."""
    dialogs: dict[str, Dialog] = field(default_factory=dict)
    """By the tag of who answered."""
    rate: Rate | None = None
    """What it costs; None: nothing, or nobody has said."""
    prepaid: bool = False
    """It needs credit."""
    credit: CreditSession | None = None
    """Until it is over, when it needs credit."""
    granted: Grant | None = None
    """The newest portion."""
    paid_until: float = float("inf")
    """When its credit ends."""
    credit_due: float = float("inf")
    """When more has to be asked for; at the end of the last portion, that end."""
    wanted: bool = False
    """Whoever grants has asked to be asked, and the call is not answered yet."""
    aborted: bool = False
    """Whoever grants has ended it."""
    asking: bool = False
    """More has been asked for, and nobody has answered yet."""
    over: bool = False
    end: Callable[[str, str], None] | None = None
    """How it is ended where its two sides have no dialog in common, given the tag of who answered, and why."""


class Calls:
    """All calls of one worker. ``limit``: how many there may be."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_id: dict[str, list[LiveCall]] = {}
        self._of_account: dict[str, int] = {}
        self._deadlines: list[tuple[float, int, LiveCall]] = []
        self._order = count()
        self._total = 0

    def __len__(self) -> int:
        return self._total

    def __iter__(self) -> Iterator[LiveCall]:
        return (call for calls in tuple(self._by_id.values()) for call in tuple(calls))

    @property
    def full(self) -> bool:
        """Whether there is no room for another one."""
        return self._total >= self._limit

    def of_account(self, account: str) -> int:
        """How many calls an account has made that go on."""
        return self._of_account.get(account, 0)

    def add(self, call: LiveCall) -> None:
        """A call begins."""
        self._by_id.setdefault(call.call_id, []).append(call)
        self._total += 1
        if call.account:
            self._of_account[call.account] = self._of_account.get(call.account, 0) + 1
        self.due(call, call.started + SETUP_SECONDS)

    def remove(self, call: LiveCall) -> None:
        """A call is over."""
        call.over = True
        self._total -= 1
        same = self._by_id[call.call_id]
        same.remove(call)
        if not same:
            del self._by_id[call.call_id]
        if call.account:
            left = self._of_account[call.account] - 1
            if left:
                self._of_account[call.account] = left
            else:
                del self._of_account[call.account]

    def find(
        self, call_id: str, sender: str | None, receiver: str | None
    ) -> tuple[LiveCall, Dialog, bool] | None:
        """The call and the dialog that a request with these tags belongs to, and whether the caller sent it."""
        for call in self._by_id.get(call_id, ()):
            if call.tag == sender and receiver in call.dialogs:
                return call, call.dialogs[receiver], True
            if call.tag == receiver and sender in call.dialogs:
                return call, call.dialogs[sender], False
        return None

    def due(self, call: LiveCall, deadline: float) -> None:
        """The call has to be looked at by then."""
        call.deadline = deadline
        heappush(self._deadlines, (deadline, next(self._order), call))

    def expired(self, now: float) -> list[LiveCall]:
        """The calls whose time has come; each is given once."""
        found = []
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, _, call = heappop(self._deadlines)
            if not call.over and call.deadline == deadline:
                found.append(call)
        return found
