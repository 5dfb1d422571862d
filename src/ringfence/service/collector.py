"""The garbage collector of Python, kept away from calls.

The engine breaks its own reference cycles, so there is next to nothing to collect, but looking for it walks every
object that is alive: with 70,000 transactions that pauses the node for a tenth of a second. So the collector
is off. Once a second what is alive is set aside (``gc.freeze``, which walks nothing), and when the node is quiet and
what is alive is few enough, everything is looked through. How long that takes is told by the time before: a node with
very many registrations, which are as many objects, is looked through once a day.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

from ringfence.service.metrics import Metrics, Values

QUIET = 2_000
"""Transactions below which a collection is thought of at all."""

MAX_PAUSE = 0.02
"""Seconds that a collection may take, as far as can be foreseen. A packet of audio lasts as long."""

EVERY = 60.0
"""Seconds between full collections on a quiet node."""

AT_LEAST_EVERY = 86_400.0
"""Seconds after which there is one in any case: what other libraries leave behind must not pile up for days."""


class Collector:
    """Call ``tick`` once a second; ``busy`` tells how many transactions there are."""

    def __init__(self, busy: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._busy = busy
        self._clock = clock
        self._last = clock()
        self._each = 0.0
        self.last_pause = self.longest_pause = 0.0

    def start(self) -> None:
        """Collect what starting up has left, and take over from Python."""
        self._collect()
        self.longest_pause = 0.0  # nobody calls yet
        gc.freeze()
        gc.disable()

    async def tick(self) -> None:
        """Set aside or collect, whichever suits the load."""
        elapsed = self._clock() - self._last
        if elapsed > AT_LEAST_EVERY or (
            elapsed > EVERY and self._busy() < QUIET and self._foreseen <= MAX_PAUSE
        ):
            gc.unfreeze()
            self._collect()
            self._last = self._clock()
        gc.freeze()

    @property
    def _foreseen(self) -> float:
        """Seconds that a collection would take now."""
        return gc.get_freeze_count() * self._each

    def _collect(self) -> None:
        begun = time.perf_counter()
        gc.collect()
        self.last_pause = time.perf_counter() - begun
        self.longest_pause = max(self.longest_pause, self.last_pause)
        gc.freeze()
        self._each = self.last_pause / max(1, gc.get_freeze_count())

    def show(self, metrics: Metrics) -> None:
        """Have the metrics tell how long the node stood still for it."""
        metrics.gauge(
            "ringfence_collection_seconds", "Pauses of the garbage collector", ("which",), self._pauses
        )

    def _pauses(self) -> Values:
        return {("last",): self.last_pause, ("longest",): self.longest_pause}
