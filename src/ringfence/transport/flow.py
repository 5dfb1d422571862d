"""What the rest of Ringfence knows of a transport: flows, and the object above that hears of them.

A flow is one path to one peer: a connection, or a UDP socket and a remote address. Its ``send`` never
blocks and never raises. What goes wrong is told later by ``Upward.closed``, never from inside ``send``, so
that no caller is entered a second time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple, Protocol

from ringfence.engine.places import Endpoint

__all__ = ["Endpoint", "Flow", "PeerCertificate", "Upward"]


class PeerCertificate(NamedTuple):
    """The certificate that the peer of a TLS connection showed.

    ``verified`` says that OpenSSL built a chain to a configured trust anchor and that nothing in it has
    expired (RFC 5280). What names it proves is asked of ``ringfence.security.certificates``. ``chain`` is
    DER, leaf first.
    """

    der: bytes
    verified: bool
    chain: tuple[bytes, ...]


class Flow(ABC):
    """A path to a peer (RFC 5626 section 3.3). Made by listeners and the pool only."""

    __slots__ = ()

    transport: str
    """``UDP``, ``TCP``, ``TLS``, ``WS`` or ``WSS``, as in Via."""
    local: Endpoint
    remote: Endpoint
    reliable: bool
    """Whether the transport retransmits, so that the transactions need not (RFC 3261 section 17)."""
    secure: bool
    """Whether TLS protects it."""
    peer: PeerCertificate | None
    user: object | None
    """Who the peer has proved to be; the roles bind it, to flows of TLS and WSS only."""

    @property
    @abstractmethod
    def key(self) -> str:
        """Names this flow and no other, now and later; a flow token (RFC 5626 section 5.2) holds it."""

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether what is sent now is lost for certain."""

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Send one message. On a closed flow it is dropped; too many unsent bytes close the flow."""

    @abstractmethod
    def close(self, reason: str) -> None:
        """End the flow after what was sent has gone out. No effect on UDP, whose socket is shared."""

    def ping(self) -> None:  # noqa: B027  (a flow of a test or an embedder may have none)
        """Ask the peer for a sign of life; without one, ``Upward.closed`` tells that the flow has failed.

        A double CRLF over connections (RFC 5626 section 4.4.1), a Ping over WebSocket, STUN over UDP.
        """

    def hold(self, seconds: float) -> None:  # noqa: B027  (only connections can be read later)
        """Read nothing more of a connection for some time: its peer is slowed down, and nothing is lost."""

    def toward(self, remote: Endpoint) -> Flow:
        """Over UDP, the flow from the same socket to another address; a connection is what it is."""
        return self

    def __repr__(self) -> str:
        return f"<{self.transport} {self.local} - {self.remote}{' closed' if self.closed else ''}>"


class Upward(Protocol):
    """What the transport tells, in order for each flow. None of these may raise."""

    def received(self, data: bytes, flow: Flow) -> None:
        """One whole message, or one datagram."""

    def opened(self, flow: Flow) -> None:
        """A connection is ready: accepted or connected, TLS and WebSocket handshakes done."""

    def closed(self, flow: Flow, reason: str) -> None:
        """A connection ended, or never came to be; or the network reports a UDP peer unreachable."""
