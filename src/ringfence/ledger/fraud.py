"""Who spends or dials more within an hour than anybody should: a stolen password is noticed before the bill is.

Two counts for each account: what its calls have cost within the hour, those that go on included, and how many different
destinations it has called. They are in memory and begin anew with the process; the workers of a node tell each other of
theirs (`ledger.together`). What comes of an alert is said by ``action``: nothing but the alert; the account's calls are
refused for a while; or those that go on are ended too.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

HOUR = 3600.0

MAX_ENDED = 10_000
"""Calls of one account within the hour that are counted one by one; before that the limits have long spoken."""


class Action(StrEnum):
    """What an alert does."""

    ALERT = "alert"
    REFUSE = "refuse"
    END = "end"


@dataclass(frozen=True, slots=True)
class FraudRules:
    """Limits for one account within an hour; None: none."""

    cost: int | None = None
    """In millionths of the currency."""
    destinations: int | None = None
    action: Action = Action.REFUSE
    block_seconds: float = HOUR


@dataclass(frozen=True, slots=True)
class Alert:
    """An account is over a limit. ``value`` and ``limit`` are of the same unit."""

    account: str
    rule: str
    """``cost-per-hour`` or ``destinations-per-hour``."""
    value: int
    limit: int


@dataclass(slots=True)
class _Hour:
    """What one account has done."""

    spent: deque[tuple[float, int]] = field(default_factory=deque)
    total: int = 0
    called: dict[str, float] = field(default_factory=dict)
    """Destinations, with the time of the newest call."""
    blocked_until: float = 0.0
    alerted: dict[str, float] = field(default_factory=dict)


class FraudWatch:
    """The hours of all accounts that have called. ``now`` is in seconds since the epoch."""

    def __init__(self, rules: FraudRules) -> None:
        self.rules = rules
        self._hours: dict[str, _Hour] = {}
        self._released: dict[str, float] = {}

    def blocked(self, account: str, now: float) -> bool:
        """Whether the calls of an account are refused since an alert."""
        hour = self._hours.get(account)
        return hour is not None and hour.blocked_until > now

    def release(self, account: str, now: float) -> bool:
        """Let an account call again, and count it anew. Gives whether it was blocked."""
        self._released[account] = now
        hour = self._hours.pop(account, None)
        return hour is not None and hour.blocked_until > 0

    def called(self, account: str, destination: str, now: float) -> Alert | None:
        """An account wants to call a destination."""
        limit = self.rules.destinations
        if limit is None:
            return None
        called = self._hour(account, now).called
        called.pop(destination, None)
        called[destination] = now
        while len(called) > limit + 1 or next(iter(called.values())) <= now - HOUR:
            del called[next(iter(called))]
        return self._alert(account, "destinations-per-hour", len(called), limit, now)

    def spends(self, account: str, now: float, going_on: int = 0) -> Alert | None:
        """What calls have cost within the hour, with what those cost so far that go on."""
        limit = self.rules.cost
        if limit is None:
            return None
        return self._alert(account, "cost-per-hour", self._hour(account, now).total + going_on, limit, now)

    def ended(self, account: str, cost: int, now: float) -> None:
        """A call is over and has cost so much."""
        if self.rules.cost is not None and cost:
            hour = self._hour(account, now)
            if len(hour.spent) >= MAX_ENDED:
                hour.total -= hour.spent.popleft()[1]
            hour.spent.append((now, cost))
            hour.total += cost

    def was_told(self, account: str, rule: str, now: float) -> None:
        """Another worker has told of an alert, which holds here too: unless the account was let go since."""
        if now <= self._released.get(account, 0.0):
            return
        hour = self._hour(account, now)
        hour.alerted[rule] = now
        if self.rules.action is not Action.ALERT:
            hour.blocked_until = now + self.rules.block_seconds

    def alerts(self) -> list[tuple[str, str, float]]:
        """Accounts, the rules that they have broken, and when."""
        return [
            (account, rule, when)
            for account, hour in self._hours.items()
            for rule, when in hour.alerted.items()
        ]

    def tidy(self, now: float) -> None:
        """Forget accounts that have done nothing for an hour."""
        lasts = max(HOUR, self.rules.block_seconds)
        self._released = {each: when for each, when in self._released.items() if when > now - lasts}
        for account in tuple(self._hours):
            hour = self._hour(account, now)
            newest = max((*hour.called.values(), *hour.alerted.values()), default=0.0)
            if not hour.spent and newest <= now - lasts:
                del self._hours[account]

    def _hour(self, account: str, now: float) -> _Hour:
        hour = self._hours.setdefault(account, _Hour())
        while hour.spent and hour.spent[0][0] <= now - HOUR:
            hour.total -= hour.spent.popleft()[1]
        return hour

    def _alert(self, account: str, rule: str, value: int, limit: int, now: float) -> Alert | None:
        """Block, and tell once in a while, not for each call."""
        if value <= limit:
            return None
        hour = self._hours[account]
        if self.rules.action is not Action.ALERT:
            hour.blocked_until = now + self.rules.block_seconds
        if hour.alerted.get(rule, 0.0) > now - self.rules.block_seconds:
            return None
        hour.alerted[rule] = now
        return Alert(account, rule, value, limit)
