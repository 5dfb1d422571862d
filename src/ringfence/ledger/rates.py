"""What a call costs: the longest prefix of its destination decides. Money is in millionths of the currency, whole
numbers.

The rate of a call is written into its start event, so that its cost is what was agreed when it began, whatever the
table says later, and whoever has the ledger can compute it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from math import ceil
from typing import NamedTuple

MICRO = 1_000_000
"""Millionths in one unit of the currency."""

MAX_MONEY = 10**15
"""The largest amount, a thousand million units: sums of it stay within what databases can hold (64 bits)."""


class Rate(NamedTuple):
    """A price. Seconds are charged in whole ``step`` s, and at least ``minimum`` of them once a call is answered."""

    per_minute: int
    setup: int = 0
    step: int = 1
    minimum: int = 0

    def cost(self, seconds: float) -> int:
        """What an answered call of that length costs, rounded up."""
        charged = max(ceil(round(seconds, 3) / self.step) * self.step, self.minimum)
        return self.setup + -(-self.per_minute * charged // 60)

    def seconds(self, amount: int) -> float:
        """How long a call may be for that amount; 0 where it does not pay for the shortest one."""
        if self.cost(0.001) > amount:
            return 0.0
        if not self.per_minute:
            return float("inf")
        steps = (amount - self.setup) * 60 // self.per_minute // self.step
        return float(max(steps * self.step, self.minimum))

    @property
    def free(self) -> bool:
        """Whether nothing is charged."""
        return not self.per_minute and not self.setup

    def __str__(self) -> str:
        """As it is written into the ledger: per minute, setup, step, minimum."""
        return f"{money(self.per_minute)} {money(self.setup)} {self.step} {self.minimum}"


def read_rate(text: str) -> Rate | None:
    """The rate that the ledger has of a call; None for none."""
    try:
        per_minute, setup, step, minimum = text.split(" ")
        return Rate(read_money(per_minute), read_money(setup), int(step), int(minimum))
    except ValueError:
        return None


def money(amount: int) -> str:
    """An amount as people write it: two decimals, more where it needs them."""
    text = f"{Decimal(amount) / MICRO:.6f}"
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


def read_money(text: str) -> int:
    """An amount that somebody wrote.

    Raises:
        ValueError: it is none, or has more than six decimals.
    """
    try:
        amount = Decimal(text) * MICRO
    except InvalidOperation:
        raise ValueError(f"{text!r} is no amount") from None
    if not amount.is_finite() or amount != int(amount) or abs(amount) > MAX_MONEY:
        raise ValueError(f"{text!r} is no amount with at most six decimals")
    return int(amount)


class Rates:
    """The table of prices."""

    def __init__(self, rates: Iterable[tuple[str, Rate]] = ()) -> None:
        self._rates = dict(rates)
        self._lengths = sorted({len(prefix) for prefix in self._rates}, reverse=True)

    def of(self, destination: str) -> Rate | None:
        """The price of calls to a destination, in canonical text; None where none is named."""
        for length in self._lengths:
            rate = self._rates.get(destination[:length])
            if rate is not None:
                return rate
        return None
