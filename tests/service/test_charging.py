"""Prices, credit and limits as they are configured; crashes; who is told of alerts."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from ringfence.ledger.events import Event, Kind
from ringfence.ledger.fraud import Action, Alert
from ringfence.ledger.memory import MemoryLedger
from ringfence.ledger.prepaid import Prepaid
from ringfence.ledger.rates import MICRO, Rate
from ringfence.message import LocalError
from ringfence.roles.charging import Charging, Limits
from ringfence.service.charging import (
    AlertCommand,
    make_control,
    make_spending,
    settle_what_a_crash_left,
    unblock_command,
)
from ringfence.service.control import CommandError
from ringfence.service.diameter import make_client
from ringfence.service.ledger import open_ledger
from ringfence.store.balances import Reservation
from ringfence.store.memory import MemoryStore

from .test_checks import Domain

ALICE = "sip:alice@example.org"


@pytest.fixture
def domain(tmp_path: object) -> Domain:
    return Domain(tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[accounts]\nsource = "radius"\n', "no RADIUS server is named"),
        (
            '[accounts]\nsource = "radius"\n[[radius]]\nauthentication = "192.0.2.1:1812"\nsecret = "s"\n',
            "MD5 is offered nowhere",
        ),
        ('[[radius]]\nserver = "192.0.2.1:1813"\nsecret = "short"\n', "short: it can be guessed"),
        ('[accounts]\nsource = "diameter"\n', "no server is named"),
        ('[charging]\ncredit = "diameter"\n', "no server is named"),
        (
            '[[diameter_server]]\nserver = "192.0.2.1:3868"\nname = "a.b"\ntransport = "tcp"\n',
            "neither hidden nor proved",
        ),
        ('[fraud]\ncost_per_hour = "10"\n', "calls cost nothing without prices"),
        ("[ledger]\nenabled = false\n[fraud]\ndestinations_per_hour = 5\n", "need the ledger"),
    ],
)
def test_what_can_not_work_is_remarked_on(domain: Domain, text: str, says: str) -> None:
    domain.write("short", b"testing123\n")
    assert any(says in finding for finding in domain.findings(text)), domain.findings(text)


@pytest.mark.parametrize(
    "text", ['per_minute = "free"', 'per_minute = "-1"', "per_minute = 0.05", 'per_minute = "1e-9"']
)
def test_a_price_is_an_amount_in_quotes(domain: Domain, text: str) -> None:
    with pytest.raises(Exception, match="per_minute"):
        domain.config(f'[[rate]]\nprefix = "tel:"\n{text}\n')


def test_prices_and_limits_are_read(domain: Domain) -> None:
    config = domain.config(
        '[[rate]]\nprefix = "tel:+358"\nper_minute = "0.6"\nsetup = "0.05"\nstep_seconds = 60\n'
        '[fraud]\ncost_per_hour = "20"\ndestinations_per_hour = 30\naction = "end"\nblock_seconds = 60\n'
    )
    spending = make_spending(config, None, None)  # type: ignore[arg-type]
    assert spending.watch is not None
    rules = spending.watch.rules
    assert (rules.cost, rules.destinations, rules.action, rules.block_seconds) == (
        20 * MICRO,
        30,
        Action.END,
        60,
    )
    assert spending._rates.of("tel:+3581") == Rate(600_000, 50_000, 60, 0)
    assert isinstance(make_control(config, MemoryStore(), None), Prepaid)
    assert make_client(config) is None
    with pytest.raises(LocalError, match="no \\[\\[diameter_server\\]\\]"):
        make_client(domain.config('[charging]\ncredit = "diameter"\n'))


async def test_a_crash_loses_no_money_and_takes_none(domain: Domain) -> None:
    """kill -9 with one call that goes on, one that was over, and one that was never recorded."""
    config = domain.config()
    store = MemoryStore()
    await store.balances.change(ALICE, 1000)
    control = make_control(config, store, None)
    rate = "0.00006 0.00 1 0"  # one millionth a second
    ledger = await open_ledger(config)
    assert ledger is not None
    now = time.time()
    facts = {"account": ALICE, "rate": rate}
    for call in ("goes-on", "over", "never"):
        await store.balances.reserve(Reservation(call, config.writer, ALICE, 60), 0)
        if call != "never":
            await ledger.append(Event(Kind.START, now, call, facts))
            await ledger.append(Event(Kind.ANSWER, now, call, {"tag": "b"}))
    await ledger.append(Event(Kind.NOTE, now + 20, "goes-on", {"text": "it lives"}))
    await ledger.append(Event(Kind.STOP, now + 7, "over", {"reason": "the caller hung up", "status": 200}))
    await ledger._store.close()  # as a crash leaves it
    assert await store.balances.get(ALICE) == 1000 - 180

    again = await open_ledger(config)
    assert again is not None
    assert again.recovered == 1
    spending = make_spending(config, again, control)
    assert await settle_what_a_crash_left(config, spending, store.balances) == 3
    assert await spending.settle()
    assert await store.balances.get(ALICE) == 1000 - 20 - 7
    assert await settle_what_a_crash_left(config, spending, store.balances) == 0
    await again.close()


async def test_a_program_is_told_of_alerts(domain: Domain) -> None:
    path = domain.directory / "told"
    command = AlertCommand(("sh", "-c", f"cat > {path}"))
    command.tell(Alert(ALICE, "cost-per-hour", 3, 2))
    for _ in range(100):
        if path.exists() and path.read_text():
            break
        await asyncio.sleep(0.02)
    assert json.loads(path.read_text()) == {"account": ALICE, "rule": "cost-per-hour", "value": 3, "limit": 2}
    AlertCommand(("/no/such/program",)).tell(Alert(ALICE, "cost-per-hour", 3, 2))
    await asyncio.sleep(0.05)


async def test_an_account_is_unblocked(domain: Domain) -> None:
    config = domain.config("[fraud]\ndestinations_per_hour = 1\n")
    spending = make_spending(config, None, None)  # type: ignore[arg-type]
    assert spending.watch is not None
    now = time.time()
    for number in range(2):
        spending.watch.called(ALICE, f"tel:+{number}", now)
    charging = Charging(MemoryLedger(), Limits(), spending=spending)
    unblock = unblock_command(charging)
    assert (await unblock({"account": ALICE}))["was blocked"]  # type: ignore[misc]
    assert not (await unblock({"account": ALICE}))["was blocked"]  # type: ignore[misc]
    with pytest.raises(CommandError):
        await unblock_command(None)({})  # type: ignore[misc]
