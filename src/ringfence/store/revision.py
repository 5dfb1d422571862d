"""The revision of the database: a number that each writing transaction raises by one, under the write lock.

It tells a process what it has not seen yet: the rows with a greater revision than it knows.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select, update

from ringfence.store.prepared import fetch
from ringfence.store.schema import store_revision

_RAISE = (
    update(store_revision)
    .values(value=store_revision.c.value + bindparam("more"))
    .returning(store_revision.c.value)
)
_ONE = {"more": 1}
_READ = select(store_revision.c.value)


def next_revision(connection: Connection) -> int:
    """The revision for what this transaction writes. Other writers wait until it ends."""
    return int(fetch(connection, _RAISE, _ONE)[0])


def current_revision(connection: Connection) -> int:
    """The revision of the newest transaction."""
    return int(connection.execute(_READ).scalar_one())


class KnownRevision:
    """The revision up to which this process's memory equals the database."""

    def __init__(self) -> None:
        self.value = 0

    def wrote(self, revision: int) -> None:
        """This process wrote that revision. A gap before it is another process's, and still to be read."""
        if revision == self.value + 1:
            self.value = revision

    def read(self, revision: int) -> None:
        """All rows up to that revision have been read."""
        self.value = max(self.value, revision)
