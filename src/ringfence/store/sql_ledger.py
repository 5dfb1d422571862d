"""The rows of the ledger in a SQL database. What they mean is known to `ringfence.ledger`; here they are texts.

Events and checkpoints are inserted and never changed. Only `delete_before` removes any, for retention.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, bindparam, delete, func, insert, select, union

from ringfence.store.schema import ledger_checkpoints, ledger_events

EventRow = tuple[str, int, str, bytes]
"""Writer, number, body, hash."""

CheckpointRow = tuple[str, int, str, bytes]
"""Writer, number, body, signature."""

READ_AT_ONCE = 5000
"""Rows that are held in memory while a long chain is read."""

_EVENTS = ("writer", "number", "body", "hash")
_CHECKPOINTS = ("writer", "number", "body", "signature")
_INSERT_EVENT = insert(ledger_events)
_INSERT_CHECKPOINT = insert(ledger_checkpoints)
_LAST = (
    select(ledger_events.c.number, ledger_events.c.hash)
    .where(ledger_events.c.writer == bindparam("writer"))
    .order_by(ledger_events.c.number.desc())
    .limit(1)
)


def last_event(connection: Connection, writer: str) -> tuple[int, bytes] | None:
    """Number and hash of the newest event of a writer."""
    row = connection.execute(_LAST, {"writer": writer}).first()
    return None if row is None else (row[0], bytes(row[1]))


def add_events(connection: Connection, rows: Sequence[EventRow]) -> None:
    """Append events."""
    connection.execute(_INSERT_EVENT, [dict(zip(_EVENTS, row, strict=True)) for row in rows])


def add_checkpoint(connection: Connection, row: CheckpointRow) -> None:
    """Append a checkpoint."""
    connection.execute(_INSERT_CHECKPOINT, dict(zip(_CHECKPOINTS, row, strict=True)))


def events_from(connection: Connection, writer: str, number: int) -> Iterator[EventRow]:
    """The events of a writer from that number on, in order."""
    table = ledger_events
    query = select(table).where(table.c.writer == writer, table.c.number >= number).order_by(table.c.number)
    for row in connection.execute(query, execution_options={"yield_per": READ_AT_ONCE}):
        yield row.writer, row.number, row.body, bytes(row.hash)


def checkpoints_of(connection: Connection, writer: str) -> list[CheckpointRow]:
    """The checkpoints of a writer, in order."""
    table = ledger_checkpoints
    rows = connection.execute(select(table).where(table.c.writer == writer).order_by(table.c.number))
    return [(row.writer, row.number, row.body, bytes(row.signature)) for row in rows]


def last_checkpoint(connection: Connection, writer: str) -> CheckpointRow | None:
    """The newest checkpoint of a writer."""
    table = ledger_checkpoints
    query = select(table).where(table.c.writer == writer).order_by(table.c.number.desc()).limit(1)
    row = connection.execute(query).first()
    return None if row is None else (row.writer, row.number, row.body, bytes(row.signature))


def writers(connection: Connection) -> list[str]:
    """The names of all writers, in order."""
    found = union(select(ledger_events.c.writer), select(ledger_checkpoints.c.writer))
    return sorted(connection.scalars(found))


def delete_before(connection: Connection, writer: str, number: int) -> int:
    """Remove the events of a writer up to ``number``, and the checkpoints before the one of that number."""
    events, checkpoints = ledger_events, ledger_checkpoints
    count = connection.scalar(
        select(func.count()).select_from(events).where(events.c.writer == writer, events.c.number <= number)
    )
    connection.execute(delete(events).where(events.c.writer == writer, events.c.number <= number))
    connection.execute(
        delete(checkpoints).where(checkpoints.c.writer == writer, checkpoints.c.number < number)
    )
    return count or 0
