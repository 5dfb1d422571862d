"""Bindings in a SQL database, read from memory.

`change` decides in memory on what is known, and sends the outcome with the revision it was decided on. The
writer's thread compares that with the row under the write lock. When another process has been there, nothing
is written, and the decision is made again, this time under the lock. So two nodes on one database can't lose
each other's bindings, and in the common case the changes of many addresses are written together.
"""

from __future__ import annotations

from asyncio import Lock
from collections.abc import Callable, Container, Iterable, Sequence
from typing import NamedTuple
from weakref import WeakValueDictionary

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from ringfence.store.codec import decode_bindings, encode_bindings
from ringfence.store.index import BindingIndex, decided, living
from ringfence.store.ports import Decision
from ringfence.store.prepared import execute_many, fetch
from ringfence.store.records import Binding
from ringfence.store.revision import KnownRevision, next_revision
from ringfence.store.schema import registrations
from ringfence.store.writer import Writer

PURGE_BATCH = 500
"""Registrations purged in one transaction, so that REGISTERs that arrive meanwhile wait some 20 ms."""

ROW = (registrations.c.aor, registrations.c.bindings, registrations.c.revision)

_IS_AOR = registrations.c.aor == bindparam("old_aor")
_READ = select(*ROW).where(_IS_AOR)
_REVISIONS = select(registrations.c.aor, registrations.c.revision).where(
    registrations.c.aor.in_(bindparam("aors", expanding=True))
)
_DELETE = delete(registrations).where(_IS_AOR)
_REVISION = select(registrations.c.revision).where(_IS_AOR)
_UPDATE = (
    update(registrations)
    .where(_IS_AOR)
    .values(
        bindings=bindparam("new_bindings"),
        soonest=bindparam("new_soonest"),
        revision=bindparam("new_revision"),
    )
)
_INSERT = insert(registrations).values(
    aor=bindparam("old_aor"),
    bindings=bindparam("new_bindings"),
    soonest=bindparam("new_soonest"),
    revision=bindparam("new_revision"),
)
_EXPIRED = (
    select(*ROW)
    .where(registrations.c.soonest <= bindparam("now"))
    .order_by(registrations.c.aor)
    .limit(PURGE_BATCH)
)


class Change(NamedTuple):
    """The bindings that an address-of-record shall have, decided on what it had at a revision."""

    aor: str
    seen: int
    bindings: tuple[Binding, ...]


class Held(NamedTuple):
    """What the database holds for an address-of-record after a transaction."""

    aor: str
    bindings: tuple[Binding, ...]
    revision: int


class Outcome(NamedTuple):
    """Whether a change was made, in the transaction of a revision, and what the database holds now."""

    made: bool
    revision: int
    held: Held


class Purged(NamedTuple):
    """What a transaction removed, and what it left for each address-of-record that it touched."""

    revision: int
    expired: tuple[Binding, ...]
    left: tuple[Held, ...]


class SqlBindings(BindingIndex):
    """See `ports.Bindings`."""

    def __init__(self, writer: Writer[Change, Outcome], known: KnownRevision) -> None:
        super().__init__()
        self._writer = writer
        self._known = known
        self.written: Callable[[], None] | None = None
        """Called when a change has become durable."""
        self._turns: WeakValueDictionary[str, Lock] = WeakValueDictionary()

    async def change(self, aor: str, decide: Decision, now: float) -> tuple[Binding, ...]:
        """See `ports.Bindings.change`."""
        # A Lock serves in order of arrival. Those who hold or await it keep it in the dictionary.
        turn = self._turns.get(aor)
        if turn is None:
            turn = self._turns[aor] = Lock()
        async with turn:
            held = self.held(aor)
            current = living(held.bindings, now)
            wanted = decided(aor, decide, current)
            if wanted == current:
                return current
            outcome = await self._writer.put(Change(aor, held.revision, wanted), self._apply_outcome)
            if not outcome.made:
                await self._writer.run(lambda c: _change(c, aor, decide, now), self._apply_outcome)
            return self.lookup(aor, now)

    async def purge(self, now: float) -> tuple[Binding, ...]:
        """See `ports.Bindings.purge`."""
        expired: list[Binding] = []
        while True:
            purged = await self._writer.run(lambda connection: _purge(connection, now), self._apply_purged)
            if purged is None:
                return tuple(expired)
            expired += purged.expired

    def _apply_outcome(self, outcome: Outcome) -> None:
        self._known.wrote(outcome.revision)
        self.hold(*outcome.held)
        if self.written is not None and outcome.made:
            self.written()

    def _apply_purged(self, purged: Purged | None) -> None:
        if purged is not None:
            self._known.wrote(purged.revision)
            for held in purged.left:
                self.hold(*held)


