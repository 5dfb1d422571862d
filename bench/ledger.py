"""What the ledger costs a call: CPU time, and how long the start of a call waits to be durable, at several rates.

    ledger.py [--rates 5 25 100 300 600] [--seconds 5] [--dir DIR]

Each call is a start that is waited for, an answer and a stop, as a node writes them; the events go to a SQLite file on
the disk of DIR. The CPU time is that of the whole process, less what it takes to make the same calls without a ledger.
Compare it with what a call costs a node: ``bench/run.py``.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ringfence.ledger.book import Sealing, SqlLedger
from ringfence.ledger.events import Event, Kind
from ringfence.ledger.memory import MemoryLedger
from ringfence.store.connect import sqlite_url
from ringfence.store.migrate import upgrade

FACTS = {
    "account": "sip:alice@example.org",
    "caller": "sip:alice@example.org",
    "callee": "sip:bob@example.org",
    "call_id": "843817637684230@998sdasdh09",
    "evidence": "digest SHA-256",
    "transport": "TLS",
    "source": "198.51.100.10 40000",
}
PAUSE = 0.1
"""Seconds from the answer to the end."""


async def calls(ledger: SqlLedger | MemoryLedger, rate: float, seconds: float) -> tuple[float, list[float]]:
    """Make calls; gives the CPU seconds and how long each start waited."""
    waits: list[float] = []

    async def call(number: int) -> None:
        key = f"{number:x}.c0ffee"
        began = time.perf_counter()
        durable: Awaitable[None] | None = ledger.append(Event(Kind.START, time.time(), key, FACTS))
        if durable is not None:
            await durable
        waits.append(time.perf_counter() - began)
        ledger.note(Event(Kind.ANSWER, time.time(), key, {"tag": "b"}))
        await asyncio.sleep(PAUSE)
        ledger.note(Event(Kind.STOP, time.time(), key, {"reason": "the caller hung up", "status": 200}))

    busy, begun = time.process_time(), time.perf_counter()
    tasks = []
    for number in range(round(rate * seconds)):
        await asyncio.sleep(max(begun + number / rate - time.perf_counter(), 0))
        tasks.append(asyncio.create_task(call(number)))
    await asyncio.gather(*tasks)
    if isinstance(ledger, SqlLedger):
        await ledger.close()
    return time.process_time() - busy, sorted(waits)


async def measure(rate: float, seconds: float, directory: Path) -> str:
    """One line of the table."""
    url = sqlite_url(directory / f"ledger-{rate:g}.db")
    await asyncio.to_thread(upgrade, url)
    sealing = Sealing(Ed25519PrivateKey.generate(), directory / f"witness-{rate:g}")
    idle, _ = await calls(MemoryLedger(), rate, seconds)
    busy, waits = await calls(await SqlLedger.open(url, "bench", sealing), rate, seconds)
    cost = (busy - idle) / len(waits) * 1e6
    p50, p99 = (waits[int(len(waits) * part)] * 1000 for part in (0.5, 0.99))
    return f"{rate:8g} {cost:10.0f} {p50:12.1f} {p99:8.1f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rates", type=float, nargs="+", default=[5, 25, 100, 300, 600])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--dir", type=Path)
    options = parser.parse_args()
    print(f"{'calls/s':>8} {'us a call':>10} {'waits p50 ms':>12} {'p99 ms':>8}")
    for rate in options.rates:
        with tempfile.TemporaryDirectory(dir=options.dir) as directory:
            print(asyncio.run(measure(rate, options.seconds, Path(directory))))


if __name__ == "__main__":
    main()
