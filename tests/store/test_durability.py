"""Faults from outside: kill -9, a full disk. What was acknowledged is there, the rest says that it failed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ringfence.store.database import Database

from .raw import sql
from .samples import NOW
from .settle import settled

WRITER = """
import asyncio, resource, sys
from ringfence.store import Binding, StoreError
from ringfence.store.database import Database

async def register(database, number):
    aor = f"sip:user{number % 50}@example.org"
    def decide(current):
        return [Binding(aor, "sip:phone@192.0.2.1", 2e9, "call", number, 1.7e9, user_agent="x" * 500)]
    try:
        (held,) = await database.bindings.change(aor, decide, 1.7e9)
    except StoreError as error:
        print("failed", number, error, flush=True)
    else:
        print("durable", held.aor, held.cseq, flush=True)

async def main(url, numbers, file_limit):
    database = await Database.open(url)
    if file_limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    numbers = iter(range(numbers))
    async def phone():
        for number in numbers:
            await register(database, number)
    await asyncio.gather(*(phone() for _ in range(20)))

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""


def acknowledged(lines: list[str]) -> dict[str, int]:
    newest: dict[str, int] = {}
    for line in lines:
        if line.startswith("durable "):
            _, aor, cseq = line.split()
            newest[aor] = max(int(cseq), newest.get(aor, -1))
    return newest


async def assert_kept(url: str, newest: dict[str, int]) -> None:
    database = await Database.open(url)
    for aor, cseq in newest.items():
        (held,) = await settled(database.bindings.lookup(aor, NOW))
        # A later change may have been made whose acknowledgement was cut off; an earlier one must not be there.
        assert held.cseq >= cseq
        assert held.user_agent == "x" * 500
    await database.close()


@pytest.mark.parametrize("acknowledgements", [1, 200, 1500])
async def test_kill_9_loses_nothing_that_was_acknowledged(
    url: str, path: Path, acknowledgements: int
) -> None:
    command = [sys.executable, "-c", WRITER, url, "20000", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(acknowledgements)]
        process.kill()
        lines += process.stdout.read().splitlines()
    assert process.returncode == -9
    newest = acknowledged([line for line in lines if len(line.split()) == 3])
    assert newest
    assert sql(path, "PRAGMA integrity_check") == [("ok",)]
    await assert_kept(url, newest)


async def test_a_full_disk_fails_writes_and_keeps_the_rest(url: str, path: Path) -> None:
    # The kernel refuses to let the log file grow, as it does when the disk is full.
    command = [sys.executable, "-c", WRITER, url, "3000", "400000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    failed = [line for line in lines if line.startswith("failed")]
    assert len(lines) == 3000
    assert failed
    assert all("can't write: " in line for line in failed)
    assert sql(path, "PRAGMA integrity_check") == [("ok",)]
    newest = acknowledged(lines)
    assert newest
    await assert_kept(url, newest)
