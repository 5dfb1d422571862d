"""Ask a running node over its control socket, from a command: blocking, one question at a time."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

from ringfence.service.control import CommandError, Json

ANSWER_SECONDS = 30.0
"""For an answer. Draining has its own time and says so as a stream."""

MAX_REPLY_BYTES = 16_000_000
"""Of one line: a list of a hundred thousand bans fits."""


class NodeUnavailable(Exception):
    """No node answers on the socket. `reason` is one sentence, `fix` the next step."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix


def ask(path: Path, command: str, /, **arguments: Json) -> Json:
    """The answer to one command. Raises `NodeUnavailable`, or `CommandError` with the node's reason."""
    for reply in _replies(path, command, arguments, ANSWER_SECONDS):
        if "value" in reply:
            return reply["value"]
    raise NodeUnavailable(f"the node on {path} hung up", "see its log")


def stream(path: Path, command: str, /, **arguments: Json) -> Iterator[Json]:
    """The items of a command that gives many, as they come. Raises as `ask` does."""
    for reply in _replies(path, command, arguments, None):
        if "end" in reply:
            return
        yield reply.get("item", reply.get("value"))


def _replies(path: Path, command: str, arguments: dict[str, Json], patience: float | None) -> Iterator[Json]:
    request = json.dumps({"command": command, "arguments": arguments}).encode() + b"\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        _connect(connection, path)
        try:
            connection.sendall(request)
            connection.settimeout(patience)
            with connection.makefile("rb") as lines:
                while line := lines.readline(MAX_REPLY_BYTES):
                    reply = json.loads(line)
                    if "error" in reply:
                        raise CommandError(reply["error"], reply.get("fix", ""))
                    yield reply
        except TimeoutError:
            raise NodeUnavailable(f"no answer within {ANSWER_SECONDS:g} s", "see the node's log") from None
        except (ConnectionError, ValueError) as error:
            raise NodeUnavailable(f"the control connection broke: {error}", "see the node's log") from None


def _connect(connection: socket.socket, path: Path) -> None:
    try:
        connection.connect(str(path))
    except PermissionError:
        fix = "run the command as the user who runs the node, or as root"
        raise NodeUnavailable(f"{path} may not be opened by this user", fix) from None
    except OSError:
        fix = "start it with ringfence serve, or name its configuration with --config"
        raise NodeUnavailable(f"no node answers on {path}", fix) from None
