"""The ledger in a real PostgreSQL, also when it goes away in the middle of calls."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ringfence.ledger.book import RETRY_SECONDS, Sealing, SqlLedger
from ringfence.ledger.reading import reading
from ringfence.ledger.records import records_of
from ringfence.ledger.witness import read_witness
from ringfence.store.connect import engine_for
from ringfence.store.errors import StoreError
from tests.store.test_postgresql import server, url

from .samples import KEY, WRITER, call_events

pytest.importorskip("psycopg", reason="psycopg is not installed")
pytestmark = pytest.mark.interop("postgresql")

__all__ = ["server", "url"]  # fixtures


def disconnect_everybody(url: str) -> None:
    """What a restart of the server is to those who are connected."""
    with engine_for(url).connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )


async def test_calls_are_kept_when_connections_break(url: str, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    ledger = await SqlLedger.open(url, WRITER, Sealing(KEY, witness, events=10))
    refused = 0
    for number in range(40):
        start, answer, stop = call_events(number)
        if number % 10 == 5:
            await asyncio.to_thread(disconnect_everybody, url)
        try:
            await ledger.append(start)
        except StoreError:
            refused += 1
            ledger.note(stop)
            continue
        ledger.note(answer)
        ledger.note(stop)
    assert 1 <= refused <= 8
    await asyncio.sleep(RETRY_SECONDS + 0.5)
    await ledger.close()
    with reading(url) as reader:
        records = list(records_of(reader.events()))
        (report,) = reader.verify([KEY.public_key()], read_witness(witness))
    assert report.finding is None
    assert report.unsealed == 0
    answered = [record for record in records if record.seconds]
    assert len(answered) == 40 - refused
    assert len({record.call for record in records}) == len(records)
    assert not any(record.open for record in records)


async def test_writers_of_several_workers_have_a_chain_each(url: str, tmp_path: Path) -> None:
    ledgers = [
        await SqlLedger.open(url, f"worker{number}", Sealing(KEY, tmp_path / "witness"))
        for number in range(3)
    ]
    for number in range(12):
        start, answer, stop = (each._replace(time=each.time + 100 * number) for each in call_events(number))
        await ledgers[number % 3].append(start)
        await ledgers[(number + 1) % 3].append(answer)  # a response that the kernel gave to another one
        await ledgers[(number + 1) % 3].append(stop)
    for ledger in ledgers:
        await ledger.close()
    with reading(url) as reader:
        reports = list(reader.verify([KEY.public_key()], read_witness(tmp_path / "witness")))
        records = list(records_of(reader.events()))
    assert [report.writer for report in reports] == ["worker0", "worker1", "worker2"]
    assert all(report.finding is None for report in reports)
    assert [record.seconds for record in records] == [60.0] * 12
