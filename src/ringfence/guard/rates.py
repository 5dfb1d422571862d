"""How often something may happen: token buckets that take one number each, in bounded memory.

A bucket is kept as the time when it will be full again (the generic cell rate algorithm): it is empty when that time
is ``burst`` intervals ahead, and one that is full is the same as one that was never there. So a table can forget, and
it has to: whoever may choose the keys, such as source addresses, must not be able to make it grow. It has two halves.
When the young half is full it becomes the old one, and what was old is forgotten.

Time is an argument, in seconds of a clock that never jumps.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K")

MAX_KEYS = 65_536
"""Buckets of one limiter: some 8 MB of the longest addresses. Whoever has more keys than that has a fresh bucket
for each in any case."""

MAX_OWED = 30.0
"""Seconds that a bucket may have to wait since others have taken from theirs: thirty nodes that each give out all that
comes back in the second before they hear of each other."""


class Rate(NamedTuple):
    """``per_second`` in the long run, ``burst`` at once."""

    per_second: float
    burst: float

    @property
    def interval(self) -> float:
        """Seconds that one takes to come back."""
        return 1.0 / self.per_second

    @property
    def slack(self) -> float:
        """Seconds that a bucket may be from full and still give one."""
        return (self.burst - 1.0) / self.per_second


class Limiter(Generic[K]):
    """A bucket for each key."""

    __slots__ = ("_half", "_interval", "_old", "_slack", "_young", "taken")

    def __init__(self, rate: Rate, keys: int = MAX_KEYS) -> None:
        self._interval = rate.interval
        self._slack = rate.slack
        self._half = max(1, keys // 2)
        self._young: dict[K, float] = {}
        self._old: dict[K, float] = {}
        self.taken: dict[K, int] | None = None
        """What was taken from each bucket since somebody has looked; None: nobody looks (see ``sharing``)."""

    @property
    def per_second(self) -> float:
        """How many come back a second."""
        return 1.0 / self._interval

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def take(self, key: K, now: float) -> bool:
        """Take one from the bucket of the key; False when it is empty."""
        full_at = self._young.get(key)
        if full_at is None:
            full_at = self._look(key)
        if full_at - now > self._slack:
            return False
        self._young[key] = (full_at if full_at > now else now) + self._interval
        if self.taken is not None:
            self.taken[key] = self.taken.get(key, 0) + 1
        return True

    def spend(self, key: K, number: int, now: float) -> None:
        """So many were taken elsewhere, at several places within one second perhaps: so the bucket may owe some.

        It owes a burst and `MAX_OWED` seconds at most.
        """
        full_at = self._young.get(key)
        if full_at is None:
            full_at = self._look(key)
        full_at = max(full_at, now) + number * self._interval
        self._young[key] = min(full_at, now + 2.0 * self._slack + MAX_OWED)

    def wait(self, key: K, now: float) -> float:
        """Seconds until the bucket gives one again; 0 when it does now."""
        full_at = self._young.get(key) or self._old.get(key) or now
        return max(0.0, full_at - now - self._slack)

    def _look(self, key: K) -> float:
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        full_at = self._young[key] = self._old.pop(key, 0.0)
        return full_at
