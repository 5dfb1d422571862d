"""A scanner that hangs or talks nonsense takes nothing along; tests/interop/test_clamd.py has a real one."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ringfence.transport.clamd import CHUNK, Clamd, Finding, read_reply

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def scanner(directory: Path, serve: Serve) -> AsyncIterator[str]:
    """A scanner that does this with each connection."""
    path = str(directory / "s")
    server = await asyncio.start_unix_server(serve, path)
    try:
        yield path
    finally:
        server.close()


async def received(reader: asyncio.StreamReader) -> bytes:
    """The stream of one INSTREAM command."""
    assert await reader.readuntil(b"\0") == b"zINSTREAM\0"
    data = b""
    while size := struct.unpack("!I", await reader.readexactly(4))[0]:
        data += await reader.readexactly(size)
    return data


@pytest.mark.parametrize(
    ("reply", "finding", "detail"),
    [
        (b"stream: OK\0", Finding.CLEAN, ""),
        (b"stream: Win.Test.EICAR_HDB-1 FOUND\0", Finding.INFECTED, "Win.Test.EICAR_HDB-1"),
        (
            b"INSTREAM size limit exceeded. ERROR\0",
            Finding.UNSCANNED,
            "clamd says: INSTREAM size limit exceeded. ERROR",
        ),
        (b"\xff\xfe\0", Finding.UNSCANNED, None),
        (b"\0", Finding.UNSCANNED, None),
    ],
)
def test_what_answers_mean(reply: bytes, finding: Finding, detail: str | None) -> None:
    scan = read_reply(reply)
    assert scan.finding is finding
    assert detail is None or scan.detail == detail


async def test_a_long_body_comes_in_pieces(tmp_path: Path) -> None:
    body = bytes(range(256)) * 600
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await received(reader))
        writer.write(b"stream: OK\0")
        writer.close()

    async with scanner(tmp_path, serve) as path:
        assert (await Clamd(path).scan([body, b"x"])).finding is Finding.CLEAN
    assert got == [body, b"x"]
    assert len(body) > CHUNK


async def test_one_that_hangs_takes_its_time_and_no_more(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with scanner(tmp_path, serve) as path:
        clamd = Clamd(path, seconds=0.3, at_a_time=2, waiting=3)
        begin = time.monotonic()
        found = await asyncio.gather(*(clamd.scan([b"x"]) for _ in range(20)))
        assert time.monotonic() - begin < 2.0
    assert all(each.finding is Finding.UNSCANNED for each in found)
    assert sum("too many" in each.detail for each in found) == 15
    assert sum("no answer" in each.detail for each in found) == 5
    assert clamd.counts[Finding.UNSCANNED] == 20


@pytest.mark.parametrize("said", [b"", b"x" * 100_000], ids=["nothing", "no end"])
async def test_one_that_hangs_up_or_talks_without_end(tmp_path: Path, said: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await received(reader)
        writer.write(said)
        writer.close()

    async with scanner(tmp_path, serve) as path:
        assert (await Clamd(path, seconds=2.0).scan([b"x"])).finding is Finding.UNSCANNED


async def test_one_that_is_not_there(tmp_path: Path) -> None:
    for address in (str(tmp_path / "none"), ("127.0.0.1", 1)):
        found = await Clamd(address).scan([b"x"])  # type: ignore[arg-type]
        assert found.finding is Finding.UNSCANNED
        assert found.detail


async def test_what_is_too_large_is_not_even_sent(tmp_path: Path) -> None:
    found = await Clamd(str(tmp_path / "none"), max_bytes=10).scan([b"x" * 6, b"y" * 6])
    assert found.detail == "more than 10 bytes"
