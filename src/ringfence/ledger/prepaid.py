"""Credit from a balance that is kept in our own store: portions are reserved, and what was not used is given back.

Each step is one transaction of the database. A portion that was reserved stands in a row of its own until the call is
settled, so that a crash between two steps loses nothing and charges nothing twice.
"""

from __future__ import annotations

from ringfence.ledger.credit import CreditControl, CreditRefused, CreditSession, Grant, NoCreditControl
from ringfence.store.balances import Balances, Reservation
from ringfence.store.errors import StoreError


class Prepaid:
    """See `credit.CreditControl`. ``quota``: seconds of one portion; ``writer``: the name of this node."""

    def __init__(self, balances: Balances, writer: str, quota: float = 60.0) -> None:
        self._balances = balances
        self._writer = writer
        self._quota = quota

    async def open(self, session: CreditSession) -> Grant:
        """See `CreditControl.open`."""
        if session.rate is None and session.destination.startswith("tel:"):
            raise CreditRefused("the destination has no price")
        if session.rate is None or session.rate.free:
            return Grant(float("inf"), final=True)
        grant = await self._reserve(session, 0.0)
        if not grant.seconds:
            raise CreditRefused("the credit is used up")
        return grant

    async def more(self, session: CreditSession, used: float) -> Grant:
        """See `CreditControl.more`."""
        return await self._reserve(session, used)

    async def close(self, session: CreditSession) -> None:
        """See `CreditControl.close`."""
        if not session.reserved:
            return
        cost = session.rate.cost(session.used) if session.used and session.rate is not None else 0
        try:
            await self._balances.settle(session.call, cost)
        except StoreError as error:
            raise NoCreditControl(str(error)) from error

    async def _reserve(self, session: CreditSession, used: float) -> Grant:
        rate = session.rate
        assert rate is not None  # `open` has looked
        wanted = max(rate.cost(used + self._quota) - session.reserved, 0)
        least = rate.cost(used + 1.0) - session.reserved
        reservation = Reservation(session.call, self._writer, session.account, wanted)
        try:
            got = await self._balances.reserve(reservation, max(least, 0))
        except StoreError as error:
            raise NoCreditControl(str(error)) from error
        session.reserved += got
        left = min(rate.seconds(session.reserved) - used, self._quota)
        return Grant(max(left, 0.0), final=got < wanted)


_PROVED: type[CreditControl] = Prepaid  # by the type checker
