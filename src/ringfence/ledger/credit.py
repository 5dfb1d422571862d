"""Credit for prepaid calls: how long a call may last is granted in portions, before it begins and while it goes on.

Who grants is behind `CreditControl`: a balance in our own store (`ledger.prepaid`) or a Diameter server
(`ledger.diameter_credit`). A grant counts from the moment when it was asked for. `close` says what was used in the end,
and is called again until it has worked, also after a crash: so nobody pays for what was granted and not used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ringfence.ledger.rates import Rate


@dataclass(slots=True, eq=False)
class CreditSession:
    """The credit of one call."""

    call: str
    """The key of the call."""
    account: str
    destination: str
    rate: Rate | None = None
    id: str = ""
    """Session-Id, where the server is a Diameter one."""
    requests: int = 0
    """Sent so far."""
    reserved: int = 0
    """Taken from the balance so far, in millionths."""
    reported: float = 0.0
    """Seconds that have been told as used."""
    used: float = 0.0
    """Seconds from the answer to the end; known when the call is over."""
    reason: str = ""
    """Why it ended."""
    rating_group: int | None = None
    """What a server counts the units of this session under, where it counts several."""
    interrupt: Callable[[bool], None] | None = None
    """Whoever grants wants to be asked again at once, or (True) the call to end."""


class Grant(NamedTuple):
    """So many seconds from now. ``final``: there will be no more. ``validity``: seconds after which to ask again."""

    seconds: float
    final: bool = False
    validity: float = float("inf")


class CreditRefused(Exception):
    """There is no credit. The text is for the caller."""


class NoCreditControl(Exception):
    """Nobody could be asked, so it is not known whether there is credit."""


class CreditControl(Protocol):
    """Who grants."""

    async def open(self, session: CreditSession) -> Grant:
        """The first portion, before the call is forwarded. Raises CreditRefused, NoCreditControl."""

    async def more(self, session: CreditSession, used: float) -> Grant:
        """Another portion; so many seconds have been used so far. Raises as `open` does."""

    async def close(self, session: CreditSession) -> None:
        """The call is over, or was never made. Raises NoCreditControl: to be called again."""
