"""Call records as files for billing: CSV, JSON, Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, BinaryIO

from ringfence.ledger.records import CallRecord
from ringfence.message.errors import LocalError

COLUMNS: Sequence[str] = tuple(field.name for field in fields(CallRecord))
_TIMES = ("started", "answered", "ended")

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
    """A table for data tools.

    Raises:
        LocalError: pyarrow is not installed.
    """
    try:
        from pyarrow import Table, parquet  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ModuleNotFoundError:
        raise LocalError("Parquet needs the pyarrow package; run: pip install pyarrow") from None
    parquet.write_table(Table.from_pylist([row_of(record) for record in records]), file)


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
