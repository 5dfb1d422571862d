"""ringfence ledger: what was recorded, and the proof of it."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import shutil
from pathlib import Path

import pytest

from ringfence.cli.ledger import _privacy
from ringfence.ledger.events import Event, Kind
from ringfence.service.config import Config
from ringfence.service.ledger import open_ledger
from tests.cli.running import Shell
from tests.ledger.samples import NOW, call_events
from tests.service.test_retention import numbers, write
from tests.store.raw import sql


def keep(shell: Shell, *more: Event) -> None:
    """Record four calls, the last of which goes on, and what else the test wants."""
    config = Config.load(shell.directory / "ringfence.toml")

    async def record() -> None:
        ledger = await open_ledger(config)
        assert ledger is not None
        for event in [*(event for number in range(4) for event in call_events(number))][:-1]:
            ledger.note(event)
        for event in more:
            ledger.note(event)
        await ledger.close()

    asyncio.run(record())


@pytest.fixture
def kept(domain: Shell) -> Shell:
    facts = {"account": "sip:carol@example.org", "caller": "sip:carol@example.org", "callee": "sip:x@y.org"}
    hidden = _privacy(Config.load(domain.directory / "ringfence.toml")).seal(facts)
    keep(domain, Event(Kind.START, NOW + 9, "p1", hidden))
    return domain


def book(shell: Shell) -> Path:
    return shell.directory / "data" / "ledger.db"


def test_init_makes_the_keys(domain: Shell) -> None:
    data = domain.directory / "data"
    assert (data / "ledger.key").stat().st_mode & 0o777 == 0o600
    assert "PUBLIC KEY" in (data / "ledger.pub").read_text()
    assert domain.type("ledger", "verify").code == 69


def test_calls_are_listed(kept: Shell) -> None:
    calls = kept.type("ledger", "list", "--json").json
    assert [each["call"] for each in calls] == ["c0", "c1", "c2", "c3", "p1"]
    assert calls[0]["seconds"] == 60
    assert calls[0]["started"] == "2027-01-15T08:00:00.000+00:00"
    assert [each["call"] for each in kept.type("ledger", "list", "--open", "--json").json] == ["c3", "p1"]
    assert "goes on" in kept.type("ledger", "list").out
    assert kept.type("ledger", "list", "--account", "nobody", "--json").json == []
    assert len(kept.type("ledger", "list", "--since", "2027-01-15T08:00:02", "--json").json) == 3
    assert kept.type("ledger", "list", "--since", "yesterday").code == 2


def test_who_asked_not_to_be_named_is_named_only_with_the_secret(kept: Shell) -> None:
    for command in (["list", "--json"], ["show", "p1", "--json"], ["export"], ["export", "-f", "json"]):
        assert "carol" not in kept.type("ledger", *command).out
        assert "carol" in kept.type("ledger", *command, "--reveal").out
    assert "carol" not in book(kept).read_bytes().decode("latin-1")


def test_one_call_is_shown_with_its_events(kept: Shell) -> None:
    shown = kept.type("ledger", "show", "c1", "--json").json
    assert [each["event"] for each in shown["events"]] == ["start", "answer", "stop"]
    assert "the caller hung up" in kept.type("ledger", "show", "c1").out
    assert kept.type("ledger", "show", "c77").code == 1


def test_what_was_written_is_verified_with_the_public_key_alone(kept: Shell, tmp_path: Path) -> None:
    done = kept.type("ledger", "verify", "--json")
    assert done.code == 0
    assert done.json["verified"]
    public = tmp_path / "data" / "ledger.pub"
    (tmp_path / "ringfence.toml").unlink()
    url = f"sqlite:///{book(kept)}"
    offline = kept.type("ledger", "verify", "--key", str(public), "--database", url)
    assert offline.code == 0
    assert "as it was written" in offline.out
    assert "no witness" in offline.err
    assert kept.type("ledger", "verify", "--key", str(public), "--database", str(book(kept))).code == 0
    for database, code in (("nosuch://x", 69), ("sqlite://[", 69), ("absent.db", 69)):
        assert kept.type("ledger", "verify", "--key", str(public), "--database", database).code == code
    (tmp_path / "empty").write_text("no key\n")
    none = kept.type("ledger", "verify", "--key", "empty", "--database", url)
    assert (none.code, "no public key" in none.err) == (65, True)


def test_evidence_that_can_t_be_written_is_verified_where_it_lies(
    kept: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk that is mounted for reading only: nothing is changed, and nothing is put beside it."""
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    sql(book(kept), "PRAGMA wal_checkpoint(TRUNCATE)")
    for name in ("ledger.db", "ledger.pub", "ledger.witness"):
        shutil.copy(book(kept).parent / name, evidence)
    (evidence / "ledger.db-wal").write_bytes(b"left over")  # which SQLite would remove
    before = {path.name: path.read_bytes() for path in evidence.iterdir()}
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != evidence and access(path, mode))
    words = ("--key", f"{evidence}/ledger.pub", "--database", f"{evidence}/ledger.db")
    done = kept.type("ledger", "verify", *words, "--witness", f"{evidence}/ledger.witness", "--json")
    assert done.code == 0, done.err
    assert (done.code, done.json["verified"]) == (0, True)
    assert {path.name: path.read_bytes() for path in evidence.iterdir()} == before


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ("UPDATE ledger_events SET body = replace(body, 'b1@', 'b2@') WHERE number = 5", "event 5 of"),
        ("DELETE FROM ledger_events WHERE number = 4", "event 4 of"),
        ("DELETE FROM ledger_events", "event 1 of"),
    ],
)
def test_the_first_event_that_is_wrong_is_named(kept: Shell, edit: str, says: str) -> None:
    sql(book(kept), edit)
    done = kept.type("ledger", "verify")
    assert done.code == 1
    assert says in done.out
    finding = kept.type("ledger", "verify", "--json").json["chains"][0]["finding"]
    assert finding["text"].startswith(says)


