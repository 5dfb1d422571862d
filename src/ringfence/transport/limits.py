"""What strangers may use up: connections, time and memory. Every number has its reason.

Sizes of messages are in ``message.framing`` and ``message.parser``; rates and bans are the guard's.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address

from ringfence.message.framing import MAX_BODY


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds, sizes in bytes."""

    connections: int = 20_000
    """In all, both directions. A connection at rest costs some 10 KiB here and as much in the kernel."""

    connections_per_source: int = 1_000
    """From one IPv4 address or one IPv6 /64: an office behind one NAT, with a flow or two for each phone."""

    handshakes: int = 1_000
    """TLS or WebSocket handshakes in progress: at half a millisecond each, more would not end in time."""

    handshakes_per_source: int = 200
    """From one IPv4 address or IPv6 /64: an office whose phones all come back at once, and not a fifth of all."""

    handshake_time: float = 10.0
    """From accept to the end of TLS and WebSocket handshakes: three round trips of a bad mobile network."""

    connect_time: float = 8.0
    """For an outbound connection, handshakes included: a quarter of Timer B (RFC 3261 section 17.1.1.2), so
    that three more destinations can be tried before a caller hears 408."""

    first_message_time: float = 30.0
    """From accept to the first whole message, so that silent strangers do not fill the table."""

    message_time: float = 20.0
    """From the first byte of a message to its last: 256 KiB at 100 kbit/s. Slower is slowloris."""

    idle_time: float = 1_000.0
    """Without a byte in either direction. RFC 5626 section 4.4.1 lets a phone on battery ping each 840 s."""

    close_time: float = 3.0
    """For a peer to take what was sent before a graceful close."""

    body: int = MAX_BODY
    """Of one message on a connection."""

    unsent: int = 2_097_152
    """Bytes that a peer has not taken. A peer that asks and never reads is cut off here."""

    sweep_time: float = 1.0
    """How often the times above are looked at; they are exact to this."""


def source_of(host: str) -> str:
    """What counts as one source: an IPv4 address, or the /64 that one IPv6 site can move about in at will."""
    if ":" not in host:
        return host
    address = IPv6Address(host.partition("%")[0])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{int(address) >> 64:x}::/64"


class Census:
    """Counts connections: in all, in handshake, and by source those that were accepted."""

    __slots__ = ("_by_source", "_limits", "_shaking", "handshakes", "total")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_source: dict[str, int] = {}
        self._shaking: dict[str, int] = {}
        self.total = 0
        self.handshakes = 0

    def refusal(self, host: str) -> str | None:
        """Why one more connection from this host is refused, or None."""
        limits = self._limits
        if self.total >= limits.connections:
            return f"more than {limits.connections} connections"
        if self.handshakes >= limits.handshakes:
            return f"more than {limits.handshakes} handshakes at once"
        source = source_of(host)
        if self._by_source.get(source, 0) >= limits.connections_per_source:
            return f"more than {limits.connections_per_source} connections from {source}"
        if self._shaking.get(source, 0) >= limits.handshakes_per_source:
            return f"more than {limits.handshakes_per_source} handshakes at once from {source}"
        return None

    def enter(self, host: str | None) -> None:
        """Count a connection, in handshake; ``host`` is None for one that we made."""
        self.total += 1
        self.handshakes += 1
        if host is not None:
            source = source_of(host)
            self._by_source[source] = self._by_source.get(source, 0) + 1
            self._shaking[source] = self._shaking.get(source, 0) + 1

    def settle(self, host: str | None) -> None:
        """The handshakes of a connection are over."""
        self.handshakes -= 1
        if host is not None:
            _less(self._shaking, source_of(host))

    def leave(self, host: str | None) -> None:
        """Count it no longer."""
        self.total -= 1
        if host is not None:
            _less(self._by_source, source_of(host))


def _less(counts: dict[str, int], source: str) -> None:
    left = counts[source] - 1
    if left:
        counts[source] = left
    else:
        del counts[source]
