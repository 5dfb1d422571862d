"""What a node has in common with the other nodes of its domain: bans, rates, calls and what they cost.

Bans are in the database of each node and in Redis, and are compared every second, and at once when another node says
that it has changed something: what either side has changed holds on both (`store.redis_bans.merged`). So a node that
starts without Redis has its bans, and a Redis that has lost its memory gets them back. All else is told
(`store.exchange`), and nothing in a node waits for it. Part of `wiring`.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog

from ringfence.guard.sharing import SHARE_SECONDS, SharedRates
from ringfence.ledger.together import Together
from ringfence.service.metrics import Metrics
from ringfence.service.supervisor import RUN_VARIABLE
from ringfence.store.errors import StoreError
from ringfence.store.ports import Store
from ringfence.store.records import Ban

if TYPE_CHECKING:
    from ringfence.service.config import Config
    from ringfence.service.wiring import Parts
    from ringfence.store.exchange import Exchange
    from ringfence.store.redis_bans import RedisBans

log = structlog.get_logger("ringfence.shared")

BANS: Final = "bans"
RATE: Final = "rate"
Repeat = Callable[[float, Callable[[], Awaitable[None]]], None]


class SharedBans:
    """Keeps the bans of a store and those in Redis the same. ``changed`` is called when it has changed either."""

    def __init__(self, store: Store, there: RedisBans, changed: Callable[[bool], None]) -> None:
        self._store = store
        self._there = there
        self._changed = changed
        self._both: dict[str, Ban] = {}
        self._here_version = self._there_version = -1
        self._turn = asyncio.Lock()

    async def sync(self) -> None:
        """Compare, and change what has to be. Raises StoreError; what was not done is done the next time."""
        async with self._turn:
            version = await self._there.version()
            if (self._store.bans.version, version) == (self._here_version, self._there_version):
                return
            await self._store.refresh()  # another process of this node may have done it already
            await self._merge(version)

    async def _merge(self, version: int) -> None:
        from ringfence.store.redis_bans import merged

        here_version = self._store.bans.version
        here = {ban.network: ban for ban in self._store.bans.all()}
        there = await self._there.all()
        if version < self._there_version:
            self._both = {}  # that server has lost its memory: what is here holds
        both = merged(self._both, here, there)
        stored = [ban for network, ban in both.items() if there.get(network) != ban]
        removed = there.keys() - both.keys()
        if stored or removed:
            version = await self._there.change(stored, removed)
            self._changed(True)
        for network in here.keys() - both.keys():
            await self._store.bans.remove(network)
        for network, ban in both.items():
            if here.get(network) != ban:
                await self._store.bans.put(ban)
        self._both, self._there_version = both, version
        if self._store.bans.version == here_version:
            self._here_version = (
                here_version  # else we have changed it: the next look will find nothing to do
            )
        else:
            self._changed(False)


class SharedState:
    """All of it, for one process of a node."""

    def __init__(self, parts: Parts) -> None:
        """Raises ValueError: the address can't be used; ModuleNotFoundError: the package is missing."""
        from ringfence.store.exchange import Exchange
        from ringfence.store.redis_bans import RedisBans

        section, config = parts.config.shared, parts.config
        self._parts = parts
        run = os.environ.get(RUN_VARIABLE) or secrets.token_hex(8)
        name = str(config.worker or 0)
        channel = f"ringfence:{config.domain.name}"
        self._role = config.node.roles[0]
        self.exchange: Exchange = Exchange(section.redis, channel, run, name, self._heard)
        self._syncing: set[asyncio.Task[None]] = set()
        self._bans: SharedBans | None = None
        self._there: RedisBans | None = None
        if section.bans:
            self._there = RedisBans(section.redis, config.domain.name, cluster=section.cluster)
            self._bans = SharedBans(parts.store, self._there, self._bans_changed)
            parts.protection.on_change = self._sync_soon
        self._rates = make_rates(parts) if section.rates else None
        self._together = self._join(f"{run}.{name}") if section.calls else None

    def _join(self, name: str) -> Together | None:
        charging = self._parts.services.charging
        if charging is None:
            return None
        tell = partial(self._tell, "calls")
        if charging.together is not None:
            charging.together.also(tell)
        else:
            watch = charging.spending.watch if charging.spending is not None else None
            charging.join(Together(name, tell, watch))
        return charging.together

    def _tell(self, what: str, value: Any) -> None:
        self.exchange.tell([self._role, what, value])

    def _heard(self, sender: str, told: list[Any]) -> None:
        """What another node says; what is of another role is not ours, but for bans."""
        role, what, value = told
        if what == BANS:
            self._sync_soon()
        elif role != self._role:
            return
        elif what == RATE and self._rates is not None:
            self._rates.heard(str(value[0]), value[1], self._parts.driver.time())
        elif what == "calls" and self._together is not None:
            self._heard_call(self._together, sender, value)

    def _heard_call(self, together: Together, sender: str, told: list[Any]) -> None:
        services = self._parts.services
        now = services.clock()
        alert = together.heard(sender, told, now)
        spending = services.charging.spending if services.charging is not None else None
        if alert is not None and spending is not None:
            spending.alert(services, alert, now)

    # -- bans ------------------------------------------------------------------------------------------

    def _sync_soon(self) -> None:
        if self._bans is not None and len(self._syncing) < 2:  # one that runs, and one for what came since
            task = asyncio.get_running_loop().create_task(self._sync())
            self._syncing.add(task)
            task.add_done_callback(self._syncing.discard)

    async def _sync(self) -> None:
        try:
            if self._bans is not None:
                await self._bans.sync()
        except StoreError as error:  # that the server is gone is said once, by the exchange
            log.debug("bans were not compared", reason=str(error))

    def _bans_changed(self, there: bool) -> None:
        if there:
            self._tell(BANS, None)
        else:
            self._parts.protection.look_soon()

    # -- its life --------------------------------------------------------------------------------------

    async def _exchange_rates(self) -> None:
        if self._rates is not None:
            for name, counts in self._rates.collect():
                self._tell(RATE, [name, counts])

    def open(self, repeat: Repeat) -> None:
        """Begin."""
        self.exchange.open()
        repeat(SHARE_SECONDS, self._exchange_rates)
        repeat(SHARE_SECONDS, self._sync)

    async def close(self) -> None:
        """Say that our calls are over, and end."""
        if self._together is not None:
            self._together.leave()
        await self.exchange.close()
        for task in self._syncing:
            task.cancel()
        await asyncio.gather(*self._syncing, return_exceptions=True)
        if self._there is not None:
            await self._there.close()

    def show(self, metrics: Metrics) -> None:
        """Add what Prometheus reads of it."""
        exchange = self.exchange
        text = "Whether the node counts together with others (1), or alone since Redis is gone (0)"
        metrics.gauge("ringfence_shared_up", text, (), lambda: {(): float(exchange.up)})
        text = "What was told to other nodes, heard of them, lost since Redis was gone, or not understood"
        metrics.counter(
            "ringfence_shared_messages",
            text,
            ("what",),
            lambda: {(k,): v for k, v in exchange.counts.items()},
        )


def make_rates(parts: Parts) -> SharedRates | None:
    """What is counted together; None where nobody counts."""
    guard, guesses = parts.protection.guard, parts.services.guesses
    limiters = guard.limiters() if guard is not None else {}
    if guesses is not None:
        limiters |= guesses.limiters()
    return SharedRates(limiters) if limiters else None


def make_shared(config: Config, parts: Parts) -> SharedState | None:
    """None for a node that counts alone. Raises StoreError: Redis can't be used."""
    if not config.shared.redis:
        return None
    try:
        return SharedState(parts)
    except ModuleNotFoundError as error:
        raise StoreError("[shared] redis needs a package; run: pip install 'ringfence[redis]'") from error
    except ValueError as error:
        raise StoreError(f"the address in [shared] redis can't be used: {error}") from None
