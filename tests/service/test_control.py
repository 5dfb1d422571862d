"""The control socket: who may ask, what is answered, and what a bad client can't do."""

import asyncio
import contextlib
import json
import stat
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ringfence.service import control
from ringfence.service.control import Arguments, Command, CommandError, ControlServer, Json
from ringfence.service.control_client import NodeUnavailable, ask, stream

ended: list[str] = []


async def status(arguments: Arguments) -> Json:
    return {"domain": "example.org", **arguments}


async def refuse(_arguments: Arguments) -> Json:
    raise CommandError("there is no such ban", "see ringfence ban list")


async def fail(_arguments: Arguments) -> Json:
    raise RuntimeError('it was response="hunter2"')


async def slow(_arguments: Arguments) -> Json:
    raise TimeoutError


async def numbers(arguments: Arguments) -> AsyncGenerator[Json]:
    for number in range(arguments["count"]):
        yield number


async def endless(_arguments: Arguments) -> AsyncGenerator[Json]:
    try:
        yield "first"
        await asyncio.sleep(3600)
    finally:
        ended.append("endless")


COMMANDS: dict[str, Command] = {
    "status": status,
    "refuse": refuse,
    "fail": fail,
    "slow": slow,
    "numbers": numbers,
    "endless": endless,
}


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[Path]:
    server = ControlServer(directory / "control.sock", COMMANDS)
    await server.start()
    try:
        yield server.path
    finally:
        await server.stop()


async def raw(path: Path, data: bytes) -> list[Any]:
    reader, writer = await asyncio.open_unix_connection(str(path), limit=1 << 20)
    writer.write(data)
    await writer.drain()
    lines = (await asyncio.wait_for(reader.read(), 5)).splitlines()
    writer.close()
    await writer.wait_closed()
    return [json.loads(line) for line in lines]


async def test_a_question_gets_its_answer(tmp_path: Path) -> None:
    async with serving(tmp_path) as path:
        answer = await asyncio.to_thread(ask, path, "status", verbose=True)
        assert answer == {"domain": "example.org", "verbose": True}
        assert await raw(path, b'{"command": "status"}\n') == [{"value": {"domain": "example.org"}}]


async def test_a_stream_comes_item_by_item_to_its_end(tmp_path: Path) -> None:
    async with serving(tmp_path) as path:
        items = await asyncio.to_thread(lambda: list(stream(path, "numbers", count=3)))
        assert items == [0, 1, 2]
        assert (await raw(path, b'{"command": "numbers", "arguments": {"count": 0}}\n')) == [{"end": True}]


async def test_who_hangs_up_ends_the_stream(tmp_path: Path) -> None:
    ended.clear()
    async with serving(tmp_path) as path:
        items = stream(path, "endless")
        assert await asyncio.to_thread(next, items) == "first"
        items.close()
        async with asyncio.timeout(5):
            while not ended:
                await asyncio.sleep(0.01)


async def test_stopping_ends_the_streams(tmp_path: Path) -> None:
    ended.clear()
    async with serving(tmp_path) as path:
        items = stream(path, "endless")
        await asyncio.to_thread(next, items)
    assert ended == ["endless"]
    assert not path.exists()
    items.close()


async def test_a_refusal_has_reason_and_fix(tmp_path: Path) -> None:
    async with serving(tmp_path) as path:
        with pytest.raises(CommandError) as caught:
            await asyncio.to_thread(ask, path, "refuse")
        assert (caught.value.reason, caught.value.fix) == ("there is no such ban", "see ringfence ban list")
        with pytest.raises(CommandError, match="unknown command 'nonsense'"):
            await asyncio.to_thread(ask, path, "nonsense")


async def test_a_fault_is_told_without_secrets_and_the_node_lives_on(tmp_path: Path) -> None:
    async with serving(tmp_path) as path:
        (reply,) = await raw(path, b'{"command": "fail"}\n')
        assert reply["error"].startswith("RuntimeError: ")
        assert "hunter2" not in reply["error"]
        (reply,) = await raw(path, b'{"command": "slow"}\n')
        assert reply["error"].startswith("TimeoutError")
        assert await asyncio.to_thread(ask, path, "status") == {"domain": "example.org"}


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"nonsense\n",
        b"[]\n",
        b"1\n",
        b'{"arguments": {}}\n',
        b'{"command": 5}\n',
        b'{"command": "status", "arguments": []}\n',
        b"\xff\xfe\n",
        b"[" * 30_000 + b"\n",
    ],
)
async def test_what_is_no_request_gets_an_error(tmp_path: Path, line: bytes) -> None:
    async with serving(tmp_path) as path:
        (reply,) = await raw(path, line)
        assert "error" in reply


async def test_a_line_without_end_is_cut_off(tmp_path: Path) -> None:
    async with serving(tmp_path) as path:
        reader, writer = await asyncio.open_unix_connection(str(path))
        with contextlib.suppress(ConnectionError):
            writer.write(b"x" * (control.MAX_REQUEST_BYTES * 20))
            await writer.drain()
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        assert await asyncio.to_thread(ask, path, "status") == {"domain": "example.org"}


async def test_a_client_that_says_nothing_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "REQUEST_SECONDS", 0.05)
    async with serving(tmp_path) as path:
        assert await raw(path, b"") == []


async def test_too_many_clients_are_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "MAX_CONNECTIONS", 1)
    async with serving(tmp_path) as path:
        items = stream(path, "endless")
        await asyncio.to_thread(next, items)
        (reply,) = await raw(path, b'{"command": "status"}\n')
        assert reply["error"] == "too many control connections"
        items.close()


async def test_nobody_else_may_open_it(tmp_path: Path) -> None:
    async with serving(tmp_path) as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_second_node_does_not_take_the_socket_of_the_first(tmp_path: Path) -> None:
    async with serving(tmp_path) as path:
        with pytest.raises(OSError, match="another node answers"):
            await ControlServer(path, COMMANDS).start()
        assert await asyncio.to_thread(ask, path, "status")


async def test_a_socket_that_a_dead_node_left_is_replaced(tmp_path: Path) -> None:
    import socket

    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "control.sock"))
    left.close()
    async with serving(tmp_path) as path:
        assert await asyncio.to_thread(ask, path, "status")


def test_no_node_is_said_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(NodeUnavailable) as caught:
        ask(tmp_path / "control.sock", "status")
    assert caught.value.reason == f"no node answers on {tmp_path}/control.sock"
    assert "ringfence serve" in caught.value.fix
