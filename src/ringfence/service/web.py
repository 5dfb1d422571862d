"""An ASGI application on a port of this process, inside the loop that the node runs on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from ringfence.message import LocalError
from ringfence.service.addresses import Address

MAX_REQUESTS = 50
"""At a time. What is asked here is small; a stuck scraper must not pile up requests."""

KEEP_ALIVE_SECONDS = 5

STOP_SECONDS = 2
"""What a request in progress gets when the node stops."""


class WebServer:
    """Serve an application from `start` to `stop`."""

    def __init__(self, app: ASGIApp, address: Address, tls: tuple[Path, Path] | None = None) -> None:
        """``tls`` is a certificate and its key; with them it is https."""
        self.address = address
        certificate, key = tls or (None, None)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MAX_REQUESTS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the port can't be had. A port of 0 becomes the one that was taken."""
        listening = socket.create_server(
            self.address, family=socket.AF_INET6 if ":" in self.address.host else socket.AF_INET
        )
        self.address = Address(self.address.host, listening.getsockname()[1])
        self._task = asyncio.create_task(self._server.serve(sockets=[listening]))

    def renew(self, certificate: Path, key: Path) -> None:
        """Show this certificate from now on, where it is https. Raises LocalError; the old one stays then."""
        context = self._server.config.ssl if self._server.config.loaded else None
        if context is None:
            return
        try:
            context.load_cert_chain(certificate, key)
        except OSError as error:  # SSLError is one
            raise LocalError(
                f"{certificate} with {key} is no certificate: {error.strerror or error}"
            ) from None

    async def stop(self) -> None:
        """Finish what is being answered and close the port."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task


class _Server(uvicorn.Server):
    """The node has its own signals: uvicorn must not take them over."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
