"""Whether the ledger is as it was written: checked in the background when somebody asks, and remembered.

Checking a long ledger takes a while and much memory, so there is one check at a time, whoever asks.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from ringfence.ledger.keys import read_public_keys
from ringfence.ledger.reading import reading
from ringfence.ledger.verification import Report
from ringfence.ledger.witness import read_witness
from ringfence.message import LocalError
from ringfence.service.config import Config
from ringfence.service.ledger import public_path
from ringfence.store.errors import StoreError

FRESH_SECONDS = 60.0
"""A program that asks more often gets what was found before."""


@dataclass(slots=True)
class Proof:
    """The last check, and the one that runs."""

    reports: list[Report] = field(default_factory=list)
    when: float = 0.0
    """Seconds since the epoch; 0: never, since the console was started."""
    seconds: float = 0.0
    """How long it took."""
    problem: str = ""
    """Why it could not be done."""
    _task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether one runs."""
        return self._task is not None and not self._task.done()

    @property
    def good(self) -> bool:
        """Whether all was as it was written."""
        return bool(self.when) and not self.problem and all(each.finding is None for each in self.reports)

    def start(self, config: Config) -> None:
        """Begin, unless one runs."""
        if not self.running:
            self._task = asyncio.create_task(self._run(config))

    async def fresh(self, config: Config) -> None:
        """See that there is one that is not old."""
        if self.running or time.time() - self.when > FRESH_SECONDS:
            self.start(config)
            assert self._task is not None
            await asyncio.shield(self._task)  # whoever hangs up ends it for nobody else

    async def _run(self, config: Config) -> None:
        begun = time.time()
        try:
            self.reports, self.problem = await asyncio.to_thread(verified, config), ""
        except (StoreError, LocalError, OSError) as error:
            self.reports, self.problem = [], str(error)
        self.when = time.time()
        self.seconds = self.when - begun


def verified(config: Config) -> list[Report]:
    """What checking every chain has shown. Blocks. Raises StoreError, LocalError."""
    keys = read_public_keys(public_path(config.ledger_key))
    witnessed: dict[str, Any] = read_witness(config.ledger_witness) if config.ledger_witness.exists() else {}
    with reading(config.ledger_url) as reader:
        return list(reader.verify(keys, witnessed))
