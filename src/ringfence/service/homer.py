"""Send every message that passes the node to Homer or its like, all the time and never in the way of a call.

When a message passes, its octets are put into a bounded queue and nothing more is done; a task takes out secrets,
makes packets (`hep`) and writes them, a few at a time so that calls come between. A server that is slow or away fills
the queue; then messages are dropped and counted. Its connection is tried again and again, with longer and longer rests.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter, deque
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal, NamedTuple, Protocol

import structlog

from ringfence.message import Message
from ringfence.security.asserted import ANONYMOUS_HOST
from ringfence.service.copies import PRIVATE_CALL, STAND_IN_HOSTS, copy_of, without_secrets
from ringfence.service.hep import Agent, Seen, packet
from ringfence.transport.flow import Endpoint, Flow

log = structlog.get_logger("ringfence.hep")

MAX_WAITING = 10_000
"""Messages that wait for the server: some seconds of a busy node."""

MAX_WAITING_OCTETS = 16_000_000
"""The same in memory, when messages are large."""

AT_ONCE = 16
"""Messages that are made ready without letting calls come between: about a millisecond."""

CONNECT_SECONDS = 10.0
WRITE_SECONDS = 10.0
"""For the server to take what was written. One that takes nothing is left, and connected to again."""

FIRST_REST, LONGEST_REST = 1.0, 60.0
"""Seconds between tries to connect: doubled each time."""

STAND_IN_PORT = 5060

Policy = Literal["hide", "link", "omit"]


class Waiting(NamedTuple):
    """A message in the queue."""

    data: bytes
    inward: bool
    private: bool
    call_id: str
    local: Endpoint
    remote: Endpoint
    reliable: bool
    time: float


class Line(Protocol):
    """A way to the server. Raises OSError when it is gone."""

    async def write(self, data: bytes) -> None:
        """Write packets that were made by `packet`, one after the other; waits while there is too much unwritten."""

    def close(self) -> None:
        """End it."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where packets go. ``context``: TLS, and what certificate the server needs; None: none."""

    host: str
    port: int
    datagrams: bool
    context: ssl.SSLContext | None = None


class Homer:
    """The exporter: `offer` is called for each message, `run` does the rest until it is cancelled."""

    def __init__(self, server: Server, agent: Agent, policy: Policy = "hide", key: bytes = b"") -> None:
        """``policy`` says what is sent of private calls; ``key`` is that of the hash that links them."""
        self.counts: Counter[str] = Counter()
        self.connected = False
        self._server = server
        self._agent = agent
        self._policy = policy
        self._key = key
        self._queue: deque[Waiting] = deque()
        self._octets = 0
        self._more = asyncio.Event()

    def offer(self, direction: str, message: Message, flow: Flow, now: float, *, private: bool) -> None:
        """Take a message, or drop it when too many wait."""
        if private and self._policy == "omit":
            self.counts["omitted"] += 1
            return
        if len(self._queue) >= MAX_WAITING or self._octets >= MAX_WAITING_OCTETS:
            self.counts["dropped"] += 1
            return
        call_id = message.headers.get("Call-ID") or ""
        if private:
            call_id = self._stand_in(call_id)
            data = copy_of(message, private=True, call_id=call_id)
        else:
            data = message.to_bytes()  # now: what passes is changed on its way
        self._octets += len(data)
        self._queue.append(
            Waiting(data, direction == "in", private, call_id, flow.local, flow.remote, flow.reliable, now)
        )
        self._more.set()

    @property
    def waiting(self) -> int:
        """Messages in the queue."""
        return len(self._queue)

    async def run(self) -> None:
        """Connect, send what waits, and begin again when the connection ends."""
        rest = FIRST_REST
        while True:
            await self._more.wait()  # a node without traffic needs no connection
            before = self.counts["sent"]
            try:
                await self._send_all()
            except Exception as error:  # whatever it is, messages have to leave the queue again
                self.counts["failed connections"] += 1
                rest = FIRST_REST if self.counts["sent"] > before else min(2 * rest, LONGEST_REST)
                log.warning(
                    "not sent to the HEP server", reason=str(error) or type(error).__name__, next=rest
                )
                await asyncio.sleep(rest)

    async def _send_all(self) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            line = await (_datagrams if self._server.datagrams else _stream)(self._server)
        self.connected = True
        log.info("sending to the HEP server", server=self._server.host, port=self._server.port)
        try:
            while True:
                await self._more.wait()
                batch = [self._take() for _ in range(min(AT_ONCE, len(self._queue)))]
                if not self._queue:
                    self._more.clear()
                self.counts["lost"] += len(batch)
                async with asyncio.timeout(WRITE_SECONDS):
                    for each in batch:
                        await line.write(packet(self._seen(each), self._agent))
                        self.counts["sent"] += 1
                        self.counts["lost"] -= 1
                await asyncio.sleep(0)
        finally:
            self.connected = False
            line.close()

    def _take(self) -> Waiting:
        waiting = self._queue.popleft()
        self._octets -= len(waiting.data)
        return waiting

    def _seen(self, one: Waiting) -> Seen:
        local, remote = _address(one.local.host), _address(one.remote.host)
        if one.private:
            remote = ip_address(STAND_IN_HOSTS[local.version == 6])
        if local.version != remote.version:  # a socket for both families, which says :: of itself
            local = IPv4Address(0) if remote.version == 4 else IPv6Address(0)
        here = (local, one.local.port)
        there = (remote, STAND_IN_PORT if one.private else one.remote.port)
        source, target = (there, here) if one.inward else (here, there)
        payload = one.data if one.private else without_secrets(one.data)
        correlation = "" if one.call_id == PRIVATE_CALL else one.call_id
        return Seen(one.time, source, target, one.reliable, payload, correlation)

    def _stand_in(self, call_id: str) -> str:
        if self._policy == "hide":
            return PRIVATE_CALL
        hashed = blake2b(call_id.encode("utf-8", "surrogateescape"), key=self._key, digest_size=12)
        return f"{hashed.hexdigest()}@{ANONYMOUS_HOST}"


def _address(text: str) -> IPv4Address | IPv6Address:
    address = ip_address(text.partition("%")[0])
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


class _Stream:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def write(self, data: bytes) -> None:
        if self._reader.at_eof():
            raise ConnectionResetError("the server hung up")
        self._writer.write(data)
        await self._writer.drain()

    def close(self) -> None:
        self._writer.close()


class _Ears(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.refused: OSError | None = None

    def error_received(self, exc: Exception) -> None:
        self.refused = exc if isinstance(exc, OSError) else OSError(str(exc))


class _Datagrams:
    def __init__(self, transport: asyncio.DatagramTransport, ears: _Ears) -> None:
        self._transport = transport
        self._ears = ears

    async def write(self, data: bytes) -> None:
        if self._ears.refused is not None:
            raise self._ears.refused
        self._transport.sendto(data)

    def close(self) -> None:
        self._transport.close()


async def _stream(server: Server) -> Line:
    reader, writer = await asyncio.open_connection(
        server.host, server.port, ssl=server.context, server_hostname=server.host if server.context else None
    )
    return _Stream(reader, writer)


async def _datagrams(server: Server) -> Line:
    loop = asyncio.get_running_loop()
    transport, ears = await loop.create_datagram_endpoint(_Ears, remote_addr=(server.host, server.port))
    return _Datagrams(transport, ears)
