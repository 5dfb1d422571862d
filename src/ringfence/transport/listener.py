"""Open ports, as a pool keeps them."""

from __future__ import annotations

import asyncio
from typing import Protocol

from ringfence.transport.flow import Endpoint


class Listener(Protocol):
    """An open port."""

    transport: str
    local: Endpoint

    def close(self) -> None:
        """Accept and receive nothing more; connections live on."""


class StreamListener:
    """An open port for connections."""

    __slots__ = ("_server", "local", "transport")

    def __init__(self, transport: str, local: Endpoint, server: asyncio.Server) -> None:
        self.transport = transport
        self.local = local
        self._server = server

    def close(self) -> None:
        """Accept nothing more."""
        self._server.close()
