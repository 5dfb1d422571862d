"""``ringfence ledger``: the record of calls, and the proof that nobody has changed it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from heapq import nlargest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ringfence.cli.failure import Exit, Failure
from ringfence.cli.options import ConfigOption, JsonOption, load_config
from ringfence.cli.output import print_facts, print_json, print_table, remark

if TYPE_CHECKING:
    from ringfence.ledger.keys import Privacy
    from ringfence.ledger.reading import Reader
    from ringfence.ledger.records import CallRecord
    from ringfence.ledger.verification import Report
    from ringfence.service.config import Config

DAY = 86_400.0

ledger = typer.Typer(
    help="The record of calls, and the proof that nobody has changed it.", no_args_is_help=True
)

Reveal = Annotated[
    bool, typer.Option("--reveal", help="Name callers who asked not to be named. It needs the node's secret.")
]
Since = Annotated[
    str, typer.Option(metavar="TIME", help="Calls that began then or later: 2026-11-25, or 2026-11-25T08:00.")
]
Until = Annotated[str, typer.Option(metavar="TIME", help="Calls that began earlier.")]


class Format(StrEnum):
    """Of an export."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


@ledger.command("list")
def list_calls(
    account: Annotated[str, typer.Option(metavar="AOR", help="Only the calls of this account.")] = "",
    going_on: Annotated[bool, typer.Option("--open", help="Only calls that go on.")] = False,
    since: Since = "",
    until: Until = "",
    last: Annotated[int, typer.Option(min=1, help="So many, the newest ones.")] = 100,
    reveal: Reveal = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List calls: who called whom, when, how long, and why it ended."""
    loaded = load_config(config)
    with _reading(loaded) as reader:
        records = _records(reader, loaded, reveal, since, until)
        chosen = (
            each
            for each in records
            if (not account or each.account.endswith(account)) and (each.open or not going_on)
        )
        found = nlargest(last, chosen, key=lambda record: record.started)[::-1]
    from ringfence.ledger.export import row_of

    if json:
        print_json([row_of(each) for each in found])
        return
    columns = ("call", "started", "account", "callee", "seconds", "cost", "status", "reason")
    print_table(columns, [[_shown(row_of(each), name) for name in columns] for each in found])


@ledger.command()
def show(
    call: Annotated[str, typer.Argument(metavar="CALL", help="Its key, or its Call-ID.")],
    reveal: Reveal = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show one call with all that happened."""
    loaded = load_config(config)
    with _reading(loaded) as reader:
        found = [
            each for each in _records(reader, loaded, reveal, "", "") if call in (each.call, each.call_id)
        ]
        if not found:
            raise Failure(Exit.NO, f"there is no call {call}", "see: ringfence ledger list")
        events = [event for event in reader.events() if event.call == found[-1].call]
    from ringfence.ledger.export import row_of

    facts = row_of(found[-1])
    steps = [{"time": _moment(event.time), "event": str(event.kind), **event.facts} for event in events]
    if json:
        print_json(facts | {"events": steps})
        return
    print_facts({name: value for name, value in facts.items() if value not in ("", None, [])})
    print_table(
        ("time", "event", "facts"),
        [
            (step["time"], step["event"], ", ".join(f"{k}={v}" for k, v in step.items() if k not in _SHOWN))
            for step in steps
        ],
    )


@ledger.command()
def verify(
    key: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="The public key. Default: that of the configuration."),
    ] = None,
    database: Annotated[
        str,
        typer.Option(metavar="URL", help="The ledger, a file or a URL. Default: the configuration's."),
    ] = "",
    witness: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The copy of the checkpoints. Default: the configuration's."),
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Check that no event was changed, removed, inserted or moved; exit 1 names the first that was.

    With --key and --database no configuration is needed, and no node: whoever has the ledger can check it.
    """
    from ringfence.cli.counting import counting
    from ringfence.ledger.keys import read_public_keys
    from ringfence.ledger.reading import reading
    from ringfence.ledger.witness import read_witness
    from ringfence.service.ledger import public_path
    from ringfence.store.connect import sqlite_url

    if not (key and database):
        loaded = load_config(config)
        key = key or [public_path(loaded.ledger_key)]
        database = database or loaded.ledger_url
        witness = witness or loaded.ledger_witness
    if ":" not in database:
        database = sqlite_url(Path(database))
    keys = [each for path in key for each in read_public_keys(path)]
    witnessed = read_witness(witness) if witness is not None else {}
    with reading(database) as reader, counting("events", reader.length()) as told:
        reports = list(reader.verify(keys, witnessed, told))
    wrong = [each for each in reports if each.finding is not None]
    if json:
        print_json({"verified": not wrong, "chains": [_report_facts(each) for each in reports]})
    else:
        _print_reports(reports)
        if not witnessed:
            remark("There is no witness: it was not checked whether the end was cut off.")
    raise typer.Exit(Exit.NO if wrong else Exit.GOOD)


@ledger.command()
def export(
    format: Annotated[Format, typer.Option("--format", "-f", help="Of the file.")] = Format.CSV,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: standard output.")
    ] = None,
    since: Since = "",
    until: Until = "",
    reveal: Reveal = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Write the call records for billing: csv, json (an object a line) or parquet."""
    from ringfence.ledger import export as writers

    loaded = load_config(config)
    write = {
        Format.CSV: writers.write_csv,
        Format.JSON: writers.write_json,
        Format.PARQUET: writers.write_parquet,
    }[Format.JSON if json else format]
    with _reading(loaded) as reader:
        records = _records(reader, loaded, reveal, since, until)
        if output is None:
            write(records, sys.stdout.buffer)
            sys.stdout.flush()
            return
        with open(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            write(records, file)


@ledger.command()
def alerts(
    since: Since = "", until: Until = "", config: ConfigOption = None, json: JsonOption = False
) -> None:
    """List the accounts that have called more than [fraud] allows."""
    loaded = load_config(config)
    earliest, latest = _time(since, 0.0), _time(until, float("inf"))
    with _reading(loaded) as reader:
        found = [
            {"time": _moment(event.time), **event.facts}
            for event in reader.events()
            if event.kind == "alert" and earliest <= event.time < latest
        ]
    if json:
        print_json(found)
        return
    from ringfence.ledger.rates import money

    columns = ("time", "account", "rule", "value", "limit", "action")
    for each in found:
        if str(each["rule"]).startswith("cost"):
            each |= {name: money(int(each[name])) for name in ("value", "limit")}
    print_table(columns, [[each[name] for name in columns] for each in found])


@ledger.command()
def rotate(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Sign with a new key from now on. The old one announces it, so that the first public key still verifies all."""
    import asyncio

    from ringfence.service.ledger import rotate_key

    loaded = load_config(config)
    _stopped(loaded)
    facts = asyncio.run(rotate_key(loaded))
    if json:
        print_json(facts)
    else:
        print_facts(facts)


@ledger.command()
def prune(
    days: Annotated[int, typer.Option(min=1, help="Keep the events of so many days.")],
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Remove old events. The ledger itself says so, and what is left still verifies.

    What a RADIUS server or a webhook has not been told of yet stays. A node does it by itself with ledger.keep_days.
    """
    import asyncio

    from ringfence.service.ledger import open_ledger
    from ringfence.service.retention import needed_from

    loaded = load_config(config)
    _stopped(loaded, f"stop it first: ringfence stop; or have it do that: keep_days = {days} under [ledger]")

    async def remove() -> int:
        removed = 0
        for each in loaded.as_workers():
            opened = await open_ledger(each)
            if opened is None:
                continue
            try:
                removed += await opened.prune(time.time() - days * DAY, needed_from(each))
            finally:
                await opened.close()
        return removed

    facts = {"removed": asyncio.run(remove())}
    if json:
        print_json(facts)
    else:
        print_facts(facts)


# -- what they share -------------------------------------------------------------------------------------

_SHOWN = frozenset({"time", "event"})


@contextmanager
def _reading(config: Config) -> Iterator[Reader]:
    from ringfence.ledger.reading import reading  # SQLAlchemy: 0.3 s that other commands save

    with reading(config.ledger_url) as reader:
        yield reader


def _records(reader: Reader, config: Config, reveal: bool, since: str, until: str) -> Iterator[CallRecord]:
    from ringfence.ledger.records import records_of

    earliest, latest = _time(since, 0.0), _time(until, float("inf"))
    records = records_of(reader.events(), _privacy(config) if reveal else None)
    return (record for record in records if earliest <= record.started < latest)


def _privacy(config: Config) -> Privacy:
    from ringfence.ledger.keys import Privacy
    from ringfence.service.secrets import read_secret
    from ringfence.service.wiring import derive

    return Privacy(derive(read_secret(config.secret_file), "ledger"))


def _stopped(config: Config, fix: str = "stop it first: ringfence stop") -> None:
    """A chain has one writer: two would each find that somebody else changes it."""
    from ringfence.service.control_client import NodeUnavailable, ask

    try:
        ask(config.control_socket, "status")
    except NodeUnavailable:
        return
    raise Failure(Exit.NO, "the node runs, and writes the ledger", fix)


def _time(text: str, absent: float) -> float:
    if not text:
        return absent
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fix = "write 2026-11-25, or 2026-11-25T08:00"
        raise Failure(Exit.USAGE, f"{text!r} is not a time", fix) from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _shown(row: dict[str, Any], name: str) -> object:
    if name == "account" and row["private"] and not row["account"]:
        return "private"
    if name == "reason" and row["ended"] is None:
        return "goes on"
    return row[name]


def _report_facts(report: Report) -> dict[str, Any]:
    finding = report.finding
    return {
        "writer": report.writer,
        "events": report.events,
        "checkpoints": report.checkpoints,
        "sealed": report.sealed,
        "unsealed": report.unsealed,
        "pruned": report.pruned,
        "keys": report.keys,
        "finding": None
        if finding is None
        else {
            "what": finding.what,
            "number": finding.number,
            "fault": str(finding.fault),
            "why": finding.why,
            "text": str(finding),
        },
    }


def _print_reports(reports: list[Report]) -> None:
    columns = ("writer", "events", "checkpoints", "signed up to", "not signed yet", "verdict")
    rows = [
        (
            each.writer,
            each.events,
            each.checkpoints,
            each.sealed,
            each.unsealed,
            each.finding or "as it was written",
        )
        for each in reports
    ]
    print_table(columns, rows)
