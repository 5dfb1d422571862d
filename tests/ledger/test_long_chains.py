"""Chains that are longer than memory: verified piece by piece, in SQLite and in PostgreSQL."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from ringfence.ledger.chain import GENESIS, Seal, extend, key_name, leaf, sign
from ringfence.ledger.events import body_of
from ringfence.ledger.reading import reading
from ringfence.ledger.verification import TELL_EVENTS, Report
from ringfence.ledger.witness import read_witness, witness
from ringfence.store import sql_ledger as rows
from ringfence.store.connect import engine_for, sqlite_url
from ringfence.store.migrate import upgrade
from tests.store.raw import sql
from tests.store.test_postgresql import server, url

from .samples import KEY, NOW, WRITER, call_events

__all__ = ["server", "url"]  # fixtures

EVERY = 249
EVENTS = EVERY * 240
MEMORY = 6 * 1024 * 1024
"""Octets that verifying may take: two portions of rows. All of these events are some 40 MB."""


def write(url: str, file: Path, writer: str = WRITER, events: int = EVENTS) -> None:
    """A chain of calls with its checkpoints and their witness, as a busy node makes it."""
    name = key_name(KEY.public_key())
    number, before = 0, GENESIS
    engine = engine_for(url)
    with engine.begin() as connection:
        while number < events:
            calls = range(number // 3, (number + EVERY) // 3)
            bodies = [body_of(event) for call in calls for event in call_events(call)]
            links = extend(writer, number, before, bodies)
            number, before = links[-1].number, links[-1].hash
            leaves = b"".join(leaf(link.body) for link in links)
            seal = Seal(writer, links[0].number, number, before, links[0].number, NOW, name, leaves)
            rows.add_events(connection, links)
            checkpoint = sign(seal, KEY)
            rows.add_checkpoint(connection, checkpoint)
            witness(file, [checkpoint])
    engine.dispose()


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a long chain in SQLite."""
    directory = tmp_path_factory.mktemp("long")
    upgrade(sqlite_url(directory / "ledger.db"))
    write(sqlite_url(directory / "ledger.db"), directory / "witness")
    return directory


def verified(url: str, file: Path, told: list[int] | None = None) -> tuple[Report, int]:
    """What verifying says of the one chain, and how many octets it took at most."""
    with reading(url) as reader:
        tracemalloc.start()
        try:
            (report,) = reader.verify(
                [KEY.public_key()], read_witness(file), None if told is None else told.append
            )
            return report, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def test_a_long_chain_is_verified_in_little_memory(long: Path) -> None:
    told: list[int] = []
    report, octets = verified(sqlite_url(long / "ledger.db"), long / "witness", told)
    assert report.finding is None
    assert report.events == report.sealed == EVENTS
    assert octets < MEMORY
    assert told == list(range(TELL_EVENTS, report.events + 1, TELL_EVENTS))


def test_so_is_one_with_an_event_that_was_changed(long: Path) -> None:
    """All that is behind it is looked through, to see that it was not moved."""
    number = EVENTS // 2
    change = f"UPDATE ledger_events SET body = replace(body, ?, ?) WHERE number = {number}"
    sql(long / "ledger.db", change, "180", "170")
    report, octets = verified(sqlite_url(long / "ledger.db"), long / "witness")
    sql(long / "ledger.db", change, "170", "180")
    assert str(report.finding) == f"event {number} of {WRITER} was changed"
    assert octets < MEMORY


@pytest.mark.interop("postgresql")
def test_a_long_chain_in_postgresql(url: str, tmp_path: Path) -> None:
    write(url, tmp_path / "witness")
    report, octets = verified(url, tmp_path / "witness")
    assert report.finding is None
    assert report.events == EVENTS
    assert octets < MEMORY
    engine = engine_for(url)
    with engine.begin() as connection:
        assert rows.writers(connection) == [WRITER]
        assert rows.delete_before(connection, WRITER, 30_000) == 30_000
    engine.dispose()
    report, _ = verified(url, tmp_path / "witness")
    assert str(report.finding) == f"event 1 of {WRITER} was removed", "and not by its owner"


def test_the_witness_may_have_them_in_any_order_and_twice(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "ledger.db")
    upgrade(url)
    write(url, tmp_path / "witness", events=4 * EVERY)
    lines = (tmp_path / "witness").read_bytes().splitlines(keepends=True)
    (tmp_path / "witness").write_bytes(b"".join([*reversed(lines), lines[1]]))
    assert verified(url, tmp_path / "witness")[0].finding is None
    sql(tmp_path / "ledger.db", "DELETE FROM ledger_checkpoints WHERE number > 300")
    report, _ = verified(url, tmp_path / "witness")
    assert report.finding is None, "the witness has what is missing"
    assert report.checkpoints == len(lines)
