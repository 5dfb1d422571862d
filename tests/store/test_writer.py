from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from ringfence.store import StoreBusy, StoreError
from ringfence.store import writer as module
from ringfence.store.connect import engine_for, sqlite_url
from ringfence.store.writer import Writer

from .raw import sql

Make = Callable[..., Writer[str, int]]


def write(connection: Connection, items: Sequence[str]) -> list[int]:
    """Store each item with the size of its batch. The table refuses an item that is there already."""
    rows = [{"item": item, "batch": len(items)} for item in items]
    connection.execute(text("INSERT INTO items VALUES (:item, :batch)"), rows)
    return [len(item) for item in items]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "items.db"


@pytest.fixture
async def make(file: Path) -> AsyncIterator[Make]:
    engine = engine_for(sqlite_url(file), lock_seconds=0.1)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE items (item TEXT PRIMARY KEY, batch INTEGER)"))
    made: list[Writer[str, int]] = []

    def make(**options: Any) -> Writer[str, int]:
        made.append(Writer(engine, write, **options))
        return made[-1]

    yield make
    for writer in made:
        await writer.close()


def stored(file: Path) -> dict[str, int]:
    return dict(sql(file, "SELECT item, batch FROM items"))


def count(connection: Connection) -> int:
    return int(connection.execute(text("SELECT count(*) FROM items")).scalar_one())


async def test_an_item_is_durable_when_its_future_is_done(make: Make, file: Path) -> None:
    assert await make().put("first") == 5
    assert stored(file) == {"first": 1}


async def test_items_that_wait_together_are_written_together(make: Make, file: Path) -> None:
    writer = make()
    await asyncio.gather(*(writer.put(f"{number:04}") for number in range(1000)))
    batches = stored(file)
    assert len(batches) == 1000
    assert max(batches.values()) <= module.BATCH_LIMIT
    # How many wait when the thread first looks is chance; a transaction per item it is not.
    assert sum(1 / size for size in batches.values()) < 50


async def test_an_item_that_comes_alone_is_written_at_once(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GATHER_SECONDS", 0.2)
    writer = make()
    await writer.put("warm")
    await asyncio.sleep(0.25)
    begun = asyncio.get_running_loop().time()
    await writer.put("alone")
    assert asyncio.get_running_loop().time() - begun < 0.2


async def test_a_bad_item_fails_alone(make: Make, file: Path) -> None:
    writer = make()
    await writer.put("twice")
    gate = threading.Event()
    held = writer.run(lambda _: gate.wait(5))  # so that the four make one batch
    futures = [writer.put(item) for item in ("a", "twice", "\udcff", "b")]
    gate.set()
    results = await asyncio.gather(*futures, return_exceptions=True)
    await held
    assert [results[0], results[3]] == [1, 1]
    assert isinstance(results[1], StoreError)
    assert "UNIQUE" in str(results[1])
    assert isinstance(results[2], StoreError)
    assert "surrogates" in str(results[2])
    assert stored(file).keys() == {"twice", "a", "b"}


async def test_the_queue_is_bounded(make: Make, file: Path) -> None:
    writer = make(queue_limit=3)
    gate = threading.Event()
    held = writer.run(lambda _: gate.wait(5))
    futures = [writer.put("a"), writer.put("b")]
    assert writer.waiting == 3
    with pytest.raises(StoreBusy, match="3 writes are waiting"):
        writer.put("c")
    gate.set()
    await asyncio.gather(held, *futures)
    assert writer.waiting == 0
    await writer.put("c")
    assert stored(file).keys() == {"a", "b", "c"}


async def test_calls_and_items_keep_their_order(make: Make) -> None:
    writer = make()
    counts = []
    for number in range(20):
        writer.put(f"{number}")
        counts.append(writer.run(count, read_only=number % 2 == 0))
    assert await asyncio.gather(*counts) == list(range(1, 21))


async def test_what_a_call_raises_comes_back_and_rolls_back(make: Make, file: Path) -> None:
    def fail(connection: Connection) -> None:
        write(connection, ["lost"])
        raise LookupError("no")

    writer = make()
    with pytest.raises(LookupError, match="no"):
        await writer.run(fail)
    with pytest.raises(StoreError, match="no such table"):
        await writer.run(lambda connection: connection.execute(text("SELECT * FROM absent")))
    await writer.put("kept")
    assert stored(file).keys() == {"kept"}


async def test_memory_follows_even_when_nobody_waits_any_more(make: Make, file: Path) -> None:
    writer = make()
    gate = threading.Event()
    applied: list[int] = []
    held = writer.run(lambda _: gate.wait(5))
    future = writer.put("cancelled", applied.append)
    future.cancel()
    gate.set()
    await held
    assert await writer.put("next", applied.append) == 4
    assert applied == [9, 4]
    assert stored(file).keys() == {"cancelled", "next"}


async def test_a_locked_database_is_an_error_and_not_a_hang(make: Make, file: Path) -> None:
    writer = make()
    await writer.put("before")
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    futures = [writer.put("during"), writer.put("too")]
    for future in futures:
        with pytest.raises(StoreError, match="can't write: database is locked"):
            await asyncio.wait_for(future, 5)
    assert await writer.run(count, read_only=True) == 1
    other.execute("ROLLBACK")
    other.close()
    await writer.put("after")
    assert stored(file).keys() == {"before", "after"}


async def test_a_database_that_is_gone_is_an_error(make: Make, file: Path) -> None:
    writer = make()
    for leftover in file.parent.iterdir():
        leftover.unlink()
    file.mkdir()
    with pytest.raises(StoreError, match="unable to open"):
        await asyncio.wait_for(writer.put("x"), 5)


async def test_close_finishes_what_waits_and_takes_no_more(make: Make, file: Path) -> None:
    writer = make()
    futures = [writer.put(f"{number}") for number in range(100)]
    await writer.close()
    assert await asyncio.gather(*futures) == [1] * 10 + [2] * 90
    assert len(stored(file)) == 100
    with pytest.raises(StoreError, match="closed"):
        writer.put("late")
    await writer.close()


async def test_a_busy_writer_waits_longer_for_company(make: Make, file: Path) -> None:
    """After a transaction with as many items as make it busy, what comes in the longer pause shares the next one."""
    writer = make(gather_seconds=0.0, busy_seconds=0.3, busy_items=3)
    await writer.put("alone")
    await writer.put("alone too")
    go = threading.Event()
    held = writer.run(lambda _: go.wait(5), read_only=True)
    together = [writer.put(f"{number}") for number in range(20)]
    go.set()
    await asyncio.gather(held, *together)
    writes = []
    for number in range(10):
        writes.append(writer.put(f"later {number}"))
        await asyncio.sleep(0.01)
    await asyncio.gather(*writes)
    batches = stored(file)
    assert (batches["alone"], batches["alone too"]) == (1, 1)
    assert {batches[f"later {number}"] for number in range(10)} == {10}


async def test_it_waits_no_longer_than_enough_take_to_come(make: Make) -> None:
    writer = make(gather_seconds=0.0, busy_seconds=5.0, busy_items=3, enough=2)
    await writer.put("alone")
    go = threading.Event()
    held = writer.run(lambda _: go.wait(5), read_only=True)
    together = [writer.put(f"{number}") for number in range(20)]
    go.set()
    await asyncio.gather(held, *together)
    begun = time.monotonic()
    await writer.put("next")  # a tenth of what the twenty took
    assert time.monotonic() - begun < 1.0
