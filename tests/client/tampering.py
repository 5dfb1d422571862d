"""Proxies that change what passes through them: each message, in either direction, by a function of the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from ringfence.message import Message, parse
from ringfence.message.framing import Framer

Change = Callable[[Message], Message | None]
"""Gives the message that goes on; None: nothing does."""

Address = tuple[str, int]


def unchanged(message: Message) -> Message:
    return message


class Tamperer:
    """A man in the middle of UDP: in front of one element, for one client."""

    def __init__(self, target: Address) -> None:
        self.requests: Change = unchanged
        self.responses: Change = unchanged
        self.seen: list[Message] = []
        """All that came, before it was changed."""
        self._target = target
        self._client: Address | None = None
        self._transport: asyncio.DatagramTransport

    @classmethod
    async def open(cls, target: Address) -> Self:
        made = cls(target)
        loop = asyncio.get_running_loop()
        made._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(made), local_addr=("127.0.0.1", 0)
        )
        return made

    @property
    def uri(self) -> str:
        """Its address, as a proxy."""
        return f"sip:127.0.0.1:{self._transport.get_extra_info('sockname')[1]};transport=udp"

    def received(self, data: bytes, source: Address) -> None:
        message = parse(data)
        self.seen.append(message)
        if source == self._target:
            changed, to = self.responses(message), self._client
        else:
            self._client = source
            changed, to = self.requests(message), self._target
        if changed is not None:
            self._transport.sendto(changed.to_bytes(), to)

    async def close(self) -> None:
        self._transport.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, tamperer: Tamperer) -> None:
        self._tamperer = tamperer

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if data.strip():
            self._tamperer.received(data, addr)


class StreamTamperer:
    """The same on TCP, for messages that are too large for UDP."""

    def __init__(self, target: Address) -> None:
        self.requests: Change = unchanged
        self.responses: Change = unchanged
        self.seen: list[Message] = []
        self._target = target
        self._server: asyncio.Server
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    @classmethod
    async def open(cls, target: Address) -> Self:
        made = cls(target)
        made._server = await asyncio.start_server(made._connected, "127.0.0.1", 0)
        return made

    @property
    def uri(self) -> str:
        """Its address, as a proxy."""
        return f"sip:127.0.0.1:{self._server.sockets[0].getsockname()[1]};transport=tcp"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        self._writers += [writer, back]
        for source, sink, change in (
            (reader, back, lambda message: self.requests(message)),
            (there, writer, lambda message: self.responses(message)),
        ):
            task = asyncio.create_task(self._carry(source, sink, change))
            self._tasks.add(task)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, change: Change) -> None:
        framer = Framer()
        while data := await source.read(65_536):
            for whole in framer.feed(data):
                if not isinstance(whole, bytes):
                    continue
                message = parse(whole)
                self.seen.append(message)
                changed = change(message)
                if changed is not None:
                    sink.write(changed.to_bytes())
        sink.close()

    async def close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)
        await self._server.wait_closed()
