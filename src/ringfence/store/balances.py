"""Money of prepaid accounts, and what of it is set aside for calls that go on. Amounts are millionths of a currency.

A balance changes in three ways: its owner adds to it, a call sets a portion aside, a call is settled. Each is one
transaction, and a call is settled once: its row goes with it.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Reservation(NamedTuple):
    """What one call has set aside, or a session that a server elsewhere keeps for it."""

    call: str
    writer: str
    """The node that the call goes through."""
    account: str
    amount: int
    session: str = ""
    """The Session-Id of a Diameter server."""


class Balances(Protocol):
    """All methods are durable when they return, and raise StoreError."""

    async def get(self, account: str) -> int | None:
        """What an account has, without what is set aside; None for one that never had any."""

    async def change(self, account: str, amount: int) -> int:
        """Add to a balance, or take from it. Gives what it is then."""

    async def reserve(self, wanted: Reservation, least: int) -> int:
        """Set as much of ``wanted.amount`` aside as there is, but ``least`` or nothing. Gives how much.

        The call has a row from then on, unless nothing was set aside and no server keeps a session of it.
        """

    async def settle(self, call: str, cost: int) -> bool:
        """The call is over and has cost so much: the rest goes back. False: it had been settled before."""

    async def open(self, writer: str) -> tuple[Reservation, ...]:
        """The calls of a node that have not been settled."""


class MemoryBalances:
    """See `Balances`. Nothing outlives the process."""

    def __init__(self) -> None:
        self.balances: dict[str, int] = {}
        self.reservations: dict[str, Reservation] = {}

    async def get(self, account: str) -> int | None:
        """See `Balances.get`."""
        return self.balances.get(account)

    async def change(self, account: str, amount: int) -> int:
        """See `Balances.change`."""
        self.balances[account] = self.balances.get(account, 0) + amount
        return self.balances[account]

    async def reserve(self, wanted: Reservation, least: int) -> int:
        """See `Balances.reserve`."""
        balance = self.balances.get(wanted.account, 0)
        amount = min(wanted.amount, balance)
        if amount < max(least, 0):
            amount = 0
        if not amount and not wanted.session:
            return 0
        before = self.reservations.get(wanted.call)
        self.reservations[wanted.call] = wanted._replace(amount=amount + (before.amount if before else 0))
        if amount:
            self.balances[wanted.account] = balance - amount
        return amount

    async def settle(self, call: str, cost: int) -> bool:
        """See `Balances.settle`."""
        reservation = self.reservations.pop(call, None)
        if reservation is None:
            return False
        if reservation.amount or cost:
            await self.change(reservation.account, reservation.amount - cost)
        return True

    async def open(self, writer: str) -> tuple[Reservation, ...]:
        """See `Balances.open`."""
        return tuple(each for each in self.reservations.values() if each.writer == writer)


_PROVED: type[Balances] = MemoryBalances  # by the type checker
