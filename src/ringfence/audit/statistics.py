"""Are two series of times different? Enough of statistics to tell a leak from noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

SURE = 3.5
"""Standard deviations. By chance alone one audit in four thousand would show so much."""

FELT = 0.15
"""The share by which the medians have to differ: less is lost in any network."""

LEAST = 0.0003
"""Seconds that they have to differ by at least, for the same reason."""


def separation(one: Sequence[float], other: Sequence[float]) -> float:
    """By how many standard deviations the ranks of the two differ (Mann and Whitney); positive: the first is larger."""
    ranked = sorted([(value, 0) for value in one] + [(value, 1) for value in other])
    ranks = sum(place for place, (_, which) in enumerate(ranked, 1) if which == 0)
    m, n = len(one), len(other)
    u = ranks - m * (m + 1) / 2
    return (u - m * n / 2) / math.sqrt(m * n * (m + n + 1) / 12)


def differ(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether the two can be told apart by somebody outside."""
    a, b = median(one), median(other)
    apart = abs(a - b)
    return abs(separation(one, other)) > SURE and apart > max(LEAST, FELT * min(a, b))
