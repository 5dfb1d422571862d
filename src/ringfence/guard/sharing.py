"""The rates of accounts and destinations, counted by several nodes together.

What passes a node is decided by the node alone, from memory. Once a second each tells the others what was taken from
its buckets, and takes the same from its own. So an account that comes to several nodes has its rate once, give or take
what it sends within a second, and no message waits for it. Only what makes a difference is told: from a sixteenth of a
rate on, which is no phone.

The rates of addresses are not shared. They keep one node from drowning, and each has its own strength; and since
anybody can write any address into a datagram, a flood at one node would take the allowance of an honest address at all.

Pure: ``now`` is the time of the event loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ringfence.guard.rates import Limiter

SHARE_SECONDS = 1.0
"""How often counts are exchanged."""

TOLD_FROM = 1.0 / 16.0
"""The part of a rate, taken at one node, from which it is told. So sixteen nodes let pass twice the rate at most."""

MAX_TOLD = 1_000
"""Keys of one rate that are told at a time, those taken most first: destinations are of a stranger's choice."""

Counts = dict[str, int]


class SharedRates:
    """``limiters`` by a name that all nodes have for them."""

    def __init__(self, limiters: Mapping[str, Limiter[str]]) -> None:
        self._limiters = dict(limiters)
        for limiter in self._limiters.values():
            limiter.taken = {}

    def collect(self) -> list[tuple[str, Counts]]:
        """What has been taken since this was asked last, by the name of the limiter; to be asked every second."""
        found = []
        for name, limiter in self._limiters.items():
            taken, limiter.taken = limiter.taken, {}
            if not taken:
                continue
            least = max(1.0, limiter.per_second * SHARE_SECONDS * TOLD_FROM)
            told = {key: number for key, number in taken.items() if number >= least}
            if len(told) > MAX_TOLD:
                told = dict(sorted(told.items(), key=lambda each: each[1], reverse=True)[:MAX_TOLD])
            if told:
                found.append((name, told))
        return found

    def heard(self, name: str, counts: Mapping[Any, Any], now: float) -> None:
        """What another node has taken. A limiter that there is only there is passed over.

        Raises ValueError or TypeError for what is no count.
        """
        limiter = self._limiters.get(name)
        if limiter is not None:
            for key, number in counts.items():
                limiter.spend(str(key), int(number), now)
