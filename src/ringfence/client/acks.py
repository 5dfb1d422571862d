"""The two ends of the three-way handshake of INVITE, which belong to the user agents and not to a transaction.

A 2xx is sent again until its ACK comes (RFC 3261 section 13.3.1.4), and each 2xx that comes is acknowledged
again (section 13.2.2.4): the network may have lost either.
"""

from __future__ import annotations

import asyncio

from ringfence.client.desk import Desk
from ringfence.client.errors import RequestFailed
from ringfence.engine.dialog import Dialog
from ringfence.engine.machine import ServerTransaction
from ringfence.message import Request, Response
from ringfence.transport.flow import Flow


class Acknowledging:
    """ACKs the 2xx responses of one INVITE in one dialog: made once, sent for each of them."""

    def __init__(self, desk: Desk, dialog: Dialog, invite: Request, *, by_home: bool) -> None:
        self._desk = desk
        self._ack = dialog.ack(invite.cseq.number, invite)
        self._hop = desk.hop_in(dialog, by_home=by_home)
        self._flow: Flow | None = None

    def send(self) -> None:
        """Acknowledge."""
        if self._flow is not None and not self._flow.closed:
            self._desk.driver.send(self._ack, self._flow)
        else:
            self._desk.spawn(self._send())

    async def _send(self) -> None:
        line = self._desk.line
        try:
            place = (await line.places(self._hop))[0]
            flow = await line.flow(place, home=self._hop.home)
        except RequestFailed:
            return  # the peer sends its 2xx again, and ends the call in the end
        self._ack.headers.remove("Via")
        self._ack.headers.prepend("Via", line.via(flow))
        self._flow = flow
        self._desk.driver.send(self._ack, flow)


class Accepting:
    """A 2xx to an INVITE of the peer, sent until the ACK comes. ``acknowledged`` is the ACK, or None when none came."""

    def __init__(self, desk: Desk, transaction: ServerTransaction, response: Response) -> None:
        self._driver = desk.driver
        self._transaction = transaction
        self._response = response
        self._timers = desk.line.timers
        self._interval = self._timers.t1
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + 64 * self._timers.t1
        self.number = response.cseq.number
        self.acknowledged: asyncio.Future[Request | None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._send()

    def _send(self) -> None:
        if self._loop.time() >= self._until:
            self.give_up()
            return
        self._driver.respond(self._transaction, self._response)
        # "an interval that starts at T1 seconds and doubles for each retransmission until it reaches T2 seconds"
        self._timer = self._loop.call_later(self._interval, self._send)
        self._interval = min(2 * self._interval, self._timers.t2)

    def received(self, ack: Request) -> bool:
        """Take an ACK; whether it was the one that was waited for."""
        if ack.cseq.number != self.number or self.acknowledged.done():
            return False
        self._stop(ack)
        return True

    def give_up(self) -> None:
        """Send no more."""
        if not self.acknowledged.done():
            self._stop(None)

    def _stop(self, ack: Request | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.acknowledged.set_result(ack)
