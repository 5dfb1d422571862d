"""Faults from outside: kill -9 in the middle of calls, a full disk. Every call is accounted once."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.ledger.book import RETRY_SECONDS, Sealing, SqlLedger
from ringfence.ledger.events import Event, Kind, event_of
from ringfence.ledger.reading import reading
from ringfence.ledger.records import records_of
from ringfence.ledger.witness import read_witness
from ringfence.store.connect import sqlite_url
from ringfence.store.errors import StoreError
from ringfence.store.migrate import upgrade

from .samples import KEY, NOW, WRITER, call_events

NODE = """
import asyncio, sys
from pathlib import Path
from ringfence.ledger.book import Sealing, SqlLedger
from tests.ledger.samples import KEY, WRITER, call_events

async def main(url, witness):
    ledger = await SqlLedger.open(url, WRITER, Sealing(KEY, Path(witness), events=50))
    numbers = iter(range(100_000))
    async def phone():
        for number in numbers:
            start, answer, stop = call_events(number)
            await ledger.append(start)
            print("connected", number, flush=True)
            ledger.note(answer)
            await asyncio.sleep(0.01)
            ledger.note(stop)
    await asyncio.gather(*(phone() for _ in range(20)))

asyncio.run(main(sys.argv[1], sys.argv[2]))
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = sqlite_url(tmp_path / "ledger.db")
    upgrade(url)
    return url


def counts(url: str) -> Counter[tuple[str, Kind]]:
    with reading(url) as ledger:
        return Counter((event.call, event.kind) for event in ledger.events() if event.call)


def assert_proved(url: str, witness: Path) -> None:
    with reading(url) as ledger:
        for report in ledger.verify([KEY.public_key()], read_witness(witness)):
            assert report.finding is None, report.finding


@pytest.mark.parametrize("connected", [1, 100, 700])
async def test_kill_9_in_the_middle_of_calls(url: str, tmp_path: Path, connected: int) -> None:
    witness = tmp_path / "witness"
    acknowledged: set[str] = set()
    for _ in range(2):  # it crashes, is started, and crashes again
        command = [sys.executable, "-c", NODE, url, str(witness)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        ) as node:
            assert node.stdout is not None
            lines = [node.stdout.readline() for _ in range(connected)]
            node.kill()
            lines += node.stdout.read().splitlines()
        assert node.returncode == -9
        acknowledged |= {f"c{line.split()[1]}" for line in lines if len(line.split()) == 2}
    await (await SqlLedger.open(url, WRITER, Sealing(KEY, witness))).close()
    assert_proved(url, witness)
    found = counts(url)
    for call in acknowledged:
        assert found[call, Kind.START] in {1, 2}, "each node has begun with the same keys"
        assert found[call, Kind.START] == found[call, Kind.STOP]
    with reading(url) as ledger:
        assert all(not record.open for record in records_of(ledger.events()))


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Files of this process can't grow over a limit that the test sets."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_disk")
async def test_a_full_disk_refuses_calls_and_forgets_none(url: str, tmp_path: Path) -> None:
    ledger = await SqlLedger.open(url, WRITER, Sealing(KEY, tmp_path / "witness", events=50))
    connected = []
    for number in range(10):
        await ledger.append(call_events(number)[0])
        connected.append(number)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    for number in connected:  # calls that go on end while the disk is full
        for event in call_events(number)[1:]:
            ledger.note(event)
    with pytest.raises(StoreError):
        await ledger.append(call_events(99)[0])
    ledger.note(Event(Kind.STOP, NOW, "c99", {"reason": "its start was not durable", "status": 503}))
    assert ledger.waiting >= 20
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await asyncio.sleep(RETRY_SECONDS + 0.5)
    assert ledger.waiting == 0
    await ledger.close()
    assert_proved(url, tmp_path / "witness")
    with reading(url) as reader:
        records = list(records_of(reader.events()))
    assert sorted(record.call for record in records) == sorted(f"c{number}" for number in connected)
    assert all(record.seconds == 60 for record in records)


async def test_order_is_kept_over_a_failure(url: str, tmp_path: Path) -> None:
    ledger = await SqlLedger.open(url, WRITER, Sealing(KEY, tmp_path / "witness"))
    for number in range(3):
        for event in call_events(number):
            ledger.note(event)
    await ledger.close()
    with reading(url) as reader:
        kinds = [event_of(link.body).kind for link in reader.links(WRITER)]
    assert kinds == [Kind.OPEN, *[Kind.START, Kind.ANSWER, Kind.STOP] * 3, Kind.CLOSE]
