"""Group commit: one thread owns the one connection, and writes what is waiting in one transaction.

`put` takes an item and gives a future, which is done when the item is durable. While one transaction is on
its way to the disk, more items wait, and the next transaction takes them all; a thousand REGISTERs a second
cost a few hundred transactions. An item that comes when nothing was written lately is written at once.

The loop's thread and the writer's share nothing but the queue and `call_soon_threadsafe`. Outcomes come back
in the order of the transactions, and go to the job's `applied` before its future is done, on the loop's
thread: memory follows the database even when whoever was waiting has been cancelled.

An item that the database refuses (bad data) fails alone: the batch is rolled back and its items are written
one by one. A failure of the storage (full, locked, gone) fails the batch at once. Nothing waits for ever.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError, SQLAlchemyError

from ringfence.store.connect import READ_ONLY, store_error
from ringfence.store.errors import StoreBusy, StoreError

Item = TypeVar("Item")
Result = TypeVar("Result")
T = TypeVar("T")

GATHER_SECONDS = 0.004
"""How long after a transaction the next one begins at the earliest. Nobody at a phone
notices 4 ms, and at 1000 items a second it saves two of three transactions."""

BATCH_LIMIT = 500
"""Items in a transaction. It bounds how long one holds the write lock, some 20 ms."""

QUEUE_LIMIT = 10_000
"""Items that may wait: some seconds of work on a slow disk. More would be answered too late to be of use to
the peer, so more is refused."""

STORAGE_FAILURES = (OperationalError, InterfaceError, InternalError, OSError)
"""What says that the storage fails, and not that an item is bad."""


class _Put(NamedTuple):
    item: Any
    applied: Callable[[Any], None] | None
    future: asyncio.Future[Any]
    gathered: bool


class _Call(NamedTuple):
    function: Callable[[Connection], Any]
    applied: Callable[[Any], None] | None
    future: asyncio.Future[Any]
    read_only: bool


class _Outcome(NamedTuple):
    job: _Put | _Call
    value: Any
    error: Exception | None


class Writer(Generic[Item, Result]):
    """The thread that owns a database's connection.

    `write` puts items into the database, inside a transaction, and gives a result for each. A writer belongs
    to the event loop that is running when it is made. ``gather_seconds`` is how long after a transaction the next one
    begins at the earliest; ``busy_seconds`` after one with ``busy_items`` that did not wait for company before, or
    sooner, when ``enough`` of them are there by then at the pace that they come at.
    """

    def __init__(
        self,
        engine: Engine,
        write: Callable[[Connection, Sequence[Item]], Sequence[Result]],
        *,
        queue_limit: int = QUEUE_LIMIT,
        gather_seconds: float = GATHER_SECONDS,
        busy_seconds: float | None = None,
        busy_items: int = 0,
        enough: int | None = None,
        name: str = "store-writer",
    ) -> None:
        self._engine = engine
        self._write = write
        self._queue_limit = queue_limit
        self._gather_seconds = self._pause = gather_seconds
        self._busy_seconds = gather_seconds if busy_seconds is None else busy_seconds
        self._busy_items = busy_items
        self._enough = enough
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Put | _Call | None] = SimpleQueue()
        self._waiting = 0
        self._closed = False
        self._connection: Connection | None = None
        self._last_commit = 0.0
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many writes have not been answered yet."""
        return self._waiting

    def put(
        self, item: Item, applied: Callable[[Result], None] | None = None, *, gathered: bool = False
    ) -> asyncio.Future[Result]:
        """Write an item in the next transaction. The future gives its result, or raises `StoreError`.

        ``gathered``: it has waited for company already. It is written at once, and what comes next does not wait for
        the sake of it.

        Raises:
            StoreBusy: The queue is full.
            StoreError: The writer is closed.
        """
        future: asyncio.Future[Result] = self._loop.create_future()
        self._enqueue(_Put(item, applied, future, gathered))
        return future

    def run(
        self,
        function: Callable[[Connection], T],
        applied: Callable[[T], None] | None = None,
        *,
        read_only: bool = False,
    ) -> asyncio.Future[T]:
        """Call a function in a transaction of its own, in order with everything else. Raises as `put` does.

        What the function raises reaches the future, and rolls back.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self._enqueue(_Call(function, applied, future, read_only))
        return future

    async def close(self) -> None:
        """Finish what is waiting and end the thread. Nothing is taken any more."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _enqueue(self, job: _Put | _Call) -> None:
        if self._closed:
            raise StoreError("the store is closed")
        if self._waiting >= self._queue_limit:
            raise StoreBusy(f"{self._waiting} writes are waiting already")
        self._waiting += 1
        self._queue.put(job)

    # The writer's thread.

    def _work(self) -> None:
        job = self._queue.get()
        while job is not None:
            if isinstance(job, _Call):
                self._tell([self._perform(job)])
                job = self._queue.get()
            else:
                batch, job = self._gather(job)
                self._tell(self._commit(batch))
                job = job or self._queue.get()
        self._disconnect()
        self._engine.dispose()

    def _gather(self, first: _Put) -> tuple[list[_Put], _Call | None]:
        left = self._last_commit + self._pause - time.monotonic()
        if left > 0 and not first.gathered:
            time.sleep(left)
        batch = [first]
        while len(batch) < BATCH_LIMIT:
            try:
                job = self._queue.get_nowait()
            except Empty:
                break
            if job is None:
                self._queue.put(None)  # nothing comes behind it
                break
            if isinstance(job, _Call):
                return batch, job
            batch.append(job)
        return batch, None

    def _commit(self, batch: list[_Put]) -> list[_Outcome]:
        items = [put.item for put in batch]
        try:
            results = self._transact(lambda connection: self._write(connection, items))
            if fresh := sum(not put.gathered for put in batch):
                now = time.monotonic()
                self._pause = self._pause_after(fresh, now - self._last_commit)
                self._last_commit = now
        except Exception as error:
            if len(batch) == 1 or isinstance(error, STORAGE_FAILURES):
                return [_Outcome(put, None, store_error("write", error)) for put in batch]
            return [outcome for put in batch for outcome in self._commit([put])]
        return [_Outcome(put, result, None) for put, result in zip(batch, results, strict=True)]

    def _pause_after(self, fresh: int, seconds: float) -> float:
        """How long the next transaction waits for company, after so many items in so many seconds."""
        if fresh < self._busy_items:
            return self._gather_seconds
        if self._enough is None:
            return self._busy_seconds
        return max(self._gather_seconds, min(self._busy_seconds, self._enough * seconds / fresh))

    def _perform(self, call: _Call) -> _Outcome:
        try:
            return _Outcome(call, self._transact(call.function, read_only=call.read_only), None)
        except (SQLAlchemyError, *STORAGE_FAILURES) as error:
            return _Outcome(call, None, store_error("read" if call.read_only else "write", error))
        except Exception as error:
            return _Outcome(call, None, error)

    def _transact(self, function: Callable[[Connection], T], *, read_only: bool = False) -> T:
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            connection = self._connection
            connection.info[READ_ONLY] = read_only
            with connection.begin():
                value = function(connection)
        except STORAGE_FAILURES:
            # The next transaction gets a connection without a past: this one may be lost.
            self._disconnect()
            raise
        return value

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.close()

    def _tell(self, outcomes: list[_Outcome]) -> None:
        # The loop may be closed: nobody is left to be told, and what was committed stays so.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._deliver, outcomes)

    # The loop's thread again.

    def _deliver(self, outcomes: list[_Outcome]) -> None:
        self._waiting -= len(outcomes)
        for job, value, error in outcomes:
            if error is None and job.applied is not None:
                job.applied(value)
        for job, value, error in outcomes:
            if job.future.done():
                continue  # whoever waited has been cancelled
            if error is None:
                job.future.set_result(value)
            else:
                job.future.set_exception(error)