def test_the_witness_knows_of_what_was_cut_off(kept: Shell) -> None:
    sql(book(kept), "DELETE FROM ledger_events WHERE number > 1")
    sql(book(kept), "DELETE FROM ledger_checkpoints WHERE number > 1")
    assert "event 2 of" in kept.type("ledger", "verify").out


def test_records_are_exported(kept: Shell, tmp_path: Path) -> None:
    out = tmp_path / "calls.csv"
    assert kept.type("ledger", "export", "--output", str(out)).code == 0
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [each["call"] for each in rows] == ["c0", "c1", "c2", "c3", "p1"]
    assert out.stat().st_mode & 0o777 == 0o600
    lines = kept.type("ledger", "export", "--format", "json").out.splitlines()
    assert json.loads(lines[0])["account"] == "sip:alice@example.org"


def test_a_text_of_a_peer_is_no_formula_in_a_spreadsheet(domain: Shell) -> None:
    keep(domain, Event(Kind.START, NOW, "evil", {"callee": "=HYPERLINK(1)"}))
    rows = csv.DictReader(io.StringIO(domain.type("ledger", "export").out))
    assert "'=HYPERLINK(1)" in [each["callee"] for each in rows]


def test_keys_are_changed(kept: Shell) -> None:
    first = (kept.directory / "data" / "ledger.pub").read_bytes()
    before = (kept.directory / "data" / "ledger.key").read_bytes()
    for _ in range(2):
        assert kept.type("ledger", "rotate").code == 0
        keep(kept)
    assert (kept.directory / "data" / "ledger.key").read_bytes() != before
    done = kept.type("ledger", "verify", "--json").json
    assert done["verified"]
    assert len(done["chains"][0]["keys"]) == 3
    (kept.directory / "first.pub").write_bytes(first)
    assert kept.type("ledger", "verify", "--key", "first.pub").code == 0


def test_old_events_are_removed_from_the_chains_of_all_workers(domain: Shell) -> None:
    path = domain.directory / "ringfence.toml"
    path.write_text(path.read_text().replace("[node]\n", "[node]\nworkers = 2\n"))
    config = Config.load(path)
    for each in config.as_workers():
        asyncio.run(write(each, 31, range(4)))
    assert domain.type("ledger", "prune", "--days", "32", "--json").json == {"removed": 0}
    assert domain.type("ledger", "prune", "--days", "30", "--json").json["removed"] >= 20
    for each in config.as_workers():
        assert numbers(each)[0] > 1
    assert domain.type("ledger", "verify").code == 0
    assert "c3" not in domain.type("ledger", "list").out


def test_old_events_are_removed(kept: Shell) -> None:
    assert kept.type("ledger", "prune", "--days", "1", "--json").json == {"removed": 0}
    assert kept.type("ledger", "verify").code == 0
