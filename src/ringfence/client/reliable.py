"""A 180 that must arrive (RFC 3262 section 3): sent again until its PRACK comes. What counts is in the engine."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from ringfence.client.desk import Desk
from ringfence.engine.machine import ServerTransaction
from ringfence.engine.reliable import MAX_FIRST_RSEQ, Sent
from ringfence.message import Request, Response


class Ringing:
    """Sends one provisional response reliably. ``lost`` is called when no PRACK has come in 64*T1."""

    def __init__(
        self,
        desk: Desk,
        invite: Request,
        transaction: ServerTransaction,
        response: Response,
        lost: Callable[[], None],
    ) -> None:
        self._sent = Sent(invite, 1 + secrets.randbelow(MAX_FIRST_RSEQ))
        self._sent.mark(response)
        self._driver, self._transaction, self._response = desk.driver, transaction, response
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._interval = desk.line.timers.t1
        self._until = self._loop.time() + 64 * self._interval
        self._timer: asyncio.TimerHandle | None = None
        self._send()

    def _send(self) -> None:
        if self._loop.time() >= self._until:
            self._lost()
            return
        self._driver.respond(self._transaction, self._response)
        self._timer = self._loop.call_later(self._interval, self._send)
        self._interval *= 2

    def received(self, prack: Request) -> None:
        """Take a PRACK. Raises PeerError: 481 when it is for another response, 400 when it is malformed."""
        self._sent.receive(prack)
        self.stop()

    def stop(self) -> None:
        """Send no more."""
        if self._timer is not None:
            self._timer.cancel()
