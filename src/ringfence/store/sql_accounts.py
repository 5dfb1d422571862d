"""Accounts in a SQL database, read from memory. Whether a name is free is asked of the database itself, under
its write lock, since another process may have taken it a moment ago."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from ringfence.store.codec import decode_rights, decode_texts, encode_rights, encode_texts
from ringfence.store.errors import RecordExists, RecordMissing, StoreError
from ringfence.store.index import AccountIndex
from ringfence.store.ports import Bindings
from ringfence.store.records import Account, Rights
from ringfence.store.revision import KnownRevision, next_revision
from ringfence.store.schema import accounts, balances, opinions, registrations
from ringfence.store.sql_bindings import SqlBindings
from ringfence.store.sql_opinions import SqlOpinions
from ringfence.store.writer import Writer

HA1_COLUMNS = {"SHA-512-256": "ha1_sha512_256", "SHA-256": "ha1_sha256", "MD5": "ha1_md5"}

_IS_AOR = accounts.c.aor == bindparam("old_aor")
_EXISTS = select(accounts.c.aor).where(_IS_AOR)
_HOLDER = select(accounts.c.aor).where(
    accounts.c.username == bindparam("user"), accounts.c.realm == bindparam("at_realm")
)
_INSERT = insert(accounts)
_UPDATE = update(accounts).where(_IS_AOR)
_DELETE = delete(accounts).where(_IS_AOR)
_DELETE_OPINIONS = delete(opinions).where(opinions.c.callee == bindparam("old_aor"))
_DELETE_BALANCE = delete(balances).where(balances.c.aor == bindparam("old_aor"))
_DELETE_REGISTRATION = delete(registrations).where(registrations.c.aor == bindparam("old_aor"))


class Written(NamedTuple):
    """An account as a transaction left it: None when it was removed."""

    aor: str
    account: Account | None
    revision: int


class SqlAccounts(AccountIndex):
    """See `ports.Accounts`."""

    def __init__(
        self,
        writer: Writer[Any, Any],
        known: KnownRevision,
        bindings: SqlBindings,
        opinions: SqlOpinions,
        elsewhere: Bindings | None = None,
    ) -> None:
        super().__init__()
        self._opinions = opinions
        self._writer = writer
        self._known = known
        self._bindings = bindings
        self._elsewhere = elsewhere

    async def add(self, account: Account) -> None:
        """See `ports.Accounts.add`."""
        await self._writer.run(lambda connection: _add(connection, account), self._apply)

    async def add_all(self, accounts: Sequence[Account]) -> None:
        """Store new accounts in one transaction, all or none. Raises as `add` does."""
        await self._writer.run(
            lambda connection: [_add(connection, each) for each in accounts], self._apply_all
        )

    async def update(self, account: Account) -> None:
        """See `ports.Accounts.update`."""
        await self._writer.run(lambda connection: _update(connection, account), self._apply)

    async def remove(self, aor: str) -> None:
        """See `ports.Accounts.remove`."""
        await self._writer.run(lambda connection: _remove(connection, aor), self._apply)
        if self._elsewhere is not None:
            await self._elsewhere.change(aor, lambda _: (), 0.0)

    def _apply_all(self, written: Sequence[Written]) -> None:
        for each in written:
            self._apply(each)

    def _apply(self, written: Written) -> None:
        self._known.wrote(written.revision)
        if written.account is not None:
            self.hold(written.account)
        else:
            self.drop(written.aor)
            self._bindings.hold(written.aor, (), 0)
            self._opinions.forget_callee(written.aor)


def read_row(row: Row[Any], shared_rights: dict[str, Rights]) -> Account:
    """The account in a row. Equal rights are one object in memory, found by their text in `shared_rights`.

    Raises:
        StoreError: The row is damaged; the text names the account.
    """
    try:
        rights = shared_rights.get(row.rights)
        if rights is None:
            rights = shared_rights[row.rights] = decode_rights(row.rights)
        found = ((algorithm, getattr(row, column)) for algorithm, column in HA1_COLUMNS.items())
        return Account(
            aor=row.aor,
            user=row.username,
            realm=row.realm,
            credentials={algorithm: ha1 for algorithm, ha1 in found if ha1 is not None},
            aliases=decode_texts(row.aliases),
            rights=rights,
            display_name=row.display_name,
            disabled=row.disabled,
            created=row.created,
            updated=row.updated,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"the stored account {row.aor} can't be read: {error}") from error


def _values(account: Account, revision: int) -> dict[str, Any]:
    hashes = {column: account.credentials.get(algorithm) for algorithm, column in HA1_COLUMNS.items()}
    return hashes | {
        "aor": account.aor,
        "username": account.user,
        "realm": account.realm,
        "aliases": encode_texts(account.aliases),
        "rights": encode_rights(account.rights),
        "display_name": account.display_name,
        "disabled": account.disabled,
        "created": account.created,
        "updated": account.updated,
        "revision": revision,
    }


def _add(connection: Connection, account: Account) -> Written:
    revision = next_revision(connection)
    if _exists(connection, account.aor):
        raise RecordExists(f"there is an account {account.aor} already")
    _claim_user(connection, account)
    connection.execute(_INSERT, _values(account, revision))
    return Written(account.aor, account, revision)


def _update(connection: Connection, account: Account) -> Written:
    revision = next_revision(connection)
    if not _exists(connection, account.aor):
        raise RecordMissing(f"there is no account {account.aor}")
    _claim_user(connection, account)
    connection.execute(_UPDATE, _values(account, revision) | {"old_aor": account.aor})
    return Written(account.aor, account, revision)


def _remove(connection: Connection, aor: str) -> Written:
    revision = next_revision(connection)
    if not _exists(connection, aor):
        raise RecordMissing(f"there is no account {aor}")
    connection.execute(_DELETE, {"old_aor": aor})
    connection.execute(_DELETE_REGISTRATION, {"old_aor": aor})
    connection.execute(_DELETE_OPINIONS, {"old_aor": aor})
    connection.execute(_DELETE_BALANCE, {"old_aor": aor})
    return Written(aor, None, revision)


def _exists(connection: Connection, aor: str) -> bool:
    return connection.execute(_EXISTS, {"old_aor": aor}).first() is not None


def _claim_user(connection: Connection, account: Account) -> None:
    holder = connection.execute(_HOLDER, {"user": account.user, "at_realm": account.realm}).scalar()
    if holder is not None and holder != account.aor:
        raise RecordExists(f"{holder} has the user {account.user} in the realm {account.realm}")
