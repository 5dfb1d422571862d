"""Tokens of programs in a SQL database. They are looked up as they are used: one that was removed ends at once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select

from ringfence.store.errors import RecordExists, RecordMissing
from ringfence.store.records import Token
from ringfence.store.schema import administrators, api_tokens
from ringfence.store.writer import Writer

_FIND = select(api_tokens).where(api_tokens.c.digest == bindparam("wanted"))
_NAMED = select(api_tokens.c.name).where(api_tokens.c.name == bindparam("wanted"))
_OWNER = select(administrators.c.name).where(administrators.c.name == bindparam("wanted"))
_DELETE = delete(api_tokens).where(api_tokens.c.name == bindparam("wanted"))


class SqlTokens:
    """Tokens by the digest of what a program brings."""

    def __init__(self, writer: Writer[Any, Any]) -> None:
        self._writer = writer

    async def find(self, digest: str) -> Token | None:
        """The token of that digest, expired or not. Raises `StoreError`."""

        def read(connection: Connection) -> Token | None:
            row = connection.execute(_FIND, {"wanted": digest}).first()
            return None if row is None else _token(row)

        return await self._writer.run(read, read_only=True)

    async def list(self) -> tuple[Token, ...]:
        """All of them, in order of name. Raises `StoreError`."""

        def read(connection: Connection) -> tuple[Token, ...]:
            found = map(_token, connection.execute(select(api_tokens)))
            return tuple(sorted(found, key=lambda each: each.name))

        return await self._writer.run(read, read_only=True)

    async def add(self, token: Token) -> None:
        """Store a new token. Raises `RecordExists`, or `RecordMissing` when its administrator is not there."""
        await self._writer.run(lambda connection: _add(connection, token))

    async def remove(self, name: str) -> None:
        """Remove a token. Raises `RecordMissing`."""
        await self._writer.run(lambda connection: _remove(connection, name))


def _add(connection: Connection, token: Token) -> None:
    if connection.execute(_NAMED, {"wanted": token.name}).first() is not None:
        raise RecordExists(f"there is a token {token.name} already")
    if connection.execute(_OWNER, {"wanted": token.administrator}).first() is None:
        raise RecordMissing(f"there is no administrator {token.administrator}")
    values = {
        name: getattr(token, name) for name in ("name", "administrator", "digest", "created", "expires")
    }
    connection.execute(insert(api_tokens), values)


def _remove(connection: Connection, name: str) -> None:
    if connection.execute(_DELETE, {"wanted": name}).rowcount == 0:
        raise RecordMissing(f"there is no token {name}")


def _token(row: Row[Any]) -> Token:
    return Token(row.name, row.administrator, row.digest, row.created, row.expires)