def write_changes(connection: Connection, changes: Sequence[Change]) -> list[Outcome]:
    """Make those changes that were decided on what the database holds. Runs on the writer's thread."""
    return _write(connection, next_revision(connection), changes)


def _change(connection: Connection, aor: str, decide: Decision, now: float) -> Outcome:
    revision = next_revision(connection)  # takes the lock, so it comes before the reading
    before = _read(connection, aor)
    wanted = decided(aor, decide, living(before.bindings, now))
    return _write(connection, revision, [Change(aor, before.revision, wanted)])[0]


def _write(connection: Connection, revision: int, changes: Sequence[Change]) -> list[Outcome]:
    revisions = _revisions(connection, {change.aor for change in changes})
    made: dict[str, Change] = {}
    for change in changes:
        if change.seen == revisions.get(change.aor, 0):
            # Of two changes of an address in one batch, the second was decided on what is no more.
            made.setdefault(change.aor, change)
    held = {aor: Held(aor, change.bindings, revision) for aor, change in made.items()}
    _store(connection, held.values(), revisions)
    return [
        Outcome(
            made.get(change.aor) is change, revision, held.get(change.aor) or _read(connection, change.aor)
        )
        for change in changes
    ]


def _revisions(connection: Connection, aors: Iterable[str]) -> dict[str, int]:
    if connection.dialect.name == "sqlite":
        # A row costs SQLite some microseconds; a server is asked for all at once, to wait for it once.
        found = {aor: fetch(connection, _REVISION, {"old_aor": aor}) for aor in aors}
        return {aor: row[0] for aor, row in found.items() if row is not None}
    return dict(connection.execute(_REVISIONS, {"aors": list(aors)}).all())


def _store(connection: Connection, registered: Iterable[Held], existing: Container[str]) -> None:
    deleted, updated, inserted = [], [], []
    for held in registered:
        if not held.bindings:
            deleted.append({"old_aor": held.aor})
            continue
        values = {
            "new_bindings": encode_bindings(held.bindings),
            "new_soonest": min(binding.expires_at for binding in held.bindings),
            "new_revision": held.revision,
            "old_aor": held.aor,
        }
        if held.aor in existing:
            updated.append(values)
        else:
            inserted.append(values)
    for statement, rows in ((_DELETE, deleted), (_UPDATE, updated), (_INSERT, inserted)):
        if rows:
            execute_many(connection, statement, rows)


def _purge(connection: Connection, now: float) -> Purged | None:
    # Looking costs no revision and no disk; most purges find nothing.
    if connection.execute(_EXPIRED, {"now": now}).first() is None:
        return None
    revision = next_revision(connection)
    before = [read_row(row) for row in connection.execute(_EXPIRED, {"now": now})]
    left = tuple(Held(held.aor, living(held.bindings, now), revision) for held in before)
    _store(connection, left, {held.aor for held in before})
    expired = tuple(binding for held in before for binding in held.bindings if binding.expires_at <= now)
    return Purged(revision, expired, left)


def _read(connection: Connection, aor: str) -> Held:
    row = connection.execute(_READ, {"old_aor": aor}).first()
    return Held(aor, (), 0) if row is None else read_row(row)


def read_row(row: Row[str, str, int]) -> Held:
    """What a row of the columns `ROW` holds. Raises `StoreError` when it can't be read."""
    return Held(row.aor, decode_bindings(row.aor, row.bindings), row.revision)
