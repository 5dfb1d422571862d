"""Opinions in a SQL database, read from memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, delete, insert

from ringfence.store.errors import StoreError
from ringfence.store.opinions import Key, OpinionIndex, key_of
from ringfence.store.records import Opinion
from ringfence.store.revision import KnownRevision, next_revision
from ringfence.store.schema import opinions
from ringfence.store.writer import Writer

_INSERT = insert(opinions)
_DELETE = delete(opinions).where(
    opinions.c.caller == bindparam("old_caller"), opinions.c.callee == bindparam("old_callee")
)


class Written(NamedTuple):
    """What a transaction stored and removed."""

    stored: Sequence[Opinion]
    removed: Sequence[Key]
    revision: int


class SqlOpinions(OpinionIndex):
    """See `ports.Opinions`."""

    def __init__(self, writer: Writer[Any, Any], known: KnownRevision) -> None:
        super().__init__()
        self._writer = writer
        self._known = known

    async def put(self, wanted: Iterable[Opinion]) -> None:
        """See `ports.Opinions.put`."""
        stored = tuple({key_of(each): each for each in wanted}.values())
        await self._change(stored, self.surplus(stored))

    async def remove(self, caller: str, callee: str = "") -> int:
        """See `ports.Opinions.remove`."""
        callees = (callee,) if callee else tuple(self._by_caller.get(caller, ()))
        keys = [(caller, each) for each in callees if each in self._by_caller.get(caller, ())]
        await self._change((), keys)
        return len(keys)

    async def purge(self, now: float) -> int:
        """See `ports.Opinions.purge`."""
        keys = self.expired(now)
        await self._change((), keys)
        return len(keys)

    async def _change(self, stored: Sequence[Opinion], removed: Sequence[Key]) -> None:
        if stored or removed:
            await self._writer.run(lambda connection: _write(connection, stored, removed), self._apply)

    def _apply(self, written: Written) -> None:
        self._known.wrote(written.revision)
        for key in written.removed:
            self.drop(key)
        for opinion in written.stored:
            self.hold(opinion)


def read_row(row: Row[Any]) -> Opinion:
    """The opinion in a row.

    Raises:
        StoreError: The row is damaged.
    """
    try:
        return Opinion(row.caller, row.callee, row.wanted, row.expires_at, row.given, row.reason)
    except (ValueError, TypeError) as error:
        raise StoreError(f"the stored opinion on {row.caller} can't be read: {error}") from error


def _write(connection: Connection, stored: Sequence[Opinion], removed: Sequence[Key]) -> Written:
    revision = next_revision(connection)
    keys = [*removed, *map(key_of, stored)]
    connection.execute(_DELETE, [{"old_caller": caller, "old_callee": callee} for caller, callee in keys])
    if stored:
        connection.execute(_INSERT, [_values(opinion, revision) for opinion in stored])
    return Written(stored, removed, revision)


def _values(opinion: Opinion, revision: int) -> dict[str, Any]:
    return {
        "caller": opinion.caller,
        "callee": opinion.callee,
        "wanted": opinion.wanted,
        "expires_at": opinion.expires_at,
        "given": opinion.given,
        "reason": opinion.reason,
        "revision": revision,
    }
