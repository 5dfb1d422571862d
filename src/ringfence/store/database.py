"""A store in a SQL database: SQLite in a file beside the node, or PostgreSQL.

All accounts, bindings and opinions are read into memory when it is opened, and lookups never leave it. Writes go
through one `Writer`; the memory is changed when they are durable. `refresh` reads what other processes wrote.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, select

from ringfence.store.connect import LOCK_SECONDS, engine_for
from ringfence.store.errors import StoreError
from ringfence.store.migrate import require_head
from ringfence.store.opinions import Key
from ringfence.store.ports import Bindings, Elsewhere, Store
from ringfence.store.records import Account, Ban, Opinion, Rights
from ringfence.store.revision import KnownRevision, current_revision
from ringfence.store.schema import accounts, bans, opinions, registrations
from ringfence.store.sql_accounts import SqlAccounts
from ringfence.store.sql_accounts import read_row as read_account
from ringfence.store.sql_administrators import SqlAdministrators
from ringfence.store.sql_balances import SqlBalances
from ringfence.store.sql_bans import SqlBans
from ringfence.store.sql_bans import read_row as read_ban
from ringfence.store.sql_bindings import ROW, Change, Held, Outcome, SqlBindings, write_changes
from ringfence.store.sql_bindings import read_row as read_registration
from ringfence.store.sql_opinions import SqlOpinions
from ringfence.store.sql_opinions import read_row as read_opinion
from ringfence.store.sql_tokens import SqlTokens
from ringfence.store.writer import QUEUE_LIMIT, Writer

BUSY_SECONDS = 0.02
"""How long after a transaction the next one begins, at the earliest, when registrations are frequent. A phone waits
for it once in some minutes, and of the CPU of 600 registrations a second it saves a quarter (``python bench/run.py
--rows g``)."""

BUSY_ITEMS = 2
"""Changes in one transaction that show that they are frequent: who comes alone waits for nobody."""

_ACCOUNTS = select(accounts).where(accounts.c.revision > bindparam("known"))
_REGISTRATIONS = select(*ROW).where(registrations.c.revision > bindparam("known"))
_OPINIONS = select(opinions).where(opinions.c.revision > bindparam("known"))
_BANS = select(bans).where(bans.c.revision > bindparam("known"))
_COUNTS = select(
    select(func.count()).select_from(accounts).scalar_subquery(),
    select(func.count()).select_from(registrations).scalar_subquery(),
    select(func.count()).select_from(opinions).scalar_subquery(),
    select(func.count()).select_from(bans).scalar_subquery(),
)
_AORS = select(accounts.c.aor)
_REGISTERED = select(registrations.c.aor)
_OPINED = select(opinions.c.caller, opinions.c.callee)
_BANNED = select(bans.c.network)


class _News(NamedTuple):
    revision: int
    accounts: list[Account]
    registrations: list[Held]
    opinions: list[Opinion]
    bans: list[Ban]
    counts: tuple[int, int, int, int]


class _Names(NamedTuple):
    accounts: list[str]
    registrations: list[str]
    opinions: list[Key]
    bans: list[str]


class Database:
    """See `ports.Store`. Made by `Database.open`; belongs to the event loop it was opened in.

    ``elsewhere`` has the bindings, where they are not in this database.
    """

    def __init__(self, writer: Writer[Change, Outcome], elsewhere: Elsewhere | None = None) -> None:
        self._writer = writer
        self._elsewhere = elsewhere
        self._known = KnownRevision()
        self._rights: dict[str, Rights] = {}  # the writer thread's
        self._removed_elsewhere = False
        self._registered = SqlBindings(writer, self._known)
        self.bindings: Bindings = elsewhere or self._registered
        self.opinions = SqlOpinions(writer, self._known)
        self.accounts = SqlAccounts(writer, self._known, self._registered, self.opinions, elsewhere)
        self.bans = SqlBans(writer, self._known)
        self.administrators = SqlAdministrators(writer)
        self.tokens = SqlTokens(writer)
        self.balances = SqlBalances(writer)

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        lock_seconds: float = LOCK_SECONDS,
        queue_limit: int = QUEUE_LIMIT,
        redis: str = "",
        cluster: bool = False,
    ) -> Database:
        """Open a database that `migrate.upgrade` has prepared, and read it into memory.

        ``redis`` is the URL of a server, or of one of a ``cluster``, that has the bindings instead.

        Raises:
            SchemaError: It has not the schema that this version works on.
            StoreError: It can't be opened or read.
        """
        writer: Writer[Change, Outcome] = Writer(
            engine_for(url, lock_seconds=lock_seconds),
            write_changes,
            queue_limit=queue_limit,
            busy_seconds=BUSY_SECONDS,
            busy_items=BUSY_ITEMS,
        )
        elsewhere: Elsewhere | None = None
        try:
            await writer.run(require_head, read_only=True)
            if redis:
                elsewhere = await _in_redis(redis, cluster)
            database = cls(writer, elsewhere)
            await database.refresh()
        except BaseException:
            await writer.close()
            if elsewhere is not None:
                await elsewhere.close()
            raise
        return database

    @property
    def revision(self) -> int:
        """The revision of the database up to which the memory equals it."""
        return self._known.value

    @property
    def waiting(self) -> int:
        """How many writes wait to become durable."""
        return self._writer.waiting

    async def refresh(self) -> None:
        """See `ports.Store.refresh`."""
        known = self._known.value
        await self._writer.run(
            lambda connection: self._read_news(connection, known), self._hold, read_only=True
        )
        if self._removed_elsewhere:
            await self._writer.run(_read_names, self._keep_only, read_only=True)

    def on_written(self, tell: Callable[[], None]) -> None:
        """See `ports.Store.on_written`."""
        self._registered.written = tell
        if self._elsewhere is not None:
            self._elsewhere.written = tell

    async def close(self) -> None:
        """See `ports.Store.close`. What is in memory stays readable."""
        await self._writer.close()
        if self._elsewhere is not None:
            await self._elsewhere.close()

    def _read_news(self, connection: Connection, known: int) -> _News | None:
        if connection.dialect.name == "sqlite":
            # Changes when another connection has committed, and costs one look at shared memory. Numbers of
            # two connections can't be compared, so it is kept with the connection.
            data_version = connection.exec_driver_sql("PRAGMA data_version").scalar_one()
            if known and data_version == connection.info.get("data_version"):
                return None
            connection.info["data_version"] = data_version
        revision = current_revision(connection)
        if known and revision == known:
            return None
        after = {"known": known if known else -1}
        in_accounts, in_registrations, in_opinions, in_bans = connection.execute(_COUNTS).one()
        return _News(
            revision,
            [read_account(row, self._rights) for row in connection.execute(_ACCOUNTS, after)],
            [read_registration(row) for row in connection.execute(_REGISTRATIONS, after)],
            [read_opinion(row) for row in connection.execute(_OPINIONS, after)],
            [read_ban(row) for row in connection.execute(_BANS, after)],
            (in_accounts, in_registrations, in_opinions, in_bans),
        )

    def _hold(self, news: _News | None) -> None:
        if news is None:
            return
        for account in news.accounts:
            self.accounts.hold(account)
        for held in news.registrations:
            self._registered.hold(*held)
        for opinion in news.opinions:
            self.opinions.hold(opinion)
        for ban in news.bans:
            self.bans.hold(ban)
        self._known.read(news.revision)
        # Memory now has all rows there are; if it has more, the rest is gone.
        held_now = (
            self.accounts.count(),
            self._registered.counts().addresses,
            self.opinions.count(),
            self.bans.count(),
        )
        self._removed_elsewhere = held_now != news.counts

    def _keep_only(self, names: _Names) -> None:
        self.accounts.keep_only(names.accounts)
        self._registered.keep_only(names.registrations)
        self.opinions.keep_only(names.opinions)
        self.bans.keep_only(names.bans)
        self._removed_elsewhere = False


async def _in_redis(url: str, cluster: bool) -> Elsewhere:
    try:
        from ringfence.store.redis import RedisBindings  # an extra that few need
    except ModuleNotFoundError as error:
        raise StoreError(
            "registrations in Redis need a package; run: pip install 'ringfence[redis]'"
        ) from error
    return await RedisBindings.open(url, cluster=cluster)


def _read_names(connection: Connection) -> _Names:
    opined = [(caller, callee) for caller, callee in connection.execute(_OPINED)]
    return _Names(
        list(connection.scalars(_AORS)),
        list(connection.scalars(_REGISTERED)),
        opined,
        list(connection.scalars(_BANNED)),
    )


_PROVED: type[Store] = Database  # by the type checker
