"""The ledger in a SQL database: batched durable commits, a chain for this writer, checkpoints, the witness.

The loop's side collects events and hands them to a `store.writer.Writer`: what waits together is one transaction.
Links are made on the writer's thread, inside the transaction, behind the newest event that the database has. If that
is not the one this process wrote last, somebody has changed the ledger under us, and nothing more is written.

Events that nobody waits for are kept until they are durable: while the disk is full, calls can't start, but those
that end are still accounted when it has room again. What a crash leaves open is closed by the next `open`.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Connection

from ringfence.ledger.chain import (
    Checkpoint,
    Seal,
    extend,
    key_name,
    leaf,
    public_octets,
    sign,
)
from ringfence.ledger.events import Event, Kind, body_of
from ringfence.ledger.port import Ledger
from ringfence.ledger.recovery import Found, begins_before, prunable, recover
from ringfence.ledger.witness import read_witness, witness
from ringfence.store import sql_ledger as rows
from ringfence.store.connect import LOCK_SECONDS, engine_for
from ringfence.store.errors import StoreError
from ringfence.store.migrate import require_head
from ringfence.store.writer import Writer

log = structlog.get_logger("ringfence.ledger")

START_SECONDS = 0.02
"""How long after a transaction with the start of a call the next one begins at the earliest: on a quiet node a start
is written at once; with a hundred calls a second two or three share one (``bench/ledger.py``)."""

BUSY_SECONDS = 0.04
"""The same after a transaction with ``BUSY_STARTS`` or more, unless ``ENOUGH`` are there sooner."""

BUSY_STARTS = 2

ENOUGH = 8
"""Starts that make a transaction worth its price, some 0.4 ms of CPU: then the ledger takes under a tenth of a call.
The busier a node is the shorter its calls wait: 40 ms at most at 200 calls a second, 13 ms at 600."""

GATHER_SECONDS = 0.25
"""How long an event that nobody waits for may wait for company. A crash within it costs the end of a call, which
the next start closes."""

RETRY_SECONDS = 1.0
"""How soon events are written again after the storage failed."""


@dataclass(frozen=True, slots=True)
class Sealing:
    """How the ledger is signed."""

    key: Ed25519PrivateKey
    witness: Path
    events: int = 256
    """A checkpoint after so many events,"""
    seconds: float = 2.0
    """or so long after the first one that none covers."""


class _Batch(NamedTuple):
    events: Sequence[Event]
    seal: bool = False


class _Head(NamedTuple):
    """Where the chain ends: its newest event, and what the next checkpoint has to cover."""

    number: int
    hash: bytes
    first: int
    leaves: bytes


class SqlLedger:
    """See `port.Ledger`. Made by `SqlLedger.open`; belongs to the event loop it was opened in."""

    def __init__(self, engine_url: str, writer: str, sealing: Sealing, clock: Callable[[], float]) -> None:
        self.writer = writer
        self.recovered = 0
        """Calls that a crash had left open, and that `open` has closed."""
        self._sealing = sealing
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._queue: list[Event] = []
        self._timer: asyncio.TimerHandle | None = None
        self._seal_timer: asyncio.TimerHandle | None = None
        self._store: Writer[_Batch, Checkpoint | None] = Writer(
            engine_for(engine_url, lock_seconds=LOCK_SECONDS),
            self._write,
            gather_seconds=START_SECONDS,
            busy_seconds=BUSY_SECONDS,
            busy_items=BUSY_STARTS,
            enough=ENOUGH,
            name="ledger-writer",
        )
        # The writer thread's.
        self._head = _Head(0, bytes(32), 1, b"")
        self._pending: tuple[_Head, Sequence[tuple[int, Event]]] | None = None
        self._open: dict[str, int] = {}  # call -> number of its start, oldest first
        self._key_name = key_name(sealing.key.public_key())

    @classmethod
    async def open(
        cls, url: str, writer: str, sealing: Sealing, clock: Callable[[], float] = time.time
    ) -> SqlLedger:
        """Open the chain of a writer in a database that `migrate.upgrade` has prepared.

        Calls that a crash left open are closed.

        Raises:
            StoreError: It can't be opened; or its end is not what was written, as the witness shows.
        """
        ledger = cls(url, writer, sealing, clock)
        try:
            await ledger._store.run(require_head, read_only=True)
            await ledger._begin()
        except BaseException:
            await ledger._store.close()
            raise
        return ledger

    @property
    def waiting(self) -> int:
        """How many events are not durable yet, and have nobody who waits for them."""
        return len(self._queue)

    def append(self, event: Event) -> Awaitable[None]:
        """See `port.Ledger.append`. What was noted before is written with it."""
        queued = self._take()
        try:
            future = self._store.put(_Batch((*queued, event)), self._sealed)
        except StoreError:
            self._give_back(queued)
            raise
        self._seal_later()
        return self._durable(future, queued)

    def note(self, event: Event) -> None:
        """See `port.Ledger.note`."""
        self._queue.append(event)
        if self._timer is None:
            self._timer = self._loop.call_later(GATHER_SECONDS, self._flush)

    async def close(self) -> None:
        """Write what is waiting, sign it, and let go of the database. Calls that go on are closed by the caller."""
        for timer in (self._timer, self._seal_timer):
            if timer is not None:
                timer.cancel()
        events = [*self._take(), Event(Kind.CLOSE, self._clock())]
        try:
            await self._store.put(_Batch(events, seal=True), self._sealed)
        except StoreError as error:
            log.error("the end of the ledger was not written", reason=str(error), events=len(events))
        await self._store.close()

    async def hand_over(self, successor: Ed25519PublicKey) -> None:
        """Say that another key signs from the next `open` on, and close. The announcement is the last event that
        this key signs: whoever has its public half can believe the next one."""
        public = b64encode(public_octets(successor)).decode()
        now = self._clock()
        facts = {"public": public, "name": key_name(successor)}
        for timer in (self._timer, self._seal_timer):
            if timer is not None:
                timer.cancel()
        events = [*self._take(), Event(Kind.CLOSE, now), Event(Kind.KEY, now, "", facts)]
        try:
            await self._store.put(_Batch(events, seal=True), self._sealed)
        finally:
            await self._store.close()

    async def prune(self, before: float, needed: int | None = None, most: int | None = None) -> int:
        """Remove the events older than ``before``, by whole checkpoints and never of a call that goes on.

        ``needed``: the first event that somebody still has to read. ``most``: about how many go at a time. The ledger
        itself says so, and keeps the checkpoint that the rest begins with. Gives how many went.
        """
        upto = await self._store.run(
            lambda connection: prunable(connection, self.writer, before, needed, most)
        )
        if not upto:
            return 0
        await self._store.put(
            _Batch([*self._take(), Event(Kind.PRUNED, self._clock(), "", {"upto": upto})], seal=True),
            self._sealed,
        )
        return await self._store.run(lambda connection: rows.delete_before(connection, self.writer, upto))

    async def oldest_before(self, moment: float) -> bool:
        """Whether the oldest event is older than that."""
        return await self._store.run(lambda connection: begins_before(connection, self.writer, moment))

    # -- the loop's side -------------------------------------------------------------------------------

    async def _durable(self, future: asyncio.Future[Checkpoint | None], queued: Sequence[Event]) -> None:
        try:
            await future
        except StoreError:
            self._give_back(queued)
            raise

    def _take(self) -> Sequence[Event]:
        queued, self._queue = self._queue, []
        return queued

    def _give_back(self, queued: Sequence[Event]) -> None:
        """Events that were not written go before those that came since."""
        self._queue[:0] = queued
        if self._queue and self._timer is None:
            self._timer = self._loop.call_later(RETRY_SECONDS, self._flush)

    def _flush(self, *, seal: bool = False) -> None:
        self._timer = None
        queued = self._take()
        if not queued and not seal:
            return
        try:
            future = self._store.put(_Batch(queued, seal), self._sealed, gathered=True)
        except StoreError as error:
            self._failed(queued, error)
            return
        future.add_done_callback(lambda done: self._written(done, queued))
        if queued:
            self._seal_later()

    def _written(self, done: asyncio.Future[Checkpoint | None], queued: Sequence[Event]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            self._failed(queued, error)

    def _failed(self, queued: Sequence[Event], error: BaseException) -> None:
        log.error("the ledger can't be written", reason=str(error), waiting=len(queued) + len(self._queue))
        self._give_back(queued)

    def _seal_later(self) -> None:
        if self._seal_timer is None:
            self._seal_timer = self._loop.call_later(self._sealing.seconds, self._seal)

    def _seal(self) -> None:
        self._seal_timer = None
        self._flush(seal=True)

    def _sealed(self, checkpoint: Checkpoint | None) -> None:
        if checkpoint is not None:
            future = self._store.run(lambda _: witness(self._sealing.witness, [checkpoint]), read_only=True)
            future.add_done_callback(_log_witness)

    # -- the writer's thread ---------------------------------------------------------------------------

    def _write(self, connection: Connection, batches: Sequence[_Batch]) -> list[Checkpoint | None]:
        self._confirm(connection)
        head = self._head
        events = [event for batch in batches for event in batch.events]
        bodies = [body_of(event) for event in events]
        links = extend(self.writer, head.number, head.hash, bodies)
        if links:
            rows.add_events(connection, links)
            head = _Head(
                links[-1].number, links[-1].hash, head.first, head.leaves + b"".join(map(leaf, bodies))
            )
        checkpoint = None
        covered = head.number + 1 - head.first
        if covered >= self._sealing.events or (covered and any(batch.seal for batch in batches)):
            checkpoint = self._checkpoint(head)
            rows.add_checkpoint(connection, checkpoint)
            head = _Head(head.number, head.hash, head.number + 1, b"")
        numbered = [(link.number, event) for link, event in zip(links, events, strict=True)]
        self._pending = (head, numbered)
        return [checkpoint] + [None] * (len(batches) - 1)

    def _confirm(self, connection: Connection) -> None:
        """See whether the last transaction was committed; an error does not always mean that it was not."""
        last = rows.last_event(connection, self.writer) or (0, bytes(32))
        if self._pending is not None:
            (head, events), self._pending = self._pending, None
            if last == (head.number, head.hash) and (events or self._has_checkpoint(connection, head)):
                self._head = head
                self._follow(events)
        if last != (self._head.number, self._head.hash):
            raise StoreError(
                f"the ledger of {self.writer} was changed by somebody else: it ends with event {last[0]}, "
                f"and {self._head.number} was written last; see: ringfence ledger verify"
            )

    def _has_checkpoint(self, connection: Connection, head: _Head) -> bool:
        last = rows.last_checkpoint(connection, self.writer)
        return last is not None and last[1] == head.first - 1

    def _follow(self, events: Iterable[tuple[int, Event]]) -> None:
        for number, event in events:
            if event.kind is Kind.START:
                self._open[event.call] = number
            elif event.kind is Kind.STOP:
                self._open.pop(event.call, None)

    def _checkpoint(self, head: _Head) -> Checkpoint:
        # Calls that start in this transaction are behind `self._head`.
        low = next(iter(self._open.values()), self._head.number + 1)
        seal = Seal(
            self.writer,
            head.first,
            head.number,
            head.hash,
            min(low, head.number + 1),
            self._clock(),
            self._key_name,
            head.leaves,
        )
        return sign(seal, self._sealing.key)

    # -- opening ---------------------------------------------------------------------------------------

    async def _begin(self) -> None:
        witnessed = await asyncio.to_thread(read_witness, self._sealing.witness)
        found = await self._store.run(
            lambda connection: recover(connection, self.writer, witnessed.get(self.writer, [])),
            read_only=True,
        )
        self._hold(found)
        await asyncio.to_thread(witness, self._sealing.witness, found.unwitnessed)
        events = self._opening(found)
        await self._store.put(_Batch(events, seal=True), self._sealed)

    def _hold(self, found: Found) -> None:
        self._head = _Head(found.number, found.hash, found.first, b"".join(map(leaf, found.uncovered)))

    def _opening(self, found: Found) -> list[Event]:
        """The stop of each call that was open, and who writes from here on."""
        now = self._clock()
        public = self._sealing.key.public_key()
        events = [
            Event(Kind.STOP, max(found.alive, began), call, {"reason": "the node crashed"})
            for call, began in found.open_calls.items()
        ]
        self.recovered = len(events)
        if found.key and found.key != self._key_name:
            raise StoreError(
                f"the ledger is signed with the key {found.key}, and this is {self._key_name}; "
                "change keys with: ringfence ledger rotate"
            )
        return [*events, Event(Kind.OPEN, now, "", {"key": b64encode(public_octets(public)).decode()})]


def _log_witness(done: asyncio.Future[None]) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        log.error("the witness of the ledger can't be written", reason=str(error))


_PROVED: type[Ledger] = SqlLedger  # by the type checker
