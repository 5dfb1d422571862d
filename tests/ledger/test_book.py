"""The ledger in a database: durable, signed, witnessed, and the same after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ringfence.ledger.book import Sealing, SqlLedger
from ringfence.ledger.chain import Checkpoint, Link
from ringfence.ledger.events import Event, Kind, event_of
from ringfence.ledger.records import records_of
from ringfence.ledger.verification import Report, verify
from ringfence.ledger.witness import read_witness
from ringfence.store import sql_ledger as rows
from ringfence.store.connect import engine_for, sqlite_url
from ringfence.store.errors import StoreError
from ringfence.store.migrate import upgrade
from tests.store.raw import sql

from .samples import KEY, NOW, OTHER_KEY, WRITER, call_events

Open = Callable[[], Awaitable[SqlLedger]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    upgrade(sqlite_url(path))
    return path


@pytest.fixture
def sealing(tmp_path: Path) -> Sealing:
    return Sealing(KEY, tmp_path / "ledger.witness", events=10, seconds=30)


@pytest.fixture
def begin(path: Path, sealing: Sealing) -> Open:
    return lambda: SqlLedger.open(sqlite_url(path), WRITER, sealing, lambda: NOW + 1000)


def stored(path: Path) -> tuple[list[Link], list[Checkpoint]]:
    engine = engine_for(sqlite_url(path))
    with engine.begin() as connection:
        links = [Link(*row) for row in rows.events_from(connection, WRITER, 1)]
        return links, [Checkpoint(*row) for row in rows.checkpoints_of(connection, WRITER)]


def events(path: Path) -> list[Event]:
    return [event_of(link.body) for link in stored(path)[0]]


def report(path: Path, sealing: Sealing) -> Report:
    links, checkpoints = stored(path)
    witnessed = read_witness(sealing.witness).get(WRITER, [])
    return verify(WRITER, links, checkpoints, witnessed, [KEY.public_key()])


async def calls(ledger: SqlLedger, count: int) -> None:
    for number in range(count):
        start, answer, stop = call_events(number)
        await ledger.append(start)
        ledger.note(answer)
        ledger.note(stop)


async def test_what_was_appended_is_there_signed_and_witnessed(
    path: Path, sealing: Sealing, begin: Open
) -> None:
    ledger = await begin()
    await asyncio.gather(*(calls(ledger, 5) for _ in range(3)))
    await ledger.close()
    found = report(path, sealing)
    assert found.finding is None
    assert (found.events, found.sealed, found.unsealed) == (47, 47, 0)
    assert found.checkpoints == len(read_witness(sealing.witness)[WRITER]) > 2
    assert [event.kind for event in events(path)][0::46] == [Kind.OPEN, Kind.CLOSE]


async def test_the_chain_goes_on_after_a_restart(path: Path, sealing: Sealing, begin: Open) -> None:
    for _ in range(3):
        ledger = await begin()
        await calls(ledger, 2)
        await ledger.close()
    assert report(path, sealing).finding is None
    assert len(events(path)) == 3 * 8


async def test_calls_that_a_crash_left_open_are_closed_once(
    path: Path, sealing: Sealing, begin: Open
) -> None:
    ledger = await begin()
    start, answer, _ = call_events(0)
    await ledger.append(start)
    await ledger.append(answer)
    await ledger.append(call_events(1)[0])
    await ledger._store.close()  # the process is gone, with all that it knew
    for _ in range(2):
        again = await begin()
        await calls(again, 4)
        await again.close()
    assert report(path, sealing).finding is None
    records = {
        record.callee: record for record in records_of(events(path)) if record.reason == "the node crashed"
    }
    assert len(records) == 2
    assert records["sip:b0@x.org"].seconds == pytest.approx(995), "until it was last known to live"


async def test_nobody_pays_for_the_time_that_a_node_was_down(path: Path, sealing: Sealing) -> None:
    url, now = sqlite_url(path), NOW
    ledger = await SqlLedger.open(url, WRITER, sealing, lambda: now)
    start, answer, _ = call_events(0)
    await ledger.append(start)
    await ledger.append(answer)
    await ledger.append(Event(Kind.NOTE, NOW + 60, "", {"text": "the node lives"}))
    await ledger._store.close()
    now = NOW + 86_400
    await (await SqlLedger.open(url, WRITER, sealing, lambda: now)).close()
    (record,) = records_of(events(path))
    assert (record.ended, record.seconds) == (NOW + 60, 55)


async def test_a_ledger_that_was_cut_is_not_continued(path: Path, begin: Open) -> None:
    ledger = await begin()
    await calls(ledger, 10)
    await ledger.close()
    sql(path, "DELETE FROM ledger_events WHERE number > 20")
    sql(path, "DELETE FROM ledger_checkpoints WHERE number > 20")
    with pytest.raises(StoreError, match="not what was written"):
        await begin()


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE ledger_events SET body = replace(body, 'sip:b', 'sip:x') WHERE number = 32",
        "DELETE FROM ledger_events WHERE number = 31",
        "UPDATE ledger_events SET hash = zeroblob(32) WHERE number = (SELECT max(number) FROM ledger_events)",
    ],
)
async def test_an_end_that_was_changed_is_not_continued(path: Path, begin: Open, edit: str) -> None:
    ledger = await begin()
    await calls(ledger, 11)
    await ledger._store.close()
    sql(path, edit)
    with pytest.raises(StoreError, match="not what was written"):
        await begin()


async def test_nothing_is_added_to_a_ledger_that_somebody_changes_meanwhile(path: Path, begin: Open) -> None:
    ledger = await begin()
    await calls(ledger, 3)
    await ledger.append(call_events(5)[0])
    sql(path, "DELETE FROM ledger_events WHERE number = (SELECT max(number) FROM ledger_events)")
    with pytest.raises(StoreError, match="changed by somebody else"):
        await ledger.append(call_events(6)[0])
    await ledger.close()


async def test_another_key_needs_an_announcement(path: Path, sealing: Sealing, begin: Open) -> None:
    await (await begin()).close()
    other = Sealing(OTHER_KEY, sealing.witness)
    with pytest.raises(StoreError, match="ringfence ledger rotate"):
        await SqlLedger.open(sqlite_url(path), WRITER, other)
    ledger = await begin()
    await ledger.hand_over(OTHER_KEY.public_key())
    ledger = await SqlLedger.open(sqlite_url(path), WRITER, other)
    await calls(ledger, 3)
    await ledger.close()
    found = report(path, sealing)
    assert found.finding is None
    assert len(found.keys) == 2


async def test_old_events_can_be_removed_by_the_owner_alone(
    path: Path, sealing: Sealing, begin: Open
) -> None:
    ledger = await begin()
    await calls(ledger, 10)
    await ledger.append(call_events(50)[0])  # it goes on
    assert await ledger.prune(before=NOW + 500) == 0
    removed = await ledger.prune(before=NOW + 2000)
    assert removed > 10
    await ledger.close()
    found = report(path, sealing)
    assert found.finding is None
    assert found.pruned == removed
    assert min(link.number for link in stored(path)[0]) == removed + 1
    await (await begin()).close()


async def test_a_call_that_goes_on_keeps_what_came_after_it(
    path: Path, sealing: Sealing, begin: Open
) -> None:
    ledger = await begin()
    start, _, stop = call_events(60)
    await ledger.append(start)
    await calls(ledger, 10)
    assert await ledger.prune(before=NOW + 2000) <= 1, "what is in front of it"
    await ledger.append(stop)
    await calls(ledger, 10)
    assert await ledger.prune(before=NOW + 2000) > 30
    await ledger.close()
    assert report(path, sealing).finding is None


async def test_the_witness_catches_up_after_a_crash(path: Path, sealing: Sealing, begin: Open) -> None:
    ledger = await begin()
    await calls(ledger, 8)
    await ledger.close()
    whole = sealing.witness.read_bytes()
    sealing.witness.write_bytes(whole[:-100])
    await (await begin()).close()
    assert report(path, sealing).finding is None
    assert len(read_witness(sealing.witness)[WRITER]) == len(stored(path)[1])
    assert sealing.witness.stat().st_mode & 0o777 == 0o600
