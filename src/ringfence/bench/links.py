"""The cheapest way we know to send and take SIP messages from Python: what `load.py` stands on.

Nothing here is Ringfence's: a load client must not share a fault, or a cost, with the server it measures. A link is
UDP, TCP or TLS (OpenSSL on memory buffers, as one write and one read of the socket can carry many messages); it
cuts the stream into messages and gives each to a function.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable

Receive = Callable[[bytes, "Link"], None]

_LENGTH = re.compile(rb"\r\n(?:Content-Length|l)[ \t]*:[ \t]*(\d+)", re.IGNORECASE).search
CHUNK = 262_144
"""Bytes that are taken out of OpenSSL at a time."""


class Link(ABC):
    """Where messages go. ``opened`` and ``closed`` are futures."""

    def __init__(self, receive: Receive) -> None:
        loop = asyncio.get_running_loop()
        self.receive = receive
        self.sent_by = b""
        """What Via says of it; empty: what it says of all."""
        self.opened: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()

    @abstractmethod
    def send(self, message: bytes) -> None:
        """Send one message."""

    @abstractmethod
    def close(self) -> None:
        """Close it."""


class DatagramLink(Link, asyncio.DatagramProtocol):
    """UDP. ``remote`` is set for a link to one server; a link that waits answers the last sender."""

    def __init__(self, receive: Receive) -> None:
        super().__init__(receive)
        self.remote: tuple[str, int] | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """The socket is there."""
        self.transport = transport
        self.opened.set_result(None)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """One message, or a keep-alive."""
        if len(data) > 4:
            self.remote = addr
            self.receive(data, self)

    def send(self, message: bytes) -> None:
        """Send to the server."""
        self.transport.sendto(message, self.remote)

    def close(self) -> None:
        """Close the socket."""
        self.transport.close()


class StreamLink(Link, asyncio.Protocol):
    """TCP."""

    def __init__(self, receive: Receive) -> None:
        super().__init__(receive)
        self._rest = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The connection is there."""
        self.transport = transport
        transport.set_write_buffer_limits(high=1 << 30)
        self.begin()

    def begin(self) -> None:
        """Messages can be sent."""
        self.opened.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        if not self.opened.done():
            self.opened.set_exception(ConnectionError(str(exc)))
            self.opened.exception()  # whoever waits gets it; where nobody waits, it is no news
        self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Bytes of SIP."""
        self.feed(data)

    def feed(self, data: bytes) -> None:
        """Cut into messages."""
        if self._rest:
            data = self._rest + data
        start, receive = 0, self.receive
        while True:
            while data.startswith(b"\r\n", start):
                start += 2
            end = data.find(b"\r\n\r\n", start)
            if end < 0:
                break
            length = _LENGTH(data, start, end + 2)
            stop = end + 4 + (int(length[1]) if length else 0)
            if len(data) < stop:
                break
            receive(data[start:stop], self)
            start = stop
        self._rest = data[start:]

    def send(self, message: bytes) -> None:
        """Send after what was sent before."""
        self.transport.write(message)

    def close(self) -> None:
        """Close after what was sent."""
        self.transport.close()


class TlsLink(StreamLink):
    """TLS over TCP, by OpenSSL's memory buffers: a third of the cost of the event loop's own TLS."""

    def __init__(self, receive: Receive, context: ssl.SSLContext, *, server: bool = False) -> None:
        super().__init__(receive)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = None if server else "bench.test"
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server, server_hostname=name)
        self._shaken = False

    def begin(self) -> None:
        """Say hello."""
        self._shake()

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self.transport.abort()
            return
        else:
            self._shaken = True
            self.opened.set_result(None)
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self.transport.write(self._outgoing.read())

    def data_received(self, data: bytes) -> None:
        """Encrypted bytes."""
        self._incoming.write(data)
        if not self._shaken:
            self._shake()
            if not self._shaken:
                return
        try:
            while plain := self._tls.read(CHUNK):
                self.feed(plain)
        except ssl.SSLWantReadError:
            pass
        self._flush()

    def send(self, message: bytes) -> None:
        """Encrypt and send: one record for a message, as phones do."""
        self._tls.write(message)
        self.transport.write(self._outgoing.read())


async def connect(transport: str, server: tuple[str, int], receive: Receive, trust: ssl.SSLContext) -> Link:
    """A link to a server, ready."""
    loop = asyncio.get_running_loop()
    link: Link
    if transport == "udp":
        _, link = await loop.create_datagram_endpoint(
            lambda: DatagramLink(receive), local_addr=(server[0], 0)
        )
        link.remote = server
    elif transport == "tcp":
        _, link = await loop.create_connection(lambda: StreamLink(receive), *server)
    else:
        _, link = await loop.create_connection(lambda: TlsLink(receive, trust), *server)
    await link.opened
    return link


async def listen(transport: str, local: tuple[str, int], receive: Receive, identity: ssl.SSLContext) -> None:
    """Take messages at an address."""
    loop = asyncio.get_running_loop()
    if transport == "udp":
        await loop.create_datagram_endpoint(lambda: DatagramLink(receive), local_addr=local)
    elif transport == "tcp":
        await loop.create_server(lambda: StreamLink(receive), *local)
    else:
        await loop.create_server(lambda: TlsLink(receive, identity, server=True), *local)
