"""An HTTP server on loopback, over TLS or plain, that says what it is told to."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n%b"


class Site:
    """Answers every path with ``answer``, or with the page of that path. Without a certificate it has no TLS."""

    def __init__(self, certificate: Path | None = None, key: Path | None = None) -> None:
        self.context: ssl.SSLContext | None = None
        if certificate is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate, key)
        self.answer = page(b"hello")
        self.pages: dict[str, bytes] = {}
        self.requests: list[bytes] = []
        self.open = 0
        self.most_open = 0
        self.hold = asyncio.Event()
        self.hold.set()
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.context)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(request)
            await self.hold.wait()
            writer.write(self.pages.get(request.split(b" ")[1].decode(), self.answer))
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()

    @property
    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [request.split(b" ")[1].decode() for request in self.requests]

    def url(self, path: str = "/cert.pem", host: str = "cert.test") -> str:
        return f"http{'s' if self.context else ''}://{host}:{self.port}{path}"


def page(body: bytes, headers: bytes = b"") -> bytes:
    """A 200."""
    return ANSWER % (len(body), headers, body)
