"""How long a ledger is kept: by the node itself, by the command, and never past what somebody has not been told."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from ringfence.ledger.book import Sealing, SqlLedger
from ringfence.ledger.events import Event, Kind
from ringfence.ledger.keys import read_public_keys, read_signing_key
from ringfence.ledger.reading import reading
from ringfence.ledger.witness import read_witness
from ringfence.service import process
from ringfence.service.config import Config
from ringfence.service.ledger import make_key, open_ledger, public_path
from ringfence.service.retention import DAY, Retention, needed_from
from ringfence.service.webhooks import make_webhooks
from ringfence.store.memory import MemoryStore
from ringfence.store.migrate import upgrade
from tests.ledger.samples import call_events

from .test_checks import Domain

RADIUS = '[[radius]]\nserver = "127.0.0.1:9"\nsecret = "radius.secret"\n'


@pytest.fixture
def domain(tmp_path: Path) -> Domain:
    domain = Domain(tmp_path)
    domain.write("radius.secret", b"0123456789abcdef")
    return domain


async def write(config: Config, days: float, calls: range) -> None:
    """So many calls, and what the node says of itself, so many days ago."""
    then = time.time() - days * DAY
    upgrade(config.ledger_url)
    key = config.ledger_key
    signing = read_signing_key(key) if key.exists() else make_key(key)
    sealing = Sealing(signing, config.ledger_witness, events=4)
    ledger = await SqlLedger.open(config.ledger_url, config.writer, sealing, lambda: then)
    for number in calls:
        for event in call_events(number):
            await ledger.append(Event(event.kind, then, event.call, event.facts))
    await ledger.close()


def numbers(config: Config) -> list[int]:
    """The events that are left; the ledger verifies."""
    keys = read_public_keys(public_path(config.ledger_key))
    with reading(config.ledger_url) as reader:
        for report in reader.verify(keys, read_witness(config.ledger_witness)):
            assert report.finding is None, report.finding
        return [link.number for link in reader.links(config.writer)]


async def test_a_node_removes_what_is_old(domain: Domain) -> None:
    config = domain.config("[ledger]\nkeep_days = 30\n")
    await write(config, 31, range(4))
    await write(config, 29, range(4, 8))
    before = numbers(config)
    ledger = await open_ledger(config)
    assert ledger is not None
    retention = Retention(config, ledger, 30)
    for _ in range(3):
        await retention.tick()
    await ledger.close()
    after = numbers(config)
    with reading(config.ledger_url) as reader:
        kinds = [event.kind for event in reader.events()]
        calls = {event.call for event in reader.events() if event.call}
    assert kinds.count(Kind.PRUNED) == 1, "and says so, once"
    assert calls == {f"c{number}" for number in range(4, 8)}
    assert after[0] > before[0]


async def test_what_has_not_been_told_stays(domain: Domain) -> None:
    config = domain.config(RADIUS)
    await write(config, 31, range(8))
    assert needed_from(config) == 1, "a RADIUS server that has been told of nothing"
    ledger = await open_ledger(config)
    assert ledger is not None
    retention = Retention(config, ledger, 30)
    await retention.tick()
    assert numbers(config)[0] == 1
    (config.node.data_dir / "radius.place").write_text(json.dumps({"number": 12, "low": 10}))
    await retention.tick()
    await ledger.close()
    first = numbers(config)[0]
    assert 1 < first <= 10, "the start of a call that it knows of is still there"


def test_a_webhook_that_is_behind_is_waited_for(domain: Domain) -> None:
    hook = '[[webhook]]\nurl = "http://127.0.0.1:9/"\nsecret = "hook.secret"\n'
    domain.write("hook.secret", b"0123456789abcdef0123456789abcdef")
    config = domain.config(hook)
    assert needed_from(config) is None, "a new one is told of what comes"
    asyncio.run(write(config, 0, range(1)))
    (follower,) = make_webhooks(config)
    follower._file.write_text('{"number": 3}')
    assert needed_from(config) == 4


async def test_a_portion_at_a_time(domain: Domain) -> None:
    config = domain.config()
    await write(config, 31, range(20))
    ledger = await open_ledger(config)
    assert ledger is not None
    before = time.time() - 30 * DAY
    first = await ledger.prune(before, most=10)
    assert 10 <= first < 20
    assert await ledger.prune(before, most=10) >= 10
    assert await ledger.prune(before, needed=5) == 0
    await ledger.close()
    assert numbers(config)[0] > 20


async def test_a_node_that_is_served_does_it_by_itself(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = domain.config('[ledger]\nkeep_days = 30\n[metrics]\nlisten = ""\n')
    config = config.model_copy(update={"listen": ()})
    await write(config, 31, range(4))
    monkeypatch.setattr(process, "RETAIN_SECONDS", 0.05)
    async with process.running(config, MemoryStore()):
        for _ in range(200):
            if numbers(config)[0] > 1:
                break
            await asyncio.sleep(0.05)
    assert numbers(config)[0] > 1
