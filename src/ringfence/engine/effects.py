"""What the engine asks of its driver: seven small values, and nothing else.

The engine never sends, sleeps or calls back. Each call into it returns a list of effects, which the driver performs in
order. ``Arm`` and ``Disarm`` do not leave the engine: ``transactions`` turns them into deadlines.

Plain classes with slots, since some are made on every step: 0.11 us each, where a NamedTuple costs 0.20, and mypyc
can compile them, which it can't do with a dataclass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ringfence.engine.machine import ClientTransaction, ServerTransaction, Transaction
    from ringfence.engine.timers import Timer
    from ringfence.message import Request, Response


class Outlet(Protocol):
    """All that the engine knows of a flow. ``key`` is unique among flows and does not change."""

    @property
    def key(self) -> str: ...

    @property
    def reliable(self) -> bool:
        """Whether the transport retransmits by itself (TCP, TLS, WebSocket), so that we must not."""
        ...


class Waiter(Protocol):
    """A transaction user with timers of its own, such as a proxy's timer C; told apart by identity."""

    def expired(self, timer: Timer, now: float, /) -> list[Effect]:
        """A timer that was armed with ``Transactions.arm`` is due."""
        ...


class Send:
    """Write the message to the flow."""

    __slots__ = ("flow", "message")

    def __init__(self, message: Request | Response, flow: Outlet) -> None:
        self.message = message
        self.flow = flow


class Deliver:
    """Pass a message up to the transaction user (the TU of RFC 3261 section 17).

    A request goes to the roles, a response to ``transaction.user``. Without a transaction it is an ACK that none took
    (the ACK for a 2xx is end to end, section 17), or a stray response, which nobody may forward (RFC 6026 section 7.3).
    """

    __slots__ = ("message", "transaction")

    def __init__(
        self, message: Request | Response, transaction: ServerTransaction | ClientTransaction | None
    ) -> None:
        self.message = message
        self.transaction = transaction


class Failed:
    """Tell the transaction's user that it failed.

    ``status`` is what the failure counts as: 408 for a timeout, 503 for a transport error (RFC 3261 section 8.1.3.1),
    487 for a cancelled INVITE that was never answered (section 9.1).
    """

    __slots__ = ("reason", "status", "transaction")

    def __init__(self, transaction: Transaction, status: int, reason: str) -> None:
        self.transaction = transaction
        self.status = status
        self.reason = reason


class Due:
    """Tell a transaction user that its timer is due: call ``owner.expired`` and perform what it returns."""

    __slots__ = ("owner", "timer")

    def __init__(self, owner: Waiter, timer: Timer) -> None:
        self.owner = owner
        self.timer = timer


class Arm:
    """Start a timer of this transaction, ``delay`` seconds from now; zero means at once.

    A transaction runs at most two timers: one that makes it send something ``again``, and one that ends its wait.
    Starting the second kind begins a new wait, so that it stops both of the old one.
    """

    __slots__ = ("again", "delay", "timer")

    def __init__(self, timer: Timer, delay: float, *, again: bool = False) -> None:
        self.timer = timer
        self.delay = delay
        self.again = again


class Disarm:
    """Stop the timers of this transaction."""

    __slots__ = ()


class Ended:
    """The transaction is gone; always the last effect for it. The driver then calls ``transaction.release()``.

    One that ends by a timer, with nothing else to perform, is released by the engine and not told.
    """

    __slots__ = ("reason", "transaction")

    def __init__(self, transaction: Transaction, reason: str) -> None:
        self.transaction = transaction
        self.reason = reason


Effect = Send | Deliver | Failed | Due | Arm | Disarm | Ended
