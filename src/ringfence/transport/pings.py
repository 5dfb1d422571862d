"""Keepalives that we send over UDP: STUN Binding Requests (RFC 5626 section 4.4.2).

A flow has failed when no answer comes, or when the answer shows that the NAT gives us another address now: what
the registrar knows of us then leads nowhere.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from ringfence.transport import stun
from ringfence.transport.flow import Endpoint, Flow

RETRANSMISSIONS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds between the seven requests (RFC 5389 section 7.2.1, RTO of 500 ms)."""

LAST_WAIT = 8.0
"""Seconds that the last request waits: RFC 5389 has Rm * RTO."""

MAX_PINGS = 10_000
"""Flows that are pinged at one time: a user agent has one or two, a test of load has thousands."""


class Pings:
    """The Binding Requests of one socket that wait for their responses."""

    __slots__ = ("_failed", "_mapped", "_waiting")

    def __init__(self, failed: Callable[[Flow, str], None]) -> None:
        self._failed = failed
        self._waiting: dict[bytes, tuple[Flow, asyncio.TimerHandle]] = {}
        self._mapped: dict[str, Endpoint] = {}  # by key of the flow: where the peer saw us last

    def ping(self, flow: Flow) -> None:
        """Send a request and watch over its answer."""
        if len(self._waiting) < MAX_PINGS:
            self._send(flow, secrets.token_bytes(12), 0)

    def _send(self, flow: Flow, transaction: bytes, sent: int) -> None:
        if flow.closed:
            self._waiting.pop(transaction, None)
            return
        if sent > len(RETRANSMISSIONS):
            del self._waiting[transaction]
            self._mapped.pop(flow.key, None)
            self._failed(flow, "no answer to a keepalive")
            return
        flow.send(stun.binding_request(transaction))
        wait = RETRANSMISSIONS[sent] if sent < len(RETRANSMISSIONS) else LAST_WAIT
        timer = asyncio.get_running_loop().call_later(wait, self._send, flow, transaction, sent + 1)
        self._waiting[transaction] = flow, timer

    def receive(self, data: bytes, remote: Endpoint) -> bool:
        """Take a datagram that may be a response; gives whether it is one that was waited for."""
        flow, timer = self._waiting.get(data[8:20], (None, None))
        if flow is None or timer is None or flow.remote != remote:
            return False
        found = stun.mapped_address(data)
        if found is None:
            return False
        del self._waiting[data[8:20]]
        timer.cancel()
        before = self._mapped.pop(flow.key, None)
        seen = Endpoint(*found)
        if before is not None and before != seen:
            # "If the XOR-MAPPED-ADDRESS ... changes, the UA MUST treat this event as a failure on the flow."
            self._failed(flow, f"the NAT shows us as {seen} now, not as {before}")
        else:
            self._mapped[flow.key] = seen
            if len(self._mapped) > MAX_PINGS:
                self._mapped.clear()
        return True

    def stop(self) -> None:
        """Wait for nothing more."""
        for _, timer in self._waiting.values():
            timer.cancel()
        self._waiting.clear()
