"""A ledger in memory, for tests and the demo. Nothing outlives the process."""

from __future__ import annotations

from ringfence.ledger.events import Event
from ringfence.ledger.port import Ledger


class MemoryLedger:
    """See `port.Ledger`. ``events`` has all of them in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def append(self, event: Event) -> None:
        """See `port.Ledger.append`."""
        self.events.append(event)

    def note(self, event: Event) -> None:
        """See `port.Ledger.note`."""
        self.events.append(event)


_PROVED: type[Ledger] = MemoryLedger  # by the type checker
