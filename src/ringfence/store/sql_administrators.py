"""Administrators in a SQL database. There are few and they sign in rarely, so nothing is held in memory."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from ringfence.store.errors import RecordExists, RecordMissing, StoreError
from ringfence.store.records import Administrator, AdministratorRole
from ringfence.store.schema import administrators, api_tokens
from ringfence.store.writer import Writer

_IS_NAME = administrators.c.name == bindparam("old_name")
_FIND = select(administrators).where(_IS_NAME)
_LIST = select(administrators)
_INSERT = insert(administrators)
_UPDATE = update(administrators).where(_IS_NAME)
_DELETE = delete(administrators).where(_IS_NAME)
_DELETE_TOKENS = delete(api_tokens).where(api_tokens.c.administrator == bindparam("old_name"))


class SqlAdministrators:
    """See `ports.Administrators`."""

    def __init__(self, writer: Writer[Any, Any]) -> None:
        self._writer = writer

    async def find(self, name: str) -> Administrator | None:
        """See `ports.Administrators.find`."""
        return await self._writer.run(lambda connection: _find(connection, name), read_only=True)

    async def list(self) -> tuple[Administrator, ...]:
        """See `ports.Administrators.list`."""
        return await self._writer.run(_list, read_only=True)

    async def add(self, administrator: Administrator) -> None:
        """See `ports.Administrators.add`."""
        await self._writer.run(lambda connection: _add(connection, administrator))

    async def update(self, administrator: Administrator) -> None:
        """See `ports.Administrators.update`."""
        await self._writer.run(lambda connection: _update(connection, administrator))

    async def remove(self, name: str) -> None:
        """See `ports.Administrators.remove`."""
        await self._writer.run(lambda connection: _remove(connection, name))


def _find(connection: Connection, name: str) -> Administrator | None:
    row = connection.execute(_FIND, {"old_name": name}).first()
    return None if row is None else _administrator(row)


def _list(connection: Connection) -> tuple[Administrator, ...]:
    # Sorted here: every database has its own idea of the order of letters.
    return tuple(sorted(map(_administrator, connection.execute(_LIST)), key=lambda each: each.name))


def _add(connection: Connection, administrator: Administrator) -> None:
    if _find(connection, administrator.name) is not None:
        raise RecordExists(f"there is an administrator {administrator.name} already")
    connection.execute(_INSERT, _values(administrator))


def _update(connection: Connection, administrator: Administrator) -> None:
    parameters = _values(administrator) | {"old_name": administrator.name}
    if connection.execute(_UPDATE, parameters).rowcount == 0:
        raise RecordMissing(f"there is no administrator {administrator.name}")


def _remove(connection: Connection, name: str) -> None:
    # Its tokens go too: another administrator may get the name.
    connection.execute(_DELETE_TOKENS, {"old_name": name})
    if connection.execute(_DELETE, {"old_name": name}).rowcount == 0:
        raise RecordMissing(f"there is no administrator {name}")


def _values(administrator: Administrator) -> dict[str, Any]:
    return {
        "name": administrator.name,
        "password_hash": administrator.password_hash,
        "role": administrator.role.value,
        "created": administrator.created,
    }


def _administrator(row: Row[Any]) -> Administrator:
    try:
        return Administrator(row.name, row.password_hash, AdministratorRole(row.role), row.created)
    except ValueError as error:
        raise StoreError(f"the stored administrator {row.name} can't be read: {error}") from error
