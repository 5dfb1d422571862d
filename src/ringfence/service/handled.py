"""The requests that were decided on, counted. Apart from ``metrics``, so that what every request passes is compiled."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from ringfence.store.records import DEFAULT_METHODS

LATENCY_BOUNDS: Final = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    5.0,
)
"""Seconds. From a request answered from memory to one that waited for DNS and a time-out."""


class Handled:
    """How many requests there were by (method, outcome), and how long they took: a bisection and two additions each."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, ...], float] = {}
        self.counts = [0] * (len(LATENCY_BOUNDS) + 1)
        self.total = 0.0

    def finished(self, method: str, outcome: str, seconds: float) -> None:
        """Count a request and how long it took to decide on; called by the roles for each."""
        key = (method_label(method), outcome)
        self.requests[key] = self.requests.get(key, 0) + 1
        self.counts[bisect_left(LATENCY_BOUNDS, seconds)] += 1
        self.total += seconds


def method_label(method: str) -> str:
    """The method if it is one of SIP's, else "other"."""
    return method if method in DEFAULT_METHODS else "other"
