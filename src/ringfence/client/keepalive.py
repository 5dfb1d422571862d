"""Keepalives over the flow of a registration: they hold a NAT open and find out when the flow is dead.

RFC 5626 section 4.4: a double CRLF over connections and a STUN Binding Request over UDP, both of which the server
answers. The flow tells when the answer does not come, or shows that the NAT has given us another address. A registrar
that knows nothing of this (no Outbound) gets a double CRLF over UDP, and does not answer.
"""

from __future__ import annotations

import asyncio
import random

from ringfence.transport.flow import Flow

CONNECTION_PERIOD = (95.0, 120.0)
DATAGRAM_PERIOD = (24.0, 29.0)
"""Seconds between two, chosen anew each time (RFC 5626 sections 4.4.1 and 4.4.2)."""

CRLF = b"\r\n\r\n"


class Keepalive:
    """Pings one flow until it is stopped."""

    def __init__(self, flow: Flow, flow_timer: int | None = None, *, answered: bool = True) -> None:
        """``answered``: the peer answers; else there is nothing to wait for."""
        self._flow = flow
        self._answered = answered
        default = CONNECTION_PERIOD if flow.reliable else DATAGRAM_PERIOD
        # "randomly distributed between 80% and 100% of the server-provided time" (section 4.4)
        self._period = default if flow_timer is None else (0.8 * flow_timer, float(flow_timer))
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Ping after the first period, and so on."""
        delay = random.uniform(*self._period)  # noqa: S311  it spreads load and keeps no secret
        self._timer = asyncio.get_running_loop().call_later(delay, self._ping)

    def stop(self) -> None:
        """Ping no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _ping(self) -> None:
        if self._flow.closed:
            return
        if self._answered:
            self._flow.ping()
        else:
            self._flow.send(CRLF)
        self.start()
