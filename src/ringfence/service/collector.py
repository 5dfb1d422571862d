"""The garbage collector of Python, kept away from calls.

The engine breaks its own reference cycles, so there is next to nothing to collect, but looking for it walks every
object that is alive: with 70,000 transactions that pauses the node for a tenth of a second. So the collector
is off. Once a second what is alive is set aside (``gc.freeze``, which walks nothing), and when the node is quiet
everything is looked through, since that is fast then.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

QUIET = 2_000
"""Transactions below which a full collection pauses the node for a few milliseconds."""

EVERY = 60.0
"""Seconds between full collections on a quiet node."""

AT_LEAST_EVERY = 1_800.0
"""Seconds after which there is one in any case: what other libraries leave behind must not pile up for days."""


class Collector:
    """Call ``tick`` once a second; ``busy`` tells how many transactions there are."""

    def __init__(self, busy: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._busy = busy
        self._clock = clock
        self._last = clock()

    def start(self) -> None:
        """Collect what starting up has left, and take over from Python."""
        gc.collect()
        gc.freeze()
        gc.disable()

    async def tick(self) -> None:
        """Set aside or collect, whichever suits the load."""
        elapsed = self._clock() - self._last
        if elapsed > AT_LEAST_EVERY or (elapsed > EVERY and self._busy() < QUIET):
            gc.unfreeze()
            gc.collect()
            self._last = self._clock()
        gc.freeze()
