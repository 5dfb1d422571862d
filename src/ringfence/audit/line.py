"""One socket of the auditor towards the server, a tape of all that crossed it, and the pace at which it sends.

It stands on ``ringfence.transport``: a pool of its own for each line, so that a new line is a new connection from a new
port. Octets are sent as they are, for probes that send what no parser would write.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field
from typing import NamedTuple

from ringfence.client.line import local_host
from ringfence.engine.places import Endpoint
from ringfence.transport.contexts import Contexts, TlsSettings
from ringfence.transport.flow import Flow, PeerCertificate
from ringfence.transport.limits import Limits
from ringfence.transport.pool import Pool
from ringfence.transport.tcp import StreamFlow

CONNECT_SECONDS = 4.0
"""For a connection with its handshakes: a server that takes longer is not there for callers either."""

CLOSE_SECONDS = 0.3
"""For a server to take what was sent: one that has had enough of it never will."""

MAX_ARRIVED = 5_000
"""Messages of one line that wait to be read: a server that sends without end fills no memory."""

LIMITS = Limits(connect_time=CONNECT_SECONDS, handshake_time=CONNECT_SECONDS, close_time=CLOSE_SECONDS)

WEAKEST = "ALL:@SECLEVEL=0"
"""The auditor talks to any server, however weak its cipher, in order to say so."""


class Place(NamedTuple):
    """A port of the server. ``server_name`` is what its certificate ought to prove."""

    transport: str
    endpoint: Endpoint
    server_name: str

    def __str__(self) -> str:
        return f"{self.transport.lower()} {self.endpoint}"

    @property
    def secure(self) -> bool:
        """Whether it is over TLS."""
        return self.transport in {"TLS", "WSS"}

    @property
    def datagrams(self) -> bool:
        """Whether what is sent may be lost."""
        return self.transport == "UDP"


class Crossed(NamedTuple):
    """Octets that crossed a line. ``time`` is that of the loop's clock."""

    time: float
    outward: bool
    place: Place
    data: bytes


@dataclass(slots=True)
class Tape:
    """All that was sent and received, in order."""

    items: list[Crossed] = field(default_factory=list)

    def note(self, outward: bool, place: Place, data: bytes) -> None:
        """Record one message or piece of one."""
        self.items.append(Crossed(asyncio.get_running_loop().time(), outward, place, data))


class Pace:
    """At most so many messages in a second, whoever sends them."""

    def __init__(self, rate: float) -> None:
        self._gap = 1 / rate
        self._next = 0.0

    async def wait(self) -> None:
        """Until the next message may go."""
        now = asyncio.get_running_loop().time()
        start = max(now, self._next)
        self._next = start + self._gap
        if start > now:
            await asyncio.sleep(start - now)


class Line:
    """An open socket. Made by ``open_line``."""

    def __init__(self, place: Place, tape: Tape, pace: Pace, contexts: Contexts) -> None:
        self.place = place
        self.local = Endpoint("", 0)
        self.ended: str | None = None
        """Why the connection is over; None while it lives."""
        self._tape = tape
        self._pace = pace
        self._arrived: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._ready = asyncio.Event()
        self._pool = Pool(self, LIMITS, contexts=contexts)
        self._flow: Flow | None = None

    # -- life ------------------------------------------------------------------------------------------

    async def open(self, local: str | None = None) -> None:
        """Open the socket, from this address if one is given. Raises OSError."""
        place = self.place
        host = local or local_host(place.endpoint.host)
        if place.datagrams:
            listener = await self._pool.listen("UDP", host, 0)
            self.local = listener.local
            self._flow = self._pool.flow_to("UDP", place.endpoint)
            return
        source = Endpoint(local, 0) if local else None
        self._flow = self._pool.flow_to(place.transport, place.endpoint, place.server_name, source)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_SECONDS + CLOSE_SECONDS):
                await self._ready.wait()
        if self.ended is not None or not self._ready.is_set():
            await self._pool.close()
            raise ConnectionError(self.ended or f"{place.endpoint} did not answer")
        self.local = self._flow.local

    async def close(self) -> None:
        """Close it."""
        await self._pool.close()

    async def __aenter__(self) -> Line:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # -- both ways -------------------------------------------------------------------------------------

    async def send(self, data: bytes, *, at_once: bool = False) -> None:
        """Send octets when their turn has come, or at once for a burst."""
        if not at_once:
            await self._pace.wait()
        self._tape.note(True, self.place, data)
        if self._flow is not None:
            self._flow.send(data)

    async def receive(self, seconds: float) -> bytes | None:
        """The next message that arrives in this time; None when there is none, or the connection is over."""
        if self._arrived.empty() and (seconds <= 0 or (self.ended and not self.place.datagrams)):
            return None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0.001)):
                return await self._arrived.get()
        return None

    async def over(self, seconds: float) -> bool:
        """Whether the server ends the connection within this time."""
        end = asyncio.get_running_loop().time() + seconds
        while self.ended is None and (left := end - asyncio.get_running_loop().time()) > 0:
            await self.receive(left)
        return self.ended is not None

    @property
    def peer(self) -> PeerCertificate | None:
        """The certificate that the server showed."""
        return self._flow.peer if self._flow is not None else None

    @property
    def protection(self) -> str:
        """The version of TLS and the cipher."""
        return self._flow.protection if isinstance(self._flow, StreamFlow) else ""

    # -- from the transport ----------------------------------------------------------------------------

    def received(self, data: bytes, flow: Flow) -> None:
        """One message."""
        if self._arrived.qsize() >= MAX_ARRIVED:
            return
        self._tape.note(False, self.place, data)
        self._arrived.put_nowait(data)

    def opened(self, flow: Flow) -> None:
        """The connection is ready."""
        self._ready.set()

    def closed(self, flow: Flow, reason: str) -> None:
        """It has ended, or the network says that nobody is there."""
        self.ended = reason
        self._ready.set()
        self._arrived.put_nowait(None)


def contexts_for_any_server() -> Contexts:
    """TLS that connects to any server: what is wrong with its certificate and cipher is for the probes to say."""
    contexts = Contexts(TlsSettings(verify_servers=False))
    contexts.client.set_ciphers(WEAKEST)
    contexts.client.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    return contexts
