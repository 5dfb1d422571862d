"""Bytes in order over one connection, and the limits that every connection has.

A ``ByteStream`` is what a TCP connection looks like from above: opened, received, closed, and ``write``.
``tls.TlsStream`` is the same with encryption in between; what rides on top (SIP messages in ``tcp``,
WebSocket in ``websocket``) does not know which of the two it has. There is no task and no timer for a
connection: one sweep a second looks at all of them, and at each only at two numbers.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Protocol, cast

from ringfence.transport.flow import Endpoint, PeerCertificate
from ringfence.transport.limits import Census, Limits
from ringfence.transport.pace import Pace

NEVER = float("inf")

STOPS = "the node stops"
"""The reason that every connection is given at the end."""


class Above(Protocol):
    """What rides on a stream."""

    def stream_opened(self) -> None:
        """Bytes can be written."""

    def stream_received(self, data: bytes) -> None:
        """Bytes came; never empty."""

    def stream_closed(self, reason: str) -> None:
        """The end, told once for every stream that was not refused at the door."""


class Streams:
    """Every live stream of one loop: their number, their limits, and the sweep that holds the limits."""

    def __init__(self, limits: Limits, pace: Pace) -> None:
        self.limits = limits
        self.pace = pace
        self.census = Census(limits)
        self.refused = 0
        """Connections that were closed at the door since there were too many."""
        self.welcome: Callable[[str], float] | None = None
        """How many seconds a connection from an address waits before it is read; below zero: it is refused. The guard's
        word."""
        self.joining = False
        self.unsent: list[ByteStream] = []
        """Streams that have something to send when the present ``pass_up`` is over."""
        self._live: set[ByteStream] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event | None = None

    def __len__(self) -> int:
        return len(self._live)

    def pass_up(self, above: Above, data: bytes) -> None:
        """Give received bytes to what rides on a stream, and then send what that wrote to any stream, joined.

        One read often brings several messages on a busy connection, and a system call for each answer would cost more
        than the answer does.
        """
        self.joining = True
        try:
            above.stream_received(data)
        finally:
            self.joining = False
            unsent, self.unsent = self.unsent, []
            for stream in unsent:
                stream.flush()

    def enter(self, stream: ByteStream) -> None:
        """A connection has come to be."""
        self._live.add(stream)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.limits.sweep_time, self._sweep)

    def leave(self, stream: ByteStream) -> None:
        """It has ended."""
        self._live.discard(stream)
        if not self._live and self._empty is not None:
            self._empty.set()

    def _sweep(self) -> None:
        self._timer = None
        if not self._live:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        for stream in list(self._live):
            stream.check(now)
        self._timer = loop.call_later(self.limits.sweep_time, self._sweep)

    async def drain(self, seconds: float) -> None:
        """Wait until no stream is left, or this time is over."""
        if self._live:
            self._empty = asyncio.Event()
            # Not wait_for: until Python 3.12 it can swallow a cancellation.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._empty.wait()

    def stop(self) -> None:
        """End the sweep and every stream that is left."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for stream in list(self._live):
            stream.abort(STOPS)


