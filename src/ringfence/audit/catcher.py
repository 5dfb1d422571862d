"""A third party of our own: a UDP port that a server has no business to send to. What arrives there was relayed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from ringfence.audit.line import Place, Tape
from ringfence.client.line import local_host
from ringfence.engine.places import Endpoint
from ringfence.transport.flow import Flow
from ringfence.transport.pool import Pool

GRACE = 0.25
"""Seconds that a relayed request may come later than the answer to it."""


class Catcher:
    """Listens, and answers nothing."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._pool = Pool(self)
        self.local = Endpoint("", 0)
        self.caught: list[bytes] = []

    async def open(self, remote: str) -> None:
        """Open a port that this server can reach. Raises OSError."""
        self.local = (await self._pool.listen("UDP", local_host(remote), 0)).local

    async def hears(self, marks: Iterable[str]) -> str:
        """The first of these Call-IDs of which a request has come, or comes soon; empty when none does."""
        wanted = {mark: mark.encode() for mark in marks}
        end = asyncio.get_running_loop().time() + GRACE
        while True:
            for mark, octets in wanted.items():
                if any(octets in data for data in self.caught):
                    return mark
            if asyncio.get_running_loop().time() > end:
                return ""
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        """Close it."""
        await self._pool.close()

    async def __aenter__(self) -> Catcher:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def received(self, data: bytes, flow: Flow) -> None:
        """A request that somebody has relayed."""
        self.caught.append(data)
        self._tape.note(False, Place("UDP", self.local, "the third party"), data)

    def opened(self, flow: Flow) -> None:
        """Nothing: UDP has no connections."""

    def closed(self, flow: Flow, reason: str) -> None:
        """Nothing: nothing is sent."""
