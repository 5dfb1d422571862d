"""How long the ledger is kept: old events go by themselves, and none that somebody has not been told of yet."""

from __future__ import annotations

import time

import structlog

from ringfence.ledger.book import SqlLedger
from ringfence.service.config import Config
from ringfence.service.ledger import make_radius
from ringfence.service.webhooks import make_webhooks

log = structlog.get_logger("ringfence.ledger")

DAY = 86_400.0

RETAIN_SECONDS = 60.0
"""How often it is looked for what is old enough."""

LEAST_SECONDS = 3600.0
"""So much older than it has to be is the oldest event when some are removed: each removal is an event itself, which
need not come every minute."""

PORTION = 20_000
"""Events that are removed at a time. Calls that want to begin wait as long, some 50 ms."""


def needed_from(config: Config) -> int | None:
    """The first event that somebody who follows the ledger has not been told of; None: nobody follows it.

    Raises:
        LocalError, OSError: How far they are can't be read.
    """
    radius = make_radius(config, bytes(32))
    places = [radius.needs] if radius is not None else []
    places += [each.needs for each in make_webhooks(config) if each.needs is not None]
    return min(places, default=None)


class Retention:
    """Removes what is older than ``days``, from the chain of this writer."""

    def __init__(self, config: Config, ledger: SqlLedger, days: float) -> None:
        self._config = config
        self._ledger = ledger
        self._seconds = days * DAY
        self._kept_back = False

    async def tick(self) -> None:
        """Remove a portion, once the oldest event is older than it has to be by `LEAST_SECONDS`.

        Raises:
            StoreError: It can't be removed. It is tried again with the next tick.
        """
        before = time.time() - self._seconds
        if not await self._ledger.oldest_before(before - LEAST_SECONDS):
            return
        needed = needed_from(self._config)
        removed = await self._ledger.prune(before, needed, PORTION)
        if removed:
            log.info("old events were removed from the ledger", events=removed)
        elif needed is not None and not self._kept_back:
            log.warning("old events stay: who follows the ledger has not been told of them", number=needed)
        self._kept_back = not removed
