"""The only sockets: SIP over UDP, TCP, TLS and WebSocket, the DNS, the media relay, and the driver above."""

from ringfence.transport.contexts import Contexts, TlsSettings
from ringfence.transport.flow import Endpoint, Flow, PeerCertificate, Upward
from ringfence.transport.limits import Limits
from ringfence.transport.pool import Pool
from ringfence.transport.resolver import Resolver
from ringfence.transport.websocket import WebSocketPolicy

__all__ = [
    "Contexts",
    "Endpoint",
    "Flow",
    "Limits",
    "PeerCertificate",
    "Pool",
    "Resolver",
    "TlsSettings",
    "Upward",
    "WebSocketPolicy",
]
