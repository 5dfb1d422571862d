"""Read a ledger while a node writes it, or long after: its chains, its events in order of time, its proof."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from heapq import merge
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from ringfence.ledger.chain import Checkpoint, Link
from ringfence.ledger.events import Event, event_of
from ringfence.ledger.verification import Fault, Finding, Report, Told, verify
from ringfence.store import sql_ledger as rows
from ringfence.store.connect import READ_ONLY, reading_engine, translated
from ringfence.store.errors import StoreError
from ringfence.store.migrate import require_head

LOWEST = -(1 << 63)
"""No number in a database is lower. We begin at 1; whoever inserts an event may not."""


class Reader:
    """A ledger that is open for reading, as it was at one moment."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def writers(self) -> list[str]:
        """Who has written."""
        return rows.writers(self._connection)

    def events(self) -> Iterator[Event]:
        """The events in the order of their chain; those of several writers in order of time.

        Within a chain times go up, but for a start that had to wait for credit: nothing of its call is before it.
        """
        chains = [map(_event, self.links(writer)) for writer in self.writers()]
        return chains[0] if len(chains) == 1 else merge(*chains, key=_time)

    def links(self, writer: str) -> Iterator[Link]:
        """The chain of one writer."""
        return (Link(*row) for row in rows.events_from(self._connection, writer, LOWEST))

    def numbered(self, writer: str, number: int) -> Iterator[tuple[int, Event]]:
        """The events of one writer from that number on."""
        return ((row[1], event_of(row[2])) for row in rows.events_from(self._connection, writer, number))

    def backwards(self, writer: str, number: int | None = None) -> Iterator[Event]:
        """The events of one writer, the latest first; those before that number."""
        return (event_of(row[2]) for row in rows.events_before(self._connection, writer, number))

    def newest(self, writer: str) -> int:
        """The number of the newest event of a writer; 0 when there is none."""
        bounds = rows.numbers_of(self._connection, writer)
        return bounds[1] if bounds is not None else 0

    def first_since(self, writer: str, moment: float) -> int | None:
        """The number of the first event of a writer at that moment or behind it, by halving; None when all are older.

        Numbers need not be without gaps: the owner may have removed old events, and somebody else any.
        """
        bounds = rows.numbers_of(self._connection, writer)
        if bounds is None:
            return None
        low, high = bounds[0], bounds[1] + 1
        while low < high:
            middle = (low + high) // 2
            row = next(rows.events_from(self._connection, writer, middle, 1), None)
            if row is None or event_of(row[2]).time >= moment:
                high = middle
            else:
                low = row[1] + 1
        return low if low <= bounds[1] else None

    def length(self) -> int:
        """About how many events there are: as many as there would be if nobody had removed any in between."""
        bounds = [rows.numbers_of(self._connection, writer) for writer in self.writers()]
        return sum(last - first + 1 for first, last in filter(None, bounds))

    def verify(
        self,
        keys: Sequence[Ed25519PublicKey],
        witnessed: Mapping[str, Iterable[Checkpoint]],
        told: Told | None = None,
    ) -> Iterator[Report]:
        """Check each chain, those too that only the witness knows, by the first event that is wrong.

        ``told``: counts the events of all chains.
        """
        before = 0

        def count(events: int) -> None:
            if told is not None:
                told(before + events)

        for writer in sorted({*self.writers(), *witnessed}):
            stored = (Checkpoint(*row) for row in rows.checkpoints_of(self._connection, writer))
            chain = _Chain(self._connection, writer)
            report = verify(writer, chain, stored, witnessed.get(writer, ()), keys, count)
            before += report.events
            yield report
        if (number := rows.nameless(self._connection)) is not None:
            why = "its writer has no name"
            yield Report("", finding=Finding("", number, Fault.INSERTED, why=why))


class _Chain(Iterable[Link]):
    """The events of one writer, read anew by each who goes through them."""

    def __init__(self, connection: Connection, writer: str) -> None:
        self._connection = connection
        self._writer = writer

    def __iter__(self) -> Iterator[Link]:
        return (Link(*row) for row in rows.as_stored(self._connection, self._writer))


def _event(link: Link) -> Event:
    return event_of(link.body)


def _time(event: Event) -> float:
    return event.time


@contextmanager
def reading(url: str) -> Iterator[Reader]:
    """Open a ledger for reading.

    Raises:
        StoreError: There is none, it can't be read, or it is of another version.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreError(
            "the URL of the ledger can't be read; write sqlite:///PATH or postgresql://..."
        ) from None
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file():
        raise StoreError(f"there is no ledger in {parsed.database}: no call has been recorded")
    engine = reading_engine(url)
    try:
        with translated("read the ledger"), engine.connect() as connection:
            connection.info[READ_ONLY] = True
            with connection.begin():
                require_head(connection)
                yield Reader(connection)
    finally:
        engine.dispose()
