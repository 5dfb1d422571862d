"""Ask clamd whether some bytes are malware: one command, INSTREAM, over a Unix socket or TCP.

Each scan has its own connection, its own time and a place among a bounded number: a scanner that hangs must not take
the node along. Whether a body passes that could not be scanned is decided above.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import structlog

log = structlog.get_logger("ringfence.malware")

CHUNK = 65_536
"""Bytes in one piece; clamd takes any size up to its StreamMaxLength."""

MAX_REPLY = 4_096
"""Bytes of an answer: the name of a signature is some tens."""


class Finding(StrEnum):
    """What became of a scan."""

    CLEAN = "clean"
    INFECTED = "infected"
    UNSCANNED = "not scanned"


@dataclass(frozen=True, slots=True)
class Scan:
    """``detail`` is the name of what was found, or why nothing was scanned."""

    finding: Finding
    detail: str = ""


class Clamd:
    """A clamd at a path, or at a host and port. ``seconds``: for a whole scan, the wait for a place included."""

    def __init__(
        self,
        address: str | tuple[str, int],
        *,
        connect_seconds: float = 1.0,
        seconds: float = 5.0,
        max_bytes: int = 262_144,
        at_a_time: int = 8,
        waiting: int = 64,
    ) -> None:
        self.address = address
        self._connect_seconds = connect_seconds
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._places = asyncio.Semaphore(at_a_time)
        self._most = at_a_time + waiting
        self._scans = 0
        self.counts = dict.fromkeys(Finding, 0)

    async def scan(self, parts: Sequence[bytes]) -> Scan:
        """Scan each of the parts, until one is not clean. Never raises for what the scanner does."""
        found = await self._bounded(parts)
        self.counts[found.finding] += 1
        return found

    async def _bounded(self, parts: Sequence[bytes]) -> Scan:
        if self._scans >= self._most:
            return Scan(Finding.UNSCANNED, "too many scans at once")
        if sum(map(len, parts)) > self._max_bytes:
            return Scan(Finding.UNSCANNED, f"more than {self._max_bytes} bytes")
        self._scans += 1
        try:
            async with asyncio.timeout(self._seconds), self._places:
                for part in parts:
                    found = await self._scan(part)
                    if found.finding is not Finding.CLEAN:
                        return found
        except TimeoutError:
            return Scan(Finding.UNSCANNED, f"no answer from clamd in {self._seconds:g} s")
        except (OSError, asyncio.IncompleteReadError) as error:
            why = getattr(error, "strerror", None) or "it hung up"
            return Scan(Finding.UNSCANNED, f"clamd can't be asked: {why}")
        finally:
            self._scans -= 1
        return Scan(Finding.CLEAN)

    async def _scan(self, data: bytes) -> Scan:
        reader, writer = await self._open()
        try:
            writer.write(b"zINSTREAM\0")
            for start in range(0, len(data), CHUNK):
                piece = data[start : start + CHUNK]
                writer.write(struct.pack("!I", len(piece)) + piece)
            writer.write(struct.pack("!I", 0))
            await writer.drain()
            reply = await reader.readuntil(b"\0")
        except asyncio.LimitOverrunError:
            return Scan(Finding.UNSCANNED, "clamd gave an answer without end")
        finally:
            writer.close()
        return read_reply(reply)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(self._connect_seconds):
            if isinstance(self.address, str):
                return await asyncio.open_unix_connection(self.address, limit=MAX_REPLY)
            return await asyncio.open_connection(*self.address, limit=MAX_REPLY)


def read_reply(reply: bytes) -> Scan:
    """What clamd's answer means: ``stream: OK``, ``stream: NAME FOUND``, or ``... ERROR``."""
    text = reply.rstrip(b"\0\r\n").decode("utf-8", "replace").removeprefix("stream: ")
    if text == "OK":
        return Scan(Finding.CLEAN)
    if text.endswith(" FOUND"):
        return Scan(Finding.INFECTED, text.removesuffix(" FOUND"))
    return Scan(Finding.UNSCANNED, f"clamd says: {text[:200]}")
