"""Call records as files: the same in each format, and without what names a caller who did not want that."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import Any

import pytest

from ringfence.ledger.events import Event, Kind
from ringfence.ledger.export import COLUMNS, write_csv, write_json, write_parquet
from ringfence.ledger.keys import Privacy
from ringfence.ledger.records import CallRecord, records_of

NOW = 1_800_000_000.0
PRIVACY = Privacy(b"p" * 32)
FACTS = {
    "account": "sip:alice@example.org",
    "caller": "=cmd|' /C calc'!A0",
    "callee": "tel:+15551234",
    "source": "192.0.2.9 5060",
    "rate": "0.60 0.05 60 0",
}


def records(privacy: Privacy | None = None) -> list[CallRecord]:
    events = [
        Event(Kind.START, NOW, "c1", FACTS),
        Event(Kind.ANSWER, NOW + 4, "c1", {"tag": "b"}),
        Event(Kind.START, NOW + 5, "c2", PRIVACY.seal(FACTS)),
        Event(Kind.NOTE, NOW + 6, "c1", {"text": "a remark"}),
        Event(Kind.STOP, NOW + 65.5, "c1", {"reason": "the caller hung up", "status": 200}),
    ]
    return list(records_of(events, privacy))


def as_csv(found: list[CallRecord]) -> list[dict[str, Any]]:
    file = io.BytesIO()
    write_csv(found, file)
    return list(csv.DictReader(io.StringIO(file.getvalue().decode())))


def as_json(found: list[CallRecord]) -> list[dict[str, Any]]:
    file = io.BytesIO()
    write_json(found, file)
    return [json.loads(line) for line in file.getvalue().splitlines()]


def as_parquet(found: list[CallRecord]) -> list[dict[str, Any]]:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    file = io.BytesIO()
    write_parquet(found, file)
    table = parquet.read_table(io.BytesIO(file.getvalue()))
    assert tuple(table.column_names) == COLUMNS
    rows: list[dict[str, Any]] = table.to_pylist()
    for row in rows:
        for name in ("started", "answered", "ended"):
            row[name] = row[name] and row[name].isoformat(timespec="milliseconds")
    return rows


@pytest.mark.parametrize("read", [as_csv, as_json, as_parquet])
def test_every_format_has_every_call(read: Any) -> None:
    first, second = read(records())
    assert (first["call"], float(first["seconds"]), float(first["cost"])) == ("c1", 61.5, 1.25)
    assert (first["answered"], first["ended"]) == (
        "2027-01-15T08:00:04.000+00:00",
        "2027-01-15T08:01:05.500+00:00",
    )
    assert second["call"] == "c2"
    assert second["ended"] in ("", None)


@pytest.mark.parametrize("read", [as_csv, as_json, as_parquet])
@pytest.mark.parametrize("cost", ["0.000001", "123456.789012"])
def test_a_cost_is_exact_to_the_last_digit(read: Any, cost: str) -> None:
    (row,) = read([CallRecord("c1", cost=cost, started=NOW)])
    assert Decimal(row["cost"]) == Decimal(cost)


@pytest.mark.parametrize("read", [as_csv, as_json, as_parquet])
def test_private_callers_are_named_in_none(read: Any) -> None:
    private = read(records())[1]
    assert not private["account"]
    assert not private["caller"]
    assert not private["source"]
    assert str(private["private"]) == "True"
    revealed = read(records(PRIVACY))[1]
    assert revealed["account"] == "sip:alice@example.org"


def test_a_spreadsheet_computes_nothing_that_a_caller_wrote() -> None:
    assert as_csv(records())[0]["caller"] == "'=cmd|' /C calc'!A0"
    assert as_json(records())[0]["caller"] == "=cmd|' /C calc'!A0"


def test_parquet_of_no_calls_has_its_columns() -> None:
    assert as_parquet([]) == []


@pytest.mark.parametrize("read", [as_csv, as_json, as_parquet])
def test_octets_that_are_no_text_are_kept_or_told(read: Any) -> None:
    odd = CallRecord("c1", caller="sip:\udcff@example.org", started=NOW)
    (row,) = read([odd])
    assert row["caller"].startswith("sip:")
