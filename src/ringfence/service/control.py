"""The control socket: how a command on this machine asks a running node, or steers it.

A Unix socket of mode 0600. A connection carries one request, a line of JSON:
``{"command": "status", "arguments": {...}}``. The answer is a line ``{"value": ...}``, or
``{"error": "...", "fix": "..."}``, or for a stream a line ``{"item": ...}`` for each item until a last
``{"end": true}`` or until the client hangs up.
What the commands do is handed in by ``service/wiring``: this file only knows how to ask.

Whoever can open the socket runs the node, so nobody but its owner and root may: the mode says so, and the
credentials of the connecting process are checked besides.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import structlog

from ringfence.service.logs import redact

log = structlog.get_logger()

Json: TypeAlias = Any
"""What `json` can write."""

Arguments: TypeAlias = Mapping[str, Any]
Command: TypeAlias = Callable[[Arguments], Awaitable[Json] | AsyncGenerator[Json]]
"""An async function, or an async generator for a stream. What it can't do it raises as `CommandError`."""

MAX_REQUEST_BYTES = 65_536
"""A command with its arguments; none has more than a few addresses."""

MAX_CONNECTIONS = 32
"""At a time: a few people at terminals, the console, scripts."""

REQUEST_SECONDS = 10.0
"""For the request to come, once connected."""

WRITE_SECONDS = 10.0
"""For a client to read what is sent to it. A trace that was stopped with Ctrl-S must not be kept for ever."""


class CommandError(Exception):
    """A command can't be done. `reason` is one sentence, `fix` the next step."""

    def __init__(self, reason: str, fix: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix


class _ClientGone(Exception):
    """Whoever asked has hung up, or does not read: nobody is there to be told."""


class ControlServer:
    """Answer commands on a socket, from `start` to `stop`."""

    def __init__(self, path: Path, commands: Mapping[str, Command]) -> None:
        self.path = path
        self._commands = commands
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Open the socket. Raises OSError, among others when another node has it open."""
        self._server = await asyncio.start_unix_server(
            self._connected, sock=_private_socket(self.path), limit=MAX_REQUEST_BYTES
        )

    async def stop(self) -> None:
        """Close the socket and every connection."""
        if self._server is None:
            return
        self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self.path.unlink(missing_ok=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # asyncio runs this as a task
        self._connections.add(task)
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                line = await reader.readline()
            # The request is read even if it is refused: closing with it unread would take the answer along.
            if refusal := self._refusal(writer.get_extra_info("socket")):
                await _write(writer, refusal)
            else:
                await self._serve(line, reader, writer)
        except (_ClientGone, ConnectionError, TimeoutError, ValueError):
            pass  # nobody to answer, or nothing: ValueError is a line longer than MAX_REQUEST_BYTES
        except asyncio.CancelledError:
            pass  # by `stop`; asyncio of Python 3.11 logs a connection's task that ends as cancelled
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _refusal(self, connection: socket.socket) -> Json:
        if not _allowed(connection):
            return _error("this user may not steer the node", "use the user who runs it, or root")
        if len(self._connections) > MAX_CONNECTIONS:
            return _error("too many control connections", "end a trace, or try again later")
        return None

    async def _serve(self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client that hangs up ends its stream: one that waits for its next item would not notice.
        answer = asyncio.create_task(self._answer(line, writer))
        hung_up = asyncio.create_task(reader.read(1))
        try:
            await asyncio.wait({answer, hung_up}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            answer.cancel()
            hung_up.cancel()
            await asyncio.gather(answer, hung_up, return_exceptions=True)

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            async with contextlib.aclosing(self._replies(line)) as replies:
                async for reply in replies:
                    await _write(writer, reply)
        except CommandError as error:
            await _write(writer, _error(error.reason, error.fix))
        except _ClientGone:
            raise
        except Exception as error:
            log.exception("control command failed")
            await _write(
                writer, _error(redact(f"{type(error).__name__}: {error}"), "see the log of the node")
            )

    async def _replies(self, line: bytes) -> AsyncGenerator[Json]:
        name, arguments = _request(line)
        command = self._commands.get(name)
        if command is None:
            raise CommandError(
                f"unknown command {name!r}", "known here: " + ", ".join(sorted(self._commands))
            )
        answer = command(arguments)
        if isinstance(answer, AsyncGenerator):
            async with contextlib.aclosing(answer):
                async for item in answer:
                    yield {"item": item}
            yield {"end": True}
        else:
            yield {"value": await answer}


def _request(line: bytes) -> tuple[str, Arguments]:
    try:
        request = json.loads(line)
        name, arguments = request["command"], request.get("arguments", {})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise CommandError("a request is a JSON object with a command and arguments") from None
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise CommandError("a command is a text and its arguments are an object")
    return name, arguments


def _error(reason: str, fix: str = "") -> Json:
    return {"error": reason, "fix": fix}


async def _write(writer: asyncio.StreamWriter, reply: Json) -> None:
    writer.write(json.dumps(reply, ensure_ascii=False, default=str).encode(errors="replace") + b"\n")
    try:
        # Not wait_for: until Python 3.12 it can swallow a cancellation, and a stream would outlive the node.
        async with asyncio.timeout(WRITE_SECONDS):
            await writer.drain()
    except (ConnectionError, TimeoutError) as error:
        raise _ClientGone from error


def _private_socket(path: Path) -> socket.socket:
    """A listening socket that nobody else can open, even in the moment in which it is made."""
    if _in_use(path):
        raise OSError(f"another node answers on {path}")
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listening.bind(str(path))
    except OSError:
        listening.close()
        raise
    finally:
        os.umask(mask)
    return listening


def _in_use(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _allowed(connection: socket.socket) -> bool:
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # not Linux: the mode of the socket has to do
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", packed)
    return uid in (0, os.geteuid())
