"""The calls of all workers of a node, or of several nodes, as each of them knows them: so that limits are those of all.

A worker (one process of one node) tells the others at once when a call of an account begins and is over, whom it calls
and what it has cost (``tell``), and now and then everything, so that what was lost on the way is made good. So each has
all counts, and none is asked. Two workers may let a call of one account begin in the same moment; when both starts are
durable, the one that is one too many goes: the older call stays, on which all agree. What is told goes from worker to
worker of a node (`transport.mesh`), and from node to node (`store.exchange`), where it takes longer: both calls may
have gone on by then. So accounts of which a worker hears that they have too many are looked at again (``tick``).

Pure: ``now`` is an argument, in seconds since the epoch. What is told is JSON: a list with a word and its values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ringfence.ledger.fraud import Alert, FraudWatch

SNAPSHOT_SECONDS = 20.0
"""How often a worker tells everything. What was lost, because a queue was full, is wrong for no longer."""

NO_LIMIT = 1 << 31

SILENT_SECONDS = 3 * SNAPSHOT_SECONDS
"""A worker that has told nothing for so long is gone, and its calls with it."""

AT_ONCE = 500
"""Calls in one message of a snapshot."""

Told = list[Any]

Member = int | str
"""A worker of this node by its number, or one of another node by a name."""


class Together:
    """What the workers of a node have in common. ``worker`` is this one."""

    def __init__(self, worker: Member, tell: Callable[[Told], None], watch: FraudWatch | None = None) -> None:
        self._worker = worker
        self._tells = [tell]
        self._watch = watch
        self._calls: dict[Member, dict[str, tuple[str, float]]] = {worker: {}}
        self._of_account: dict[str, dict[str, float]] = {}
        self._limits: dict[str, int] = {}
        self._crowded: set[str] = set()
        self._running: dict[Member, dict[str, int]] = {}
        self._heard: dict[Member, float] = {}
        self._snapshot = 0.0

    def also(self, tell: Callable[[Told], None]) -> None:
        """Tell everything this way too."""
        self._tells.append(tell)

    def _tell(self, told: Told) -> None:
        for tell in self._tells:
            tell(told)

    # -- what this worker does -------------------------------------------------------------------------

    def began(self, key: str, account: str, started: float, limit: int = NO_LIMIT) -> None:
        """A call of ours begins. ``limit``: how many its account may have."""
        if limit != NO_LIMIT:
            self._limits[account] = limit
        self._add(self._worker, key, account, started)
        self._tell(["call", key, account, started])

    def over(self, key: str) -> None:
        """A call of ours is over."""
        if self._remove(self._worker, key):
            self._tell(["over", key])

    def called(self, account: str, destination: str, now: float, alert: Alert | None) -> None:
        """An account has called a destination, here. ``alert``: what came of it."""
        self._tell(["called", account, destination, now, alert.rule if alert is not None else ""])

    def ended(self, account: str, cost: int, now: float) -> None:
        """A call of ours has cost so much."""
        self._tell(["ended", account, cost, now])

    def alerted(self, alert: Alert, now: float) -> None:
        """We have told of an alert: the others need not."""
        self._tell(["alerted", alert.account, alert.rule, now])

    def released(self, account: str, now: float) -> None:
        """An account that was blocked may call again."""
        self._tell(["released", account, now])

    def running(self, totals: dict[str, int]) -> None:
        """What our calls that go on have cost so far, by account."""
        self._tell(["running", totals])

    def tick(self, now: float) -> set[str]:
        """To be called every second or so. Gives accounts of which we have heard that they have too many calls."""
        for worker in [each for each, heard in self._heard.items() if heard <= now - SILENT_SECONDS]:
            self._forget(worker)
            del self._heard[worker]
        if now - self._snapshot >= SNAPSHOT_SECONDS:
            self._snapshot = now
            own = [[key, *value] for key, value in self._calls[self._worker].items()]
            for place in range(0, max(len(own), 1), AT_ONCE):
                self._tell(["calls", place == 0, own[place : place + AT_ONCE]])
            if self._watch is not None:
                for account, rule, when in self._watch.alerts():
                    self._tell(["alerted", account, rule, when])
        crowded, self._crowded = self._crowded, set()
        return crowded

    def leave(self) -> None:
        """This worker ends, and its calls with it."""
        self._tell(["calls", True, []])
        self._tell(["running", {}])

    # -- what all do -----------------------------------------------------------------------------------

    def of_account(self, account: str) -> int:
        """How many calls an account has made that go on, at any worker."""
        return len(self._of_account.get(account, ()))

    def is_beyond(self, key: str, account: str, limit: int) -> bool:
        """Whether a call of ours is one too many, now that those of the other workers are known too."""
        calls = self._of_account.get(account, {})
        if len(calls) <= limit or key not in calls:
            return False
        own = calls[key], key
        return sum((started, other) < own for other, started in calls.items()) >= limit

    def look_again(self, account: str) -> None:
        """Have ``tick`` give this account next time too."""
        self._crowded.add(account)

    def running_elsewhere(self, account: str) -> int:
        """What calls of an account that go on at other workers have cost so far."""
        return sum(totals.get(account, 0) for totals in self._running.values())

    # -- what the others tell --------------------------------------------------------------------------

    def heard(self, worker: Member, told: Told, now: float) -> Alert | None:
        """Another worker has told something; gives an alert that nobody has told of."""
        if worker not in self._heard:
            self._snapshot = 0.0  # it is new here: it needs to know everything soon
        self._heard[worker] = now
        match told:
            case ["call", str(key), str(account), float(started)]:
                self._add(worker, key, account, started)
            case ["over", str(key)]:
                self._remove(worker, key)
            case ["calls", bool(first), list(calls)]:
                self._take_all(worker, first, calls)
            case ["running", dict(totals)]:
                self._running[worker] = totals
            case [_, str(account), *values] if self._watch is not None:
                return self._count(self._watch, str(told[0]), account, values, now)
        return None

    def _count(
        self, watch: FraudWatch, what: str, account: str, values: list[Any], now: float
    ) -> Alert | None:
        match what, values:
            case "called", [str(destination), float(when), str(rule)]:
                if rule:
                    watch.was_told(account, rule, when)
                return watch.called(account, destination, when)
            case "ended", [int(cost), float(when)]:
                watch.ended(account, cost, when)
            case "alerted", [str(rule), float(when)]:
                watch.was_told(account, rule, when)
            case "released", [float(when)]:
                watch.release(account, when)
        return None

    def _take_all(self, worker: Member, first: bool, calls: Iterable[Any]) -> None:
        if first:
            for key in tuple(self._calls.get(worker, ())):
                self._remove(worker, key)
        for key, account, started in calls:
            self._add(worker, key, account, started)

    # -- the table -------------------------------------------------------------------------------------

    def _add(self, worker: Member, key: str, account: str, started: float) -> None:
        self._calls.setdefault(worker, {})[key] = account, started
        calls = self._of_account.setdefault(account, {})
        calls[key] = started
        if worker != self._worker and len(calls) > self._limits.get(account, NO_LIMIT):
            self._crowded.add(account)

    def _remove(self, worker: Member, key: str) -> bool:
        found = self._calls.get(worker, {}).pop(key, None)
        if found is None:
            return False
        calls = self._of_account[found[0]]
        calls.pop(key, None)
        if not calls:
            del self._of_account[found[0]]
            self._limits.pop(found[0], None)
        return True

    def _forget(self, worker: Member) -> None:
        self._take_all(worker, True, ())
        self._running.pop(worker, None)
