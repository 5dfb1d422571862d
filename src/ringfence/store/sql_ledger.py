"""The rows of the ledger in a SQL database. What they mean is known to `ringfence.ledger`; here they are texts.

Events and checkpoints are inserted and never changed. Only `delete_before` removes any, for retention.

The two statements of every transaction are `prepared`: on a node that is not busy a call is a transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    TextClause,
    delete,
    func,
    insert,
    select,
    text,
)

from ringfence.store.prepared import execute_many, fetch
from ringfence.store.schema import ledger_checkpoints, ledger_events

EventRow = tuple[str, int, str, bytes]
"""Writer, number, body, hash."""

CheckpointRow = tuple[str, int, str, bytes]
"""Writer, number, body, signature."""

READ_AT_ONCE = 5000
"""Rows that are held in memory while a long chain is read."""

CHECKPOINTS_AT_ONCE = 200
"""The same for checkpoints, which are some 3 KB each."""

DELETE_AT_ONCE = 10_000
"""Events that one statement removes. PostgreSQL ends statements after `connect.SERVER_SECONDS`."""

_EVENTS = ("writer", "number", "body", "hash")
_CHECKPOINTS = ("writer", "number", "body", "signature")
_INSERT_EVENT = insert(ledger_events)
_INSERT_CHECKPOINT = insert(ledger_checkpoints)


def _stored(table: str, column: str) -> TextClause:
    names = f"number, body, {column}"
    return text(f"SELECT {names} FROM {table} WHERE writer = :writer ORDER BY number")  # noqa: S608


def _stored_sqlite(table: str, column: str) -> TextClause:
    return text(
        "SELECT CASE typeof(number) WHEN 'integer' THEN number ELSE -1 END,"  # noqa: S608
        " CASE typeof(body) WHEN 'text' THEN CAST(body AS BLOB) END,"
        f" CASE typeof({column}) WHEN 'blob' THEN {column} ELSE X'' END"
        f" FROM {table} WHERE writer = :writer ORDER BY number"
    )


_STORED = _stored("ledger_events", "hash")
_STORED_SQLITE = _stored_sqlite("ledger_events", "hash")
_CHECKPOINTS_STORED = _stored("ledger_checkpoints", "signature")
_CHECKPOINTS_SQLITE = _stored_sqlite("ledger_checkpoints", "signature")
_LAST = text("SELECT number, hash FROM ledger_events WHERE writer = :writer ORDER BY number DESC LIMIT 1")


def last_event(connection: Connection, writer: str) -> tuple[int, bytes] | None:
    """Number and hash of the newest event of a writer."""
    row = fetch(connection, _LAST, {"writer": writer})
    return None if row is None else (row[0], bytes(row[1]))


def add_events(connection: Connection, rows: Sequence[EventRow]) -> None:
    """Append events."""
    execute_many(connection, _INSERT_EVENT, [dict(zip(_EVENTS, row, strict=True)) for row in rows])


def add_checkpoint(connection: Connection, row: CheckpointRow) -> None:
    """Append a checkpoint."""
    connection.execute(_INSERT_CHECKPOINT, dict(zip(_CHECKPOINTS, row, strict=True)))


def events_from(
    connection: Connection, writer: str, number: int, limit: int | None = None
) -> Iterator[EventRow]:
    """The events of a writer from that number on, in order; so many at most."""
    table = ledger_events
    query = select(table).where(table.c.writer == writer, table.c.number >= number).order_by(table.c.number)
    yield from _read(connection, query.limit(limit))


def events_before(connection: Connection, writer: str, number: int | None) -> Iterator[EventRow]:
    """The events of a writer before that number, or all, the latest first."""
    table = ledger_events
    query = select(table).where(table.c.writer == writer).order_by(table.c.number.desc())
    yield from _read(connection, query if number is None else query.where(table.c.number < number))


def numbers_of(connection: Connection, writer: str) -> tuple[int, int] | None:
    """The first and the last number that a writer has."""
    table = ledger_events
    query = select(func.min(table.c.number), func.max(table.c.number)).where(table.c.writer == writer)
    first, last = connection.execute(query).one()
    return None if first is None else (first, last)


def _read(connection: Connection, query: Select[Any]) -> Iterator[EventRow]:
    for row in connection.execute(query, execution_options={"yield_per": READ_AT_ONCE}):
        yield row.writer, row.number, row.body, bytes(row.hash)


def as_stored(connection: Connection, writer: str) -> Iterator[EventRow]:
    """All events of a writer in order, for whoever looks for what somebody has changed.

    SQLite stores any value in any column, text that is no UTF-8 too. What none of us wrote comes as a number below
    all of ours, a text that is no event, or a hash of no octets.
    """
    query = _STORED_SQLITE if connection.dialect.name == "sqlite" else _STORED
    for number, body, hash_ in connection.execute(
        query, {"writer": writer}, execution_options={"yield_per": READ_AT_ONCE}
    ):
        yield writer, number, body if isinstance(body, str) else _text(body), bytes(hash_)


def _text(octets: bytes | None) -> str:
    return "" if octets is None else octets.decode("utf-8", "backslashreplace")


def checkpoints_of(connection: Connection, writer: str) -> Iterator[CheckpointRow]:
    """The checkpoints of a writer, in order; as they are stored, like `as_stored`."""
    query = _CHECKPOINTS_SQLITE if connection.dialect.name == "sqlite" else _CHECKPOINTS_STORED
    for number, body, signature in connection.execute(
        query, {"writer": writer}, execution_options={"yield_per": CHECKPOINTS_AT_ONCE}
    ):
        yield writer, number, body if isinstance(body, str) else _text(body), bytes(signature)


def last_checkpoint(connection: Connection, writer: str) -> CheckpointRow | None:
    """The newest checkpoint of a writer."""
    table = ledger_checkpoints
    query = select(table).where(table.c.writer == writer).order_by(table.c.number.desc()).limit(1)
    row = connection.execute(query).first()
    return None if row is None else (row.writer, row.number, row.body, bytes(row.signature))


def writers(connection: Connection) -> list[str]:
    """The names of all writers, in order. Each is one step in the index, however long the chains are."""
    found: set[str] = set()
    for table in (ledger_events, ledger_checkpoints):
        query = select(func.min(table.c.writer))
        name = connection.scalar(query)
        while isinstance(name, str):  # in SQLite octets that are no text come last, see `nameless`
            found.add(name)
            name = connection.scalar(query.where(table.c.writer > name))
    return sorted(found)


def nameless(connection: Connection) -> int | None:
    """The number of a row whose writer is no text, which SQLite lets somebody store; None: there is none."""
    if connection.dialect.name != "sqlite":
        return None
    query = (
        "SELECT number FROM ledger_events WHERE writer >= X''"
        " UNION ALL SELECT number FROM ledger_checkpoints WHERE writer >= X'' LIMIT 1"
    )
    row = connection.exec_driver_sql(query).first()
    return None if row is None else row[0] if isinstance(row[0], int) else -1


def delete_before(connection: Connection, writer: str, number: int) -> int:
    """Remove the events of a writer up to ``number``, and the checkpoints before the one of that number."""
    events, checkpoints = ledger_events, ledger_checkpoints
    bounds = numbers_of(connection, writer)
    removed = 0
    for upto in range(bounds[0] if bounds else number + 1, number + 1, DELETE_AT_ONCE):
        last = min(number, upto + DELETE_AT_ONCE - 1)
        removed += connection.execute(
            delete(events).where(events.c.writer == writer, events.c.number <= last)
        ).rowcount
    connection.execute(
        delete(checkpoints).where(checkpoints.c.writer == writer, checkpoints.c.number < number)
    )
    return removed
