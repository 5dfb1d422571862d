"""Read the table `subscriber` of a Kamailio: from its database, from a dump of it, or from a CSV file.

Only what an account needs is taken: username, domain, password, ha1. `ha1b` is the same for phones that send their
whole address as user name, and can't be told from a wrong one; `ha1` is what Kamailio checks unless it was set
otherwise.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ringfence.message.errors import LocalError

TABLE = "subscriber"
WANTED = ("username", "domain", "password", "ha1")

STANDARD_COLUMNS = ("id", "username", "domain", "password", "ha1", "ha1b")
"""Of Kamailio 5 and later, for a dump that does not name them."""

MAX_DUMP = 1 << 30
"""Octets of a file: some million subscribers."""

_TEXT = r"'((?:[^'\\]|\\.|'')*+)'"
_VALUE = re.compile(rf"\s*+(?:{_TEXT}|([^\s,()']++))\s*+([,)])", re.DOTALL)
_INSERT = re.compile(
    rf"INSERT\s+INTO\s+[`\"]?(?:\w+[`\"]?\.[`\"]?)?{TABLE}[`\"]?\s*(?:\(([^)]*)\))?\s*VALUES\s*",
    re.IGNORECASE,
)
_CREATE = re.compile(
    rf"CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?[`\"]?(?:\w+[`\"]?\.[`\"]?)?{TABLE}[`\"]?\s*\((.*?)\)\s*[^,()]*;",
    re.IGNORECASE | re.DOTALL,
)
_COLUMN = re.compile(
    r"^\s*[`\"]?(\w+)[`\"]?\s+(?:int|var|char|text|date|time|serial|small|big|unsigned)", re.IGNORECASE
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}


class Subscriber(NamedTuple):
    """One row. What is not there is empty."""

    username: str
    domain: str
    password: str
    ha1: str


def read_subscribers(source: str) -> Iterator[Subscriber]:
    """The rows of a database (a SQLAlchemy URL), or of a file: CSV with a line of names, or a dump in SQL.

    Raises:
        LocalError: it has no such table, or can't be read.
        StoreError: the database can't be read.
    """
    if "://" in source:
        return _of_database(source)
    path = Path(source)
    try:
        if path.stat().st_size > MAX_DUMP:
            raise LocalError(f"{path} is larger than {MAX_DUMP >> 20} MB")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise LocalError(f"{path} is not UTF-8") from None
    return _of_dump(text, path) if _INSERT.search(text) else _of_csv(text, path)


def _of_database(url: str) -> Iterator[Subscriber]:
    from sqlalchemy import create_engine, text  # 0.3 s that other commands save
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    from ringfence.store.errors import StoreError

    try:
        engine = create_engine(url, hide_parameters=True)
        with engine.connect() as connection:
            rows = connection.execute(text(f"SELECT {', '.join(WANTED)} FROM {TABLE}"))  # noqa: S608  (constants)
            yield from (Subscriber(*(str(value or "") for value in row)) for row in rows)
    except (ArgumentError, ModuleNotFoundError) as error:
        raise LocalError(f"the database can't be opened: {error}") from None
    except SQLAlchemyError as error:
        raise StoreError(f"the table {TABLE} can't be read: {str(error).splitlines()[0]}") from None


def _of_csv(text: str, path: Path) -> Iterator[Subscriber]:
    rows = csv.DictReader(text.splitlines())
    names = rows.fieldnames or ()
    if "username" not in names or not {"password", "ha1"} & set(names):
        raise LocalError(
            f"{path} has no first line with username and password or ha1, and no INSERT INTO {TABLE}"
        )
    return (Subscriber(*(row.get(name) or "" for name in WANTED)) for row in rows)


def _of_dump(text: str, path: Path) -> Iterator[Subscriber]:
    created = _CREATE.search(text)
    named = (_COLUMN.match(line) for line in created[1].split(",\n")) if created is not None else ()
    standard = [match[1].lower() for match in named if match is not None] or list(STANDARD_COLUMNS)
    for insert in _INSERT.finditer(text):
        columns = re.findall(r"\w+", insert[1].lower()) if insert[1] else standard
        yield from _picked(columns, _tuples(text, insert.end(), path))


def _picked(columns: Sequence[str], rows: Iterable[list[str]]) -> Iterator[Subscriber]:
    places = [columns.index(name) if name in columns else -1 for name in WANTED]
    for row in rows:
        if len(row) != len(columns):
            raise LocalError(f"a row of the dump has {len(row)} values for {len(columns)} columns")
        yield Subscriber(*(row[place] if place >= 0 else "" for place in places))


def _tuples(text: str, place: int, path: Path) -> Iterator[list[str]]:
    """The rows behind VALUES: ``(1,'alice',...),(...);``."""
    while text[place : place + 1] == "(":
        place += 1
        row: list[str] = []
        end = ","
        while end == ",":
            value = _VALUE.match(text, place)
            if value is None:
                raise LocalError(f"{path} can't be read at character {place}: no SQL value")
            row.append(_unescaped(value[1]) if value[1] is not None else _plain(value[2]))
            place, end = value.end(), value[3]
        yield row
        place = re.compile(r"\s*,?\s*").match(text, place).end()  # type: ignore[union-attr]  # it matches nothing too


def _plain(word: str) -> str:
    return "" if word.upper() == "NULL" else word


def _unescaped(text: str) -> str:
    return re.sub(
        r"''|\\(.)", lambda m: "'" if m[1] is None else _ESCAPES.get(m[1], m[1]), text, flags=re.DOTALL
    )
