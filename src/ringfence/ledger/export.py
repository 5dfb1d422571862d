"""Call records as files for billing: CSV, JSON, Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Any, BinaryIO

from ringfence.ledger.records import CallRecord
from ringfence.message.errors import LocalError

COLUMNS: Sequence[str] = tuple(field.name for field in fields(CallRecord))
_TIMES = ("started", "answered", "ended")

PORTION = 10_000
"""Records of a Parquet file that are held in memory at a time."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would compute. Peers choose some of these texts (CSV injection)."""


def row_of(record: CallRecord) -> dict[str, Any]:
    """One record as a flat object; times are texts of RFC 3339."""
    row: dict[str, Any] = {name: getattr(record, name) for name in COLUMNS}
    for name in _TIMES:
        moment = datetime.fromtimestamp(row[name], UTC) if row[name] else None
        row[name] = moment.isoformat(timespec="milliseconds") if moment is not None else None
    row["notes"] = list(record.notes)
    return row


def write_csv(records: Iterable[CallRecord], file: BinaryIO) -> None:
    """A header and a line for each call."""
    writer = csv.writer(_Text(file))
    writer.writerow(COLUMNS)
    for record in records:
        row = row_of(record) | {"notes": "; ".join(record.notes)}
        writer.writerow([_cell(row[name]) for name in COLUMNS])


def write_json(records: Iterable[CallRecord], file: BinaryIO) -> None:
    """An object a line, so that a file of any length can be read."""
    for record in records:
        file.write(json.dumps(row_of(record), ensure_ascii=True).encode() + b"\n")


def write_parquet(records: Iterable[CallRecord], file: BinaryIO) -> None:
    """A table for data tools, in portions: times are times, costs are decimal numbers, the rest is as in JSON.

    Raises:
        LocalError: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise LocalError("Parquet needs the pyarrow package; run: pip install 'ringfence[parquet]'") from None
    kinds = {
        "float": pyarrow.float64(),
        "int": pyarrow.int64(),
        "bool": pyarrow.bool_(),
        "str": pyarrow.string(),
    }
    special = {
        **dict.fromkeys(_TIMES, pyarrow.timestamp("ms", "UTC")),
        "cost": pyarrow.decimal128(18, 6),
        "notes": pyarrow.list_(pyarrow.string()),
    }
    schema = pyarrow.schema(
        [(each.name, special.get(each.name) or kinds[str(each.type)]) for each in fields(CallRecord)]
    )
    with parquet.ParquetWriter(file, schema) as writer:
        remaining = iter(records)
        while portion := list(islice(remaining, PORTION)):
            rows = [_typed(record) for record in portion]
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))


def _typed(record: CallRecord) -> dict[str, Any]:
    row = {name: _valid(getattr(record, name)) for name in COLUMNS}
    for name in _TIMES:
        row[name] = datetime.fromtimestamp(row[name], UTC) if row[name] else None
    return row | {
        "cost": Decimal(record.cost) if record.cost else None,
        "notes": list(map(_valid, record.notes)),
    }


def _valid(value: Any) -> Any:
    """A text without octets that are no UTF-8."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


class _Text:
    """What the csv module writes to."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(text.encode("utf-8", "backslashreplace"))


def _cell(value: object) -> object:
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
