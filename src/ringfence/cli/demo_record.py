"""The scene of ``ringfence demo`` about the ledger: a call, its record, and what is found when somebody changes it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy.engine import make_url

from ringfence.cli.demo_pair import Stage
from ringfence.cli.demo_verdict import Promise
from ringfence.ledger.keys import read_public_keys
from ringfence.ledger.reading import reading
from ringfence.ledger.records import CallRecord, records_of
from ringfence.ledger.verification import Report
from ringfence.ledger.witness import read_witness
from ringfence.service.config import Config
from ringfence.service.ledger import public_path

CHECKS, BETWEEN = 40, 0.1
"""How often, and after how many seconds, it is looked whether the end of a call has been signed."""


async def record(stage: Stage) -> list[Promise]:
    """Alice calls bob; then somebody with the database writes another callee into the record of that call."""
    outgoing, incoming = await stage.connect("alice", "bob", "bob")
    call_id = outgoing.dialog.call_id if outgoing.dialog is not None else ""
    await outgoing.hang_up()
    await incoming.ended
    config = stage.domains["example.org"].config
    report = await _signed(config)
    found = _find(config.ledger_url, call_id)
    changed = f"sqlite:///{_change(config, stage.directory, call_id)}"
    finding = _verify(config, changed).finding
    return [
        Promise(
            f"the call stands in the ledger: {found.account} to {found.callee}, by {found.evidence}",
            (found.account, found.callee) == ("sip:alice@example.org", "sip:bob@example.org"),
        ),
        Promise(f"the ledger verifies: {report.events} events, signed", report.finding is None),
        Promise(f"with one word changed it does not: {finding}", finding is not None),
    ]


async def _signed(config: Config) -> Report:
    """What verifying shows once all events are covered by a signed checkpoint."""
    report = _verify(config, config.ledger_url)
    for _ in range(CHECKS):
        if not report.unsealed or report.finding is not None:
            break
        await asyncio.sleep(BETWEEN)
        report = _verify(config, config.ledger_url)
    return report


def _verify(config: Config, url: str) -> Report:
    keys = read_public_keys(public_path(config.ledger_key))
    with reading(url) as reader:
        (report,) = reader.verify(keys, read_witness(config.ledger_witness))
    return report


def _find(url: str, call_id: str) -> CallRecord:
    with reading(url) as reader:
        return next(each for each in records_of(reader.events()) if each.call_id == call_id)


def _change(config: Config, directory: Path, call_id: str) -> Path:
    """A copy of the ledger in which the call went to somebody else."""
    original = make_url(config.ledger_url).database or ""
    copy = directory / "changed.db"
    copy.touch(mode=0o600)
    with closing(sqlite3.connect(original)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        change = "update ledger_events set body = replace(body, 'sip:bob@', 'sip:eve@') where instr(body, ?)"
        target.execute(change, (call_id,))
        target.commit()
    return copy
