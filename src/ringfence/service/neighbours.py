"""What one worker of a node does for the others, and asks of them (``transport.mesh``). Part of `wiring`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

import structlog

from ringfence.ledger.together import Together
from ringfence.message import Request, Response
from ringfence.roles.bound import bind, users_of
from ringfence.roles.call import Authenticated
from ringfence.store.errors import StoreError
from ringfence.store.ports import Bindings, Counts, Decision, Reading
from ringfence.store.records import Account, Binding
from ringfence.transport.flow import Flow
from ringfence.transport.mesh import WORKER_PARAM, Mesh, RemoteFlow, mark, owner_of

if TYPE_CHECKING:
    from ringfence.service.config import Config
    from ringfence.service.wiring import Parts

log = structlog.get_logger("ringfence.workers")


def worker_mark(worker: int | None) -> str:
    """What Record-Route gets, so that requests of a dialog come to the worker that holds it."""
    return "" if worker is None else f";{WORKER_PARAM}={mark(worker)}"


class Neighbours:
    """See ``transport.mesh.Here``."""

    def __init__(self, parts: Parts, refresh: Callable[[], Awaitable[None]]) -> None:
        self._parts = parts
        self._refresh = refresh
        self._reading: asyncio.Task[None] | None = None
        self._again = False

    def find(self, key: str) -> Flow | None:
        """A flow of this worker."""
        return self._parts.pool.find(key)

    def take(self, data: bytes, flow: Flow) -> None:
        """A message that is ours."""
        self._parts.driver.take(data, flow)

    def gone(self, flow: Flow, reason: str) -> None:
        """Its transactions fail, as with a connection of our own."""
        self._parts.driver.closed(flow, reason)

    def news(self) -> None:
        """Read what another worker has written; once for all that was told meanwhile."""
        self._again = True
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._read())

    def told(self, worker: int, what: list[Any]) -> None:
        """What another worker counts, and what has come of it."""
        services = self._parts.services
        charging = services.charging
        if charging is not None and charging.together is not None:
            now = services.clock()
            alert = charging.together.heard(worker, what, now)
            if alert is not None and charging.spending is not None:
                charging.spending.alert(services, alert, now)

    async def _read(self) -> None:
        while self._again:
            self._again = False
            try:
                await self._refresh()
            except StoreError as error:
                log.error("storage", reason=str(error))

    def users_of(self, flow: Flow) -> list[list[str]]:
        """The accounts that a flow is bound to."""
        return [[user.account.aor, user.evidence] for user in users_of(flow)]

    def bind_users(self, flow: RemoteFlow, users: list[list[str]]) -> None:
        """The same accounts, as this worker has them."""
        flow.user = None
        for aor, evidence in users:
            account = self._parts.services.accounts.by_aor(aor)
            if isinstance(account, Account):
                bind(flow, Authenticated(account, evidence))


class FreshBindings:
    """The bindings of a store that other workers write to: one that is missing is looked for once more.

    See ``ports.Bindings``. A phone that has registered with another worker a moment ago can be called by this one.
    """

    def __init__(self, held: Bindings, refresh: Callable[[], Awaitable[None]]) -> None:
        self._held = held
        self._refresh = refresh
        self._reading: asyncio.Future[None] | None = None

    def lookup(self, aor: str, now: float) -> Reading[tuple[Binding, ...]]:
        """See ``ports.Bindings.lookup``."""
        found = self._held.lookup(aor, now)
        return found if found else self._read_again(aor, now)

    async def _read_again(self, aor: str, now: float) -> tuple[Binding, ...]:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.ensure_future(self._refresh())
        await asyncio.shield(self._reading)
        found = self._held.lookup(aor, now)
        return await found if isawaitable(found) else found

    def by_flow(self, flow: str) -> Reading[tuple[Binding, ...]]:
        """See ``ports.Bindings.by_flow``."""
        return self._held.by_flow(flow)

    def by_temporary_gruu(self, index: str, now: float) -> Reading[tuple[Binding, ...]]:
        """See ``ports.Bindings.by_temporary_gruu``."""
        return self._held.by_temporary_gruu(index, now)

    def counts(self) -> Reading[Counts]:
        """See ``ports.Bindings.counts``."""
        return self._held.counts()

    def list(self, now: float, after: str = "", limit: int = 1000) -> Reading[tuple[Binding, ...]]:
        """See ``ports.Bindings.list``."""
        return self._held.list(now, after, limit)

    async def change(self, aor: str, decide: Decision, now: float) -> tuple[Binding, ...]:
        """See ``ports.Bindings.change``."""
        return await self._held.change(aor, decide, now)

    async def purge(self, now: float) -> tuple[Binding, ...]:
        """See ``ports.Bindings.purge``."""
        return await self._held.purge(now)


def make_mesh(config: Config, parts: Parts) -> Mesh | None:
    """The links to the other workers; None for a node that is one process."""
    worker = config.worker
    if worker is None:
        return None
    mesh = Mesh(worker, config.node.workers, config.mesh_dir, Neighbours(parts, parts.store.refresh))
    parts.pool.elsewhere = mesh.find
    parts.store.on_written(mesh.spread_news)
    charging = parts.services.charging
    if charging is not None:
        watch = charging.spending.watch if charging.spending is not None else None
        charging.join(Together(worker, mesh.tell_all, watch))
    return mesh


def hand_over(mesh: Mesh, counts: Counter[str], message: Request | Response, data: bytes, flow: Flow) -> bool:
    """Give a message to the worker that it belongs to; False when it is ours, or that worker is gone."""
    owner = owner_of(message)
    if owner is None or not mesh.knows(owner) or not mesh.hand_over(owner, data, flow):
        return False
    counts["handed to other workers"] += 1
    return True
