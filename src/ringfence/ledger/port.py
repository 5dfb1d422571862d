"""What roles ask of the ledger."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from ringfence.ledger.events import Event


class Ledger(Protocol):
    """Takes events in the order in which they happen."""

    def append(self, event: Event) -> Awaitable[None] | None:
        """Write an event and give what to wait for until it is durable; None: it is already.

        Raises, at once or when awaited:
            StoreError: It could not be made durable. It may be found in the ledger all the same.
        """

    def note(self, event: Event) -> None:
        """Write an event soon. It is written again until that works; only a crash can lose it."""
