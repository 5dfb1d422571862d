"""SIP messages over a byte stream: the flow of TCP and, on a ``TlsStream``, of TLS.

Framing errors end the stream, since nobody knows where the next message starts; when the request could be
read as far as its head it is answered first (RFC 3261 section 18.3).
"""

from __future__ import annotations

import secrets
from typing import Protocol

from ringfence.message import PeerError, Request, response_to
from ringfence.message.build import explain
from ringfence.message.framing import PING, Framer, FramingError, Mark
from ringfence.transport.flow import Endpoint, Flow, PeerCertificate
from ringfence.transport.limits import Limits
from ringfence.transport.stream import NEVER, ByteStream

PONG_TIME = 10.0
"""Seconds that a pong may take (RFC 5626 section 4.4.1)."""


class Office(Protocol):
    """What a connection flow needs of the pool that made it."""

    limits: Limits

    def received(self, data: bytes, flow: Flow) -> None:
        """One whole message."""

    def opened(self, flow: StreamFlow) -> None:
        """The flow is ready."""

    def closed(self, flow: StreamFlow, reason: str) -> None:
        """The flow has ended."""


class StreamFlow(Flow):
    """A connection that carries SIP messages."""

    __slots__ = (
        "_framer",
        "_office",
        "_open",
        "_received",
        "_stream",
        "_waiting",
        "_waiting_size",
        "accepted",
        "closed",
        "key",
        "local",
        "peer",
        "remote",
        "secure",
        "server_name",
        "transport",
        "user",
    )

    reliable = True
    closed: bool
    key: str
    """Unique among all connections of all runs of this node."""

    def __init__(self, office: Office, transport: str, key: str, server_name: str | None = None) -> None:
        self._office = office
        self._received = office.received
        self.key = key
        self._framer = Framer(office.limits.body)
        self._open = False
        self._waiting: list[bytes] = []  # sent before the connection was ready
        self._waiting_size = 0
        self._stream: ByteStream
        self.accepted = False
        """Whether the peer made the connection."""
        self.closed = False
        self.transport = transport
        self.secure = transport in {"TLS", "WSS"}
        self.local = self.remote = Endpoint("", 0)
        self.peer: PeerCertificate | None = None
        self.user: object | None = None
        self.server_name = server_name
        """The domain that the peer was asked to prove, for connections that we made."""

    def rename(self, key: str) -> None:
        """Give it another key, before anybody has heard of it."""
        self.key = key

    @property
    def protection(self) -> str:
        """TLS version and cipher suite for logs; "" in plain text."""
        return "" if self.closed else self._stream.protection

    def ride(self, stream: ByteStream) -> None:
        """Tell the flow which stream it has; the pool does so, once."""
        self._stream = stream
        self.accepted = stream.accepted

    # -- from the stream -------------------------------------------------------------------------------

    def stream_opened(self) -> None:
        """The connection is there, and TLS too if it has that."""
        self.local, self.remote, self.peer = self._stream.local, self._stream.remote, self._stream.peer
        self.ready()

    def ready(self) -> None:
        """All handshakes are done: send what waited."""
        self._stream.settle()
        self._open = True
        self._office.opened(self)
        waiting, self._waiting = self._waiting, []
        for data in waiting:
            self.send(data)

    def stream_received(self, data: bytes) -> None:
        """Cut into messages and pass them up."""
        framer = self._framer
        try:
            items = framer.feed(data)
        except FramingError as error:
            self._refuse(error)
            return
        if len(items) == 1 and type(items[0]) is bytes:  # the usual case
            self._received(items[0], self)
        else:
            self._deliver(items)
        if self.closed:
            return
        stream = self._stream
        if framer.pending:
            if items or not stream.expecting:
                stream.expect(self._office.limits.message_time, "the rest of a message")
        elif items and stream.deadline != NEVER:
            stream.expect_nothing()

    def _deliver(self, items: list[bytes | Mark]) -> None:
        for item in items:
            if self.closed:
                return
            if type(item) is bytes:
                self._received(item, self)
            elif item is PING:
                self._stream.write(b"\r\n")

    def _refuse(self, error: FramingError) -> None:
        self._deliver(error.complete)
        answer = _answer(error)
        if answer is not None:
            self.send(answer)
        self.close(f"malformed: {error}")

    def stream_closed(self, reason: str) -> None:
        """The connection has ended, or never came to be."""
        self.closed = True
        self._open = False
        self._waiting.clear()
        del self._stream  # the stream has let go of us too: no cycle is left for the collector
        self._office.closed(self, reason)

    # -- from above ------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send one message, or keep it until the connection is ready."""
        if self._open:
            self._stream.write(data)
        else:
            self._keep(data)

    def _keep(self, data: bytes) -> None:
        if not self.closed:
            self._waiting.append(data)
            self._waiting_size += len(data)
            if self._waiting_size > self._office.limits.unsent:
                self.close("too much to send before the connection was ready")

    def ping(self) -> None:
        """Ask the peer for a sign of life; without one in ten seconds the flow fails (RFC 5626 4.4.1).

        While one is awaited, nothing: its time must not begin anew.
        """
        if self._open and not self._framer.pongs_due:
            self._framer.pongs_due += 1
            self._stream.write(b"\r\n\r\n")
            self._stream.expect(PONG_TIME, "a pong")

    def hold(self, seconds: float) -> None:
        """Read nothing more for some time."""
        if not self.closed:
            self._stream.hold(seconds)

    def close(self, reason: str) -> None:
        """End the flow after what was sent has gone out."""
        if not self.closed:
            self.closed = True
            self._open = False
            self._stream.close(reason)


def _answer(error: FramingError) -> bytes | None:
    """The response to a request whose head could be read; None when there is nobody to answer."""
    request = error.message
    if not isinstance(request, Request) or request.method == "ACK":
        return None
    try:
        _ = request.via, request.call_id
    except PeerError:
        return None
    return response_to(request, error.status, explain(error), to_tag=secrets.token_hex(8)).to_bytes()
