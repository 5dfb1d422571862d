"""Any single edit of a stored ledger is found, whatever the database lets somebody write: the file is edited by SQL.

`test_verification` has the same for chains in memory, where which of the four it was is looked at too.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from ringfence.ledger.book import Sealing, SqlLedger
from ringfence.ledger.chain import link_hash
from ringfence.ledger.reading import reading
from ringfence.ledger.verification import Finding
from ringfence.ledger.witness import read_witness
from ringfence.store.connect import sqlite_url
from ringfence.store.migrate import upgrade

from .samples import KEY, OTHER_KEY, WRITER, call_events

EVENTS = 24
"""Six calls, and what the node says of itself before and after, twice: the second time with another key."""


@cache
def written() -> Path:
    """A directory with a ledger that was written once: two stretches of a node's life, a key that was rotated."""
    directory = Path(mkdtemp(prefix="ledger-"))
    url = sqlite_url(directory / "ledger.db")
    upgrade(url)

    async def write() -> None:
        for key, calls in ((KEY, range(3)), (OTHER_KEY, range(3, 6))):
            ledger = await SqlLedger.open(url, WRITER, Sealing(key, directory / "witness", events=4))
            for number in calls:
                start, answer, stop = call_events(number)
                await ledger.append(start)
                ledger.note(answer)
                ledger.note(stop)
            await (ledger.hand_over(OTHER_KEY.public_key()) if key is KEY else ledger.close())

    asyncio.run(write())
    with closing(sqlite3.connect(directory / "ledger.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert database.execute("SELECT count(*) FROM ledger_events").fetchone() == (EVENTS - 1,)
        assert database.execute("SELECT count(*) FROM ledger_checkpoints").fetchone() > (5,)
    return directory


class Copy:
    """A copy of it to write to by SQL, all of it in one transaction."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        for name in ("ledger.db", "witness"):
            shutil.copy(written() / name, directory / name)
        self._database = sqlite3.connect(directory / "ledger.db", isolation_level=None)
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("BEGIN")

    def sql(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Do something to it; a value that the schema forbids is no example."""
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.IntegrityError:
            return reject()

    def finding(self) -> Finding | None:
        """What verifying says, with the first key alone; the first finding of all chains."""
        self._database.execute("COMMIT")
        witnessed = read_witness(self._directory / "witness")
        with reading(sqlite_url(self._directory / "ledger.db")) as reader:
            reports = list(reader.verify([KEY.public_key()], witnessed))
        return next((each.finding for each in reports if each.finding is not None), None)

    def close(self) -> None:
        self._database.close()


@contextmanager
def edited() -> Iterator[Copy]:
    with TemporaryDirectory() as directory, closing(Copy(Path(directory))) as copy:
        yield copy


def relink(copy: Copy) -> None:
    """Compute all numbers and hashes anew, as somebody can who writes the database and has no key."""
    rows = copy.sql("SELECT body FROM ledger_events ORDER BY number")
    copy.sql("DELETE FROM ledger_events")
    before = bytes(32)
    for number, (body,) in enumerate(rows, 1):
        before = link_hash(before, WRITER, number, body)
        copy.sql("INSERT INTO ledger_events VALUES (?, ?, ?, ?)", (WRITER, number, body, before))


VALUES = st.one_of(
    st.text(max_size=8),
    st.binary(max_size=40),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.floats(allow_nan=False),
    st.sampled_from(
        ["{}", '{"kind":"key"}', '{"kind":"pruned"}', '{"kind":"key","time":"1.0"}', "null", "[]", ""]
    ),
)
"""What SQLite stores in a column, whatever its type."""

FAST = settings(max_examples=60, deadline=None)
NUMBERS = st.integers(1, EVENTS - 1)


def test_what_nobody_has_touched_is_right() -> None:
    with edited() as copy:
        assert copy.finding() is None


@FAST
@given(NUMBERS, st.sampled_from(["writer", "number", "body", "hash"]), VALUES)
def test_any_value_in_any_column_of_an_event(number: int, column: str, value: Any) -> None:
    with edited() as copy:
        before = copy.sql("SELECT * FROM ledger_events ORDER BY number")
        copy.sql(f"UPDATE ledger_events SET {column} = ? WHERE number = {number}", (value,))
        assume(copy.sql("SELECT * FROM ledger_events ORDER BY number") != before)
        finding = copy.finding()
    assert finding is not None
    if column in {"body", "hash"}:
        assert (finding.what, finding.number, finding.writer) == ("event", number, WRITER)


@FAST
@given(st.integers(0, 5), st.sampled_from(["writer", "number", "body", "signature"]), VALUES)
def test_any_value_in_any_column_of_a_checkpoint(place: int, column: str, value: Any) -> None:
    with edited() as copy:
        before = copy.sql("SELECT * FROM ledger_checkpoints ORDER BY number")
        number = before[place][1]
        copy.sql(f"UPDATE ledger_checkpoints SET {column} = ? WHERE number = {number}", (value,))
        assume(copy.sql("SELECT * FROM ledger_checkpoints ORDER BY number") != before)
        assert copy.finding() is not None


@FAST
@given(NUMBERS, st.integers(1, EVENTS), st.booleans())
def test_any_stretch_that_is_removed(number: int, count: int, linked_anew: bool) -> None:
    with edited() as copy:
        copy.sql("DELETE FROM ledger_events WHERE number BETWEEN ? AND ?", (number, number + count - 1))
        if linked_anew:
            relink(copy)
        finding = copy.finding()
    assert finding is not None
    assert (finding.what, finding.number, finding.fault) == ("event", number, "removed")


@FAST
@given(NUMBERS, NUMBERS, st.booleans())
def test_any_two_that_change_places(one: int, other: int, linked_anew: bool) -> None:
    with edited() as copy:
        first, second = (
            copy.sql("SELECT body, hash FROM ledger_events WHERE number = ?", (number,))[0]
            for number in (one, other)
        )
        assume(first[0] != second[0])
        for number, row in ((one, second), (other, first)):
            copy.sql("UPDATE ledger_events SET body = ?, hash = ? WHERE number = ?", (*row, number))
        if linked_anew:
            relink(copy)
        finding = copy.finding()
    assert finding is not None
    assert (finding.number, finding.fault) == (min(one, other), "reordered")


@FAST
@given(NUMBERS | st.integers(-(1 << 63), 1), st.booleans(), st.booleans())
def test_any_that_is_inserted(number: int, copied: bool, linked_anew: bool) -> None:
    body = '{"call":"c9","kind":"stop","reason":"forged","time":"1800000001.000000"}'
    with edited() as copy:
        if copied:
            ((body,),) = copy.sql("SELECT body FROM ledger_events WHERE number = 5")
        if number >= 1:  # room for it
            copy.sql("UPDATE ledger_events SET number = -number WHERE number >= ?", (number,))
            copy.sql("UPDATE ledger_events SET number = 1 - number WHERE number < 0")
        copy.sql("INSERT INTO ledger_events VALUES (?, ?, ?, ?)", (WRITER, number, body, b"h" * 32))
        if linked_anew:
            relink(copy)
        finding = copy.finding()
    assert finding is not None
    assert finding.what == "event"
    # A copy in front of the very event: which of the two was there before can't be said.
    assert finding.number in ({5, 6} if copied and number == 5 else {max(number, 1)})


def test_what_is_added_behind_the_last_checkpoint_is_counted_as_unsigned() -> None:
    """Until the next checkpoint, two seconds later, nobody has signed it: then it is an event of this node's, or it
    is found. A node that is running finds it at its next write."""
    with edited() as copy:
        copy.sql("INSERT INTO ledger_events VALUES (?, ?, '{}', ?)", (WRITER, EVENTS, b"h" * 32))
        finding = copy.finding()
    assert finding is not None, "not even linked"
    assert finding.number == EVENTS


@FAST
@given(st.integers(0, EVENTS - 2), st.booleans())
def test_any_end_that_is_cut_off(kept: int, checkpoints_too: bool) -> None:
    with edited() as copy:
        copy.sql("DELETE FROM ledger_events WHERE number > ?", (kept,))
        if checkpoints_too:
            copy.sql("DELETE FROM ledger_checkpoints WHERE number > ?", (kept,))
        finding = copy.finding()
    assert finding is not None
    assert (finding.what, finding.number, finding.fault) == ("event", kept + 1, "removed")


@pytest.mark.parametrize("octets", ["X'FF'", "X'00'"])
def test_text_that_is_none(octets: str) -> None:
    with edited() as copy:
        copy.sql(f"UPDATE ledger_events SET body = CAST({octets} AS TEXT) WHERE number = 9")
        finding = copy.finding()
    assert str(finding) == "event 9 of node1 was changed"


def test_the_same_octets_as_another_type() -> None:
    with edited() as copy:
        copy.sql("UPDATE ledger_events SET body = CAST(body AS BLOB) WHERE number = 9")
        finding = copy.finding()
    assert str(finding) == "event 9 of node1 was changed"


@pytest.mark.parametrize("table", ["ledger_events", "ledger_checkpoints"])
def test_a_writer_that_nobody_was(table: str) -> None:
    with edited() as copy:
        copy.sql(f"INSERT INTO {table} SELECT 'ghost', 2, body, X'00' FROM {table} LIMIT 1")
        finding = copy.finding()
    assert finding is not None
    assert finding.writer == "ghost"
