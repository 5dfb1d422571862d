"""The section [limits] of ringfence.toml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ringfence.service.sections import Section
from ringfence.service.values import Count, Seconds
from ringfence.transport.limits import Limits as TransportLimits

_TRANSPORT = TransportLimits()


class Limits(Section):
    """How much of the node strangers can take. The reasons stand with the defaults, in `transport.limits`."""

    connections: Count = _TRANSPORT.connections
    """Open at a time. Each takes a file descriptor: see `ulimit -n`."""
    connections_per_source: Count = _TRANSPORT.connections_per_source
    """From one IPv4 address or IPv6 /64. An office behind one address has one or two for each phone."""
    handshakes: Count = _TRANSPORT.handshakes
    """TLS and WebSocket handshakes in progress at a time."""
    handshakes_per_source: Count = _TRANSPORT.handshakes_per_source
    """The same for one IPv4 address or IPv6 /64."""
    handshake_seconds: Seconds = _TRANSPORT.handshake_time
    """For the handshakes of a connection."""
    connect_seconds: Seconds = _TRANSPORT.connect_time
    """For a connection of our own to be ready, before the next address is tried."""
    first_message_seconds: Seconds = _TRANSPORT.first_message_time
    """For the first message on a connection."""
    message_seconds: Seconds = _TRANSPORT.message_time
    """From a message's first byte to its last."""
    idle_seconds: Seconds = _TRANSPORT.idle_time
    """Without a byte, after which a connection is closed. A keep-alive is one."""
    unsent_bytes: Annotated[int, Field(ge=65_535, le=1_000_000_000)] = _TRANSPORT.unsent
    """Waiting for a peer that does not read. Over it the connection is closed."""
    transactions: Count = 200_000
    """At a time. Over it a new request is answered 503."""
    drain_seconds: Annotated[float, Field(ge=0, le=3600)] = 10.0
    """What goes on when the node is told to stop (SIGTERM, `ringfence stop --drain`) gets so long to be done; nothing
    new is begun meanwhile. What is left then is answered 503. A second SIGTERM ends the wait."""

    def for_transport(self) -> TransportLimits:
        """The same, as the transport takes it."""
        return TransportLimits(
            connections=self.connections,
            connections_per_source=self.connections_per_source,
            handshakes=self.handshakes,
            handshakes_per_source=self.handshakes_per_source,
            handshake_time=self.handshake_seconds,
            connect_time=self.connect_seconds,
            first_message_time=self.first_message_seconds,
            message_time=self.message_seconds,
            idle_time=self.idle_seconds,
            unsent=self.unsent_bytes,
        )
