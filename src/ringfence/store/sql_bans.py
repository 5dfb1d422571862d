"""Bans in a SQL database, read from memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, delete, insert

from ringfence.store.bans import BanIndex
from ringfence.store.records import Ban
from ringfence.store.revision import KnownRevision, next_revision
from ringfence.store.schema import bans
from ringfence.store.writer import Writer

_INSERT = insert(bans)
_DELETE = delete(bans).where(bans.c.network == bindparam("old_network"))


class Written(NamedTuple):
    """What a transaction stored and removed."""

    stored: Sequence[Ban]
    removed: Sequence[str]
    revision: int


class SqlBans(BanIndex):
    """See `ports.Bans`."""

    def __init__(self, writer: Writer[Any, Any], known: KnownRevision) -> None:
        super().__init__()
        self._writer = writer
        self._known = known

    async def put(self, ban: Ban) -> None:
        """See `ports.Bans.put`."""
        await self._change([ban], [])

    async def remove(self, network: str) -> bool:
        """See `ports.Bans.remove`."""
        there = network in self._bans
        await self._change([], [network] if there else [])
        return there

    async def purge(self, before: float) -> int:
        """See `ports.Bans.purge`."""
        networks = self.ended(before)
        await self._change([], networks)
        return len(networks)

    async def _change(self, stored: Sequence[Ban], removed: Sequence[str]) -> None:
        if stored or removed:
            await self._writer.run(lambda connection: _write(connection, stored, removed), self._apply)

    def _apply(self, written: Written) -> None:
        self._known.wrote(written.revision)
        for network in written.removed:
            self.drop(network)
        for ban in written.stored:
            self.hold(ban)


def read_row(row: Row[Any]) -> Ban:
    """The ban in a row."""
    return Ban(row.network, row.reason, row.since, row.until, row.by, row.times)


def _write(connection: Connection, stored: Sequence[Ban], removed: Sequence[str]) -> Written:
    revision = next_revision(connection)
    networks = [*removed, *(ban.network for ban in stored)]
    connection.execute(_DELETE, [{"old_network": network} for network in networks])
    if stored:
        connection.execute(_INSERT, [_values(ban, revision) for ban in stored])
    return Written(stored, removed, revision)


def _values(ban: Ban, revision: int) -> dict[str, Any]:
    return {
        "network": ban.network,
        "reason": ban.reason,
        "since": ban.since,
        "until": ban.until,
        "by": ban.by,
        "times": ban.times,
        "revision": revision,
    }
