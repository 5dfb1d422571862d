"""From the configuration to prices, credit and limits on what is spent. Part of `ledger` and `process`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from ringfence.ledger.credit import CreditControl, CreditSession
from ringfence.ledger.fraud import Action, Alert, FraudRules, FraudWatch
from ringfence.ledger.port import Ledger
from ringfence.ledger.prepaid import Prepaid
from ringfence.ledger.rates import Rates, read_money, read_rate
from ringfence.ledger.reading import reading
from ringfence.ledger.records import CallRecord, records_of
from ringfence.roles.charging import Charging
from ringfence.roles.spending import Spending
from ringfence.service.config import Config
from ringfence.service.control import Arguments, Command, CommandError, Json
from ringfence.store.balances import Balances
from ringfence.store.ports import Store

if TYPE_CHECKING:
    from ringfence.ledger.diameter import DiameterClient

log = structlog.get_logger("ringfence.charging")

COMMAND_SECONDS = 30.0
"""What the program gets that is told of alerts."""

AFTER_A_CRASH = 1_000_000
"""A number of requests in a session that no call of hours reaches: each number is used once (RFC 8506 section 8.2)."""

MAX_COMMANDS = 4
"""At a time. More alerts than that are in the log and in the ledger."""


def make_spending(config: Config, ledger: Ledger, control: CreditControl | None) -> Spending:
    """Prices and limits."""
    rates = Rates((each.prefix, each.rate()) for each in config.rate)
    fraud = config.fraud
    watch = None
    if fraud.cost_per_hour or fraud.destinations_per_hour:
        rules = FraudRules(
            read_money(fraud.cost_per_hour) if fraud.cost_per_hour else None,
            fraud.destinations_per_hour or None,
            Action(fraud.action),
            fraud.block_seconds,
        )
        watch = FraudWatch(rules)
    told = AlertCommand(fraud.command).tell if fraud.command else None
    return Spending(ledger, rates, watch, control, told)


def make_control(config: Config, store: Store, diameter: DiameterClient | None) -> CreditControl:
    """Whoever grants credit to prepaid accounts: the balances of our own store, or Diameter servers."""
    quota = config.charging.quota_seconds
    if diameter is None or config.charging.credit != "diameter":
        return Prepaid(store.balances, config.writer, quota)
    from ringfence.ledger.diameter_credit import DiameterCredit  # needs an optional package

    context = config.diameter.service_context or f"sip@{diameter.us.realm}"
    return DiameterCredit(
        diameter, store.balances, config.writer, context, quota, config.diameter.rating_group
    )


async def settle_what_a_crash_left(config: Config, spending: Spending, balances: Balances) -> int:
    """Settle calls of this node that go on no more: what they cost is in the ledger. Gives how many. Raises
    StoreError."""
    left = {each.call: each for each in await balances.open(config.writer)}
    if not left:
        return 0
    records = await asyncio.to_thread(_records, config, frozenset(left))
    for call, reservation in left.items():
        record = records.get(call)
        session = CreditSession(
            call, reservation.account, "", reserved=reservation.amount, id=reservation.session
        )
        if record is not None:
            session.rate, session.used, session.reason = read_rate(record.rate), record.seconds, record.reason
        session.requests = AFTER_A_CRASH
        spending.settle_later(session)
    return len(left)


def _records(config: Config, calls: frozenset[str]) -> dict[str, CallRecord]:
    with reading(config.ledger_url) as ledger:
        events = (event for _, event in ledger.numbered(config.writer, 0) if event.call in calls)
        return {record.call: record for record in records_of(events)}


def unblock_command(charging: Charging | None) -> Command:
    """``ringfence user unblock``."""

    async def unblock(arguments: Arguments) -> Json:
        account, now = str(arguments.get("account", "")), time.time()
        watch = charging.spending.watch if charging is not None and charging.spending is not None else None
        if charging is None or watch is None:
            raise CommandError("the node blocks nobody", "limits are set in [fraud]")
        if charging.together is not None:
            charging.together.released(account, now)
        return {"account": account, "was blocked": watch.release(account, now)}

    return unblock


class AlertCommand:
    """Runs a program for each alert."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = tuple(command)
        self._running: set[asyncio.Task[None]] = set()

    def tell(self, alert: Alert) -> None:
        """Start it, unless too many run."""
        if len(self._running) >= MAX_COMMANDS:
            log.warning(
                "an alert was not told: the program for the ones before still runs", account=alert.account
            )
            return
        task = asyncio.get_running_loop().create_task(self._run(alert))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, alert: Alert) -> None:
        text = json.dumps(
            {"account": alert.account, "rule": alert.rule, "value": alert.value, "limit": alert.limit}
        )
        process: asyncio.subprocess.Process | None = None
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                process = await asyncio.create_subprocess_exec(*self._command, stdin=asyncio.subprocess.PIPE)
                await process.communicate(f"{text}\n".encode())
        except (OSError, TimeoutError) as error:
            log.error(
                "an alert was not told", program=self._command[0], reason=str(error) or "it did not end"
            )
        finally:
            if process is not None and process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
