"""rtpengine by its ng protocol: bencoded dictionaries over UDP, each with a cookie that the answer repeats.

A command is sent again until it is answered; rtpengine answers a repeated cookie from memory, so nothing is done
twice. An instance that does not answer is out of use until it answers a ping. Who asks names an instance, since a call
stays where it began; ``choose`` gives one for a new call.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, cast

import structlog

from ringfence.message import LocalError, PeerError
from ringfence.transport.flow import Endpoint

__all__ = ["Instance", "Rtpengine", "Value", "decode", "encode"]

log = structlog.get_logger("ringfence.media")

WAITS = (0.2, 0.4, 0.8)
"""Seconds that each sending of a command waits: an instance on this machine answers in under one millisecond."""

PING_SECONDS = 5.0
"""Between pings of an instance: so long may it take to notice that one is there again."""

MAX_WAITING = 10_000
"""Commands without an answer, of one instance. More come only from one that is lost."""

MAX_DEPTH = 16
"""Of a dictionary in a list in a dictionary: answers have about six."""

Value = int | bytes | list[Any] | dict[str, Any]


class Instance(asyncio.DatagramProtocol):
    """One rtpengine."""

    def __init__(self, address: Endpoint) -> None:
        self.address = address
        self.alive = True
        """Whether it has answered the last command; so until it does not."""
        self._transport: asyncio.DatagramTransport | None = None
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}

    async def open(self) -> None:
        """Make the socket. Raises OSError."""
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, remote_addr=self.address)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        cookie, _, answer = data.partition(b" ")
        future = self._waiting.get(cookie)
        if future is not None and not future.done():
            future.set_result(answer)

    async def ask(self, command: str, **values: object) -> dict[str, Any]:
        """Send a command. ``call_id`` stands for ``call-id``.

        Raises:
            PeerError: 503, it does not answer, or says no; the reason is its own.
        """
        answer = await self._exchange({"command": command, **{_key(name): values[name] for name in values}})
        if answer.get("result") == b"error":
            reason = answer.get("error-reason", b"no reason")
            raise PeerError(503, f"rtpengine: {reason.decode('utf-8', 'replace')[:200]}")
        return answer

    async def _exchange(self, command: Mapping[str, object]) -> dict[str, Any]:
        if self._transport is None:
            await self.open()
        if len(self._waiting) >= MAX_WAITING:
            raise PeerError(503, "rtpengine is too slow")
        cookie = secrets.token_hex(8).encode()
        future = self._waiting[cookie] = asyncio.get_running_loop().create_future()
        data = cookie + b" " + encode(command)
        try:
            for wait in WAITS:
                assert self._transport is not None
                self._transport.sendto(data)
                try:
                    answer = decode(await asyncio.wait_for(asyncio.shield(future), wait))
                except TimeoutError:
                    continue
                if not isinstance(answer, dict):
                    raise PeerError(503, "rtpengine's answer is no dictionary")
                self._is(True)
                return answer
        finally:
            del self._waiting[cookie]
        self._is(False)
        raise PeerError(503, f"rtpengine at {self.address} does not answer")

    def _is(self, alive: bool) -> None:
        if alive is not self.alive:
            self.alive = alive
            log.warning(
                "rtpengine is there again" if alive else "rtpengine does not answer", at=str(self.address)
            )

    def close(self) -> None:
        """Close the socket."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None


class Rtpengine:
    """Several instances, with their health."""

    def __init__(self, addresses: Sequence[Endpoint]) -> None:
        if not addresses:
            raise LocalError("no rtpengine is named")
        self.instances = tuple(Instance(address) for address in addresses)
        self._pinging: asyncio.Task[None] | None = None

    def choose(self, key: str, without: frozenset[Instance] = frozenset()) -> Instance | None:
        """The instance for a new call, by its key: a live one, if any is; None when all are in ``without``."""
        left = [each for each in self.instances if each not in without]
        return max(left, key=lambda each: (each.alive, _weight(key, each)), default=None)

    def watch(self) -> None:
        """Ping all instances from now on; the loop must run."""
        if self._pinging is None:
            self._pinging = asyncio.get_running_loop().create_task(self._ping())

    async def _ping(self) -> None:
        while True:
            await asyncio.gather(*(each.ask("ping") for each in self.instances), return_exceptions=True)
            await asyncio.sleep(PING_SECONDS)

    def close(self) -> None:
        """Stop."""
        if self._pinging is not None:
            self._pinging.cancel()
            self._pinging = None
        for each in self.instances:
            each.close()


def _key(name: str) -> str:
    return name.replace("_", "-")


def _weight(key: str, instance: Instance) -> bytes:
    """Rendezvous hashing: an instance that is lost takes only its own calls with it."""
    return blake2b(f"{key} {instance.address}".encode(), digest_size=8).digest()


# -- bencode -------------------------------------------------------------------------------------------


def encode(value: object) -> bytes:
    """Text is UTF-8. Raises LocalError for what bencode has no form for."""
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    if isinstance(value, bytes):
        return b"%d:%b" % (len(value), value)
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, Mapping):
        return b"d%be" % b"".join(encode(str(key)) + encode(each) for key, each in value.items())
    if isinstance(value, Sequence):
        return b"l%be" % b"".join(map(encode, value))
    raise LocalError(f"bencode has no {type(value).__name__}")


def decode(data: bytes) -> Value:
    """The one value that this is. Raises PeerError 503 when it is none."""
    try:
        value, end = _decode(data, 0, 0)
    except (ValueError, IndexError, AttributeError):  # a key that is no text has no decode
        end = -1
    if end != len(data):
        raise PeerError(503, "rtpengine's answer is not bencode")
    return value


def _decode(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    if depth > MAX_DEPTH:
        raise ValueError("too deep")
    kind = data[at : at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if kind in (b"l", b"d"):
        values: list[Any] = []
        at += 1
        while data[at] != 0x65:  # e
            value, at = _decode(data, at, depth + 1)
            values.append(value)
        if kind == b"l":
            return values, at + 1
        return {key.decode(): value for key, value in zip(values[::2], values[1::2], strict=True)}, at + 1
    colon = data.index(b":", at)
    end = colon + 1 + int(data[at:colon])
    if end > len(data) or end <= colon:
        raise ValueError("cut off")
    return data[colon + 1 : end], end
