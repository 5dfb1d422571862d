"""Balances in a SQL database. Nothing is held in memory: another node may spend the same money."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from ringfence.store.balances import Balances, Reservation
from ringfence.store.revision import next_revision
from ringfence.store.schema import balances, reservations
from ringfence.store.writer import Writer

_IS_AOR = balances.c.aor == bindparam("of_aor")
_BALANCE = select(balances.c.amount).where(_IS_AOR)
_CHANGE = update(balances).where(_IS_AOR).values(amount=balances.c.amount + bindparam("more"))
_IS_CALL = reservations.c.call == bindparam("of_call")
_FIND = select(reservations).where(_IS_CALL)
_ADD = update(reservations).where(_IS_CALL).values(amount=reservations.c.amount + bindparam("more"))
_REMOVE = delete(reservations).where(_IS_CALL)
_OPEN = select(reservations).where(reservations.c.writer == bindparam("of_writer"))


class SqlBalances:
    """See `balances.Balances`."""

    def __init__(self, writer: Writer[Any, Any]) -> None:
        self._writer = writer

    async def get(self, account: str) -> int | None:
        """See `Balances.get`."""
        return await self._writer.run(lambda connection: _get(connection, account), read_only=True)

    async def change(self, account: str, amount: int) -> int:
        """See `Balances.change`."""
        return await self._writer.run(lambda connection: _change(connection, account, amount))

    async def reserve(self, wanted: Reservation, least: int) -> int:
        """See `Balances.reserve`."""
        return await self._writer.run(lambda connection: _reserve(connection, wanted, least))

    async def settle(self, call: str, cost: int) -> bool:
        """See `Balances.settle`."""
        return await self._writer.run(lambda connection: _settle(connection, call, cost))

    async def open(self, writer: str) -> tuple[Reservation, ...]:
        """See `Balances.open`."""
        return await self._writer.run(lambda connection: _open(connection, writer), read_only=True)


def _get(connection: Connection, account: str) -> int | None:
    amount = connection.execute(_BALANCE, {"of_aor": account}).scalar()
    return None if amount is None else int(amount)


def _change(connection: Connection, account: str, amount: int) -> int:
    next_revision(connection)  # the lock that puts writers in order: no two take the same money
    if connection.execute(_CHANGE, {"of_aor": account, "more": amount}).rowcount == 0:
        connection.execute(insert(balances), {"aor": account, "amount": amount})
    return _get(connection, account) or 0


def _reserve(connection: Connection, wanted: Reservation, least: int) -> int:
    next_revision(connection)
    amount = min(wanted.amount, _get(connection, wanted.account) or 0)
    if amount < max(least, 0):
        amount = 0
    if not amount and not wanted.session:
        return 0
    if connection.execute(_ADD, {"of_call": wanted.call, "more": amount}).rowcount == 0:
        connection.execute(insert(reservations), wanted._replace(amount=amount)._asdict())
    if amount:
        connection.execute(_CHANGE, {"of_aor": wanted.account, "more": -amount})
    return amount


def _settle(connection: Connection, call: str, cost: int) -> bool:
    next_revision(connection)
    found = connection.execute(_FIND, {"of_call": call}).first()
    if found is None:
        return False
    connection.execute(_REMOVE, {"of_call": call})
    if found.amount != cost:
        _change(connection, found.account, found.amount - cost)
    return True


def _open(connection: Connection, writer: str) -> tuple[Reservation, ...]:
    rows = connection.execute(_OPEN, {"of_writer": writer})
    return tuple(Reservation(row.call, row.writer, row.account, row.amount, row.session) for row in rows)


_PROVED: type[Balances] = SqlBalances  # by the type checker
