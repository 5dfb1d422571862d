"""Whoever guesses passwords or tokens waits: a second after a few, twice as long after each more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

FREE_TRIES = 5
"""Wrong ones in a row of one name or address before it has to wait."""

LONGEST_WAIT = 300.0
MAX_TRIED = 10_000
"""Names and addresses whose failures are remembered."""


class WaitFirst(Exception):
    """Too many were wrong. ``seconds`` is how long to wait."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many were wrong; wait {seconds:.0f} s")
        self.seconds = seconds


@dataclass(slots=True)
class _Failures:
    count: int = 0
    until: float = 0.0


@dataclass(slots=True)
class Guesses:
    """The failures of each key: a name, or an address. ``clock`` gives seconds that never go back."""

    clock: Callable[[], float]
    _failures: dict[str, _Failures] = field(default_factory=dict)

    def allow(self, *keys: str) -> None:
        """Raises WaitFirst while one of the keys has to wait."""
        wait = max(self._failures.get(key, _Failures()).until for key in keys) - self.clock()
        if wait > 0:
            raise WaitFirst(wait)

    def failed(self, *keys: str) -> None:
        """A wrong one."""
        for key in keys:
            if key not in self._failures and len(self._failures) >= MAX_TRIED:
                del self._failures[next(iter(self._failures))]
            failures = self._failures.setdefault(key, _Failures())
            failures.count += 1
            if failures.count >= FREE_TRIES:
                failures.until = self.clock() + min(2.0 ** (failures.count - FREE_TRIES), LONGEST_WAIT)

    def succeeded(self, *keys: str) -> None:
        """A right one."""
        for key in keys:
            self._failures.pop(key, None)