class ByteStream(asyncio.Protocol):
    """One TCP connection. ``accepted`` says that the peer made it."""

    __slots__ = (
        "_above",
        "_active",
        "_expected",
        "_held",
        "_held_until",
        "_idle_since",
        "_joined",
        "_reason",
        "_settled",
        "_streams",
        "_transport",
        "accepted",
        "deadline",
        "local",
        "remote",
    )

    def __init__(self, streams: Streams, above: Above, *, accepted: bool) -> None:
        self._streams = streams
        self._above: Above | None = above
        self.accepted = accepted
        self._transport: asyncio.Transport | None = None
        self._reason: str | None = None  # why it is being closed
        self._settled = False  # handshakes are done
        self._active = True  # something moved since the last sweep
        self._idle_since = 0.0
        self._joined: list[bytes] = []  # written, to be sent with what else is written in this turn
        self._held: asyncio.TimerHandle | None = None
        self._held_until = 0.0
        self.deadline = NEVER
        """When what is expected is overdue."""
        self._expected = ""
        self.local = self.remote = Endpoint("", 0)

    # -- from the loop ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection, or refuse it."""
        self._transport = cast("asyncio.Transport", transport)
        self.local = _endpoint(transport.get_extra_info("sockname"))
        self.remote = _endpoint(transport.get_extra_info("peername"))
        streams = self._streams
        census, limits = streams.census, streams.limits
        wait = 0.0 if not self.accepted or streams.welcome is None else streams.welcome(self.remote.host)
        if self.accepted and (wait < 0.0 or census.refusal(self.remote.host) is not None):
            streams.refused += 1
            self._above = None
            transport.abort()  # type: ignore[attr-defined]
            return
        census.enter(self.remote.host if self.accepted else None)
        streams.enter(self)
        if self._reason is not None:  # closed while it was connecting
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=limits.unsent, low=0)
        self.expect(limits.handshake_time + wait, "the end of the handshake")
        self.start()
        if wait:
            self.hold(wait)

    def start(self) -> None:
        """The connection is there; a stream that has a handshake of its own begins it."""
        self.opened()

    def opened(self) -> None:
        """Tell what rides on top that it may write."""
        if self._above is not None:
            self._above.stream_opened()

    def data_received(self, data: bytes) -> None:
        """Bytes from the loop."""
        self._active = True
        if self._above is not None and self._reason is None:
            self._streams.pass_up(self._above, data)
            self._streams.pace.took(1)

    def pause_writing(self) -> None:
        """The write buffer has passed its limit."""
        self.abort(f"the peer did not read {self._streams.limits.unsent} bytes")

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        above, self._above = self._above, None
        self._transport = None
        if above is None:
            return
        streams = self._streams
        streams.leave(self)
        if self._held is not None:
            self._held.cancel()
        host = self.remote.host if self.accepted else None
        if not self._settled:
            streams.census.settle(host)
        streams.census.leave(host)
        above.stream_closed(self._reason or (f"connection lost: {exc}" if exc else "the peer closed it"))

    # -- from above ------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send bytes after those before; see ``Streams.pass_up`` for when."""
        transport = self._transport
        if transport is None or self._reason is not None:
            return
        self._active = True
        if not self._streams.joining:
            transport.write(data)
            return
        if not self._joined:
            self._streams.unsent.append(self)
        self._joined.append(data)

    def flush(self) -> None:
        """Send what waits to be sent."""
        joined, self._joined = self._joined, []
        if joined and self._transport is not None:
            self._transport.write(joined[0] if len(joined) == 1 else b"".join(joined))

    def hold(self, seconds: float) -> None:
        """Take no more bytes for so long: TCP then tells the peer to wait. Of several times the longest counts."""
        transport = self._transport
        if transport is None or self._reason is not None:
            return
        loop = asyncio.get_running_loop()
        self._held_until = max(self._held_until, loop.time() + seconds)
        if self._held is None:
            transport.pause_reading()
            self._held = loop.call_at(self._held_until, self._go_on)

    def _go_on(self) -> None:
        loop = asyncio.get_running_loop()
        self._held = None
        if self._transport is None or self._reason is not None:
            return
        if loop.time() < self._held_until:
            self._held = loop.call_at(self._held_until, self._go_on)
        else:
            self._transport.resume_reading()

    def settle(self) -> None:
        """All handshakes are done, and the first message may be waited for."""
        if not self._settled:
            self._settled = True
            self._streams.census.settle(self.remote.host if self.accepted else None)
            if self.accepted:
                self.expect(self._streams.limits.first_message_time, "a first message")
            else:
                self.expect_nothing()

    def expect(self, seconds: float, what: str) -> None:
        """Abort the stream unless ``expect_nothing`` or another ``expect`` comes within this time."""
        self.deadline = asyncio.get_running_loop().time() + seconds
        self._expected = what

    def expect_nothing(self) -> None:
        """Nothing is overdue; the idle time counts."""
        self.deadline = NEVER

    @property
    def expecting(self) -> bool:
        """Whether a time is running."""
        return self.deadline != NEVER

    def close(self, reason: str) -> None:
        """Close after what was written has gone out; when that takes too long, at once."""
        if self._reason is None:
            self._reason = reason
            if self._transport is not None:
                self.flush()
                self.deadline = asyncio.get_running_loop().time() + self._streams.limits.close_time
                self._transport.close()

    def abort(self, reason: str) -> None:
        """Close at once and lose what was not sent."""
        if self._reason is None:
            self._reason = reason
        if self._transport is not None:
            self._transport.abort()

    def failed(self, reason: str) -> None:
        """The connection never came to be."""
        above, self._above = self._above, None
        if above is not None:
            above.stream_closed(self._reason or reason)

    @property
    def peer(self) -> PeerCertificate | None:
        """The certificate that the peer showed."""
        return None

    @property
    def protection(self) -> str:
        """TLS version and cipher suite for logs; "" in plain text."""
        return ""

    # -- from the sweep --------------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """Hold the time limits."""
        if now >= self.deadline:
            self.abort(f"timed out waiting for {self._expected}")
        elif self._active:
            self._active = False
            self._idle_since = now
        elif now - self._idle_since >= self._streams.limits.idle_time:
            self.close(f"idle for {self._streams.limits.idle_time:g} s")


def _endpoint(address: Any) -> Endpoint:
    # A peer that is gone already has no address any more.
    return Endpoint(address[0], address[1]) if address else Endpoint("", 0)
