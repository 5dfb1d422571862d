"""The flow to where nothing leads."""

from __future__ import annotations

from ringfence.transport.flow import Endpoint, Flow, PeerCertificate


class DeadFlow(Flow):
    """What ``flow_to`` gives when there is no way: it is closed, and ``Upward.closed`` says why."""

    __slots__ = ("local", "remote", "transport")

    key = "-"
    closed = True
    reliable = True
    secure = False
    peer: PeerCertificate | None = None
    user: object | None = None

    def __init__(self, transport: str, remote: Endpoint) -> None:
        self.transport = transport
        self.remote = remote
        self.local = Endpoint("", 0)

    def send(self, data: bytes) -> None:
        """Nothing."""

    def ping(self) -> None:
        """Nothing."""

    def close(self, reason: str) -> None:
        """Nothing."""
