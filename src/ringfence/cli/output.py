"""What commands print: facts as JSON for programs, tables for people. Remarks go to standard error."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 1000


def keep_output_whole() -> None:
    """Give standard output a buffer where PYTHONUNBUFFERED has taken it.

    Without one Python writes once and does not look how much went out. To a full pipe that is all, in other programs;
    libuv, which uses io_uring, makes Linux cut such a write short, and the end of a long report would be lost.
    """
    raw = getattr(sys.stdout, "buffer", None)
    if isinstance(raw, io.RawIOBase):
        buffered = io.BufferedWriter(raw)
        sys.stdout = io.TextIOWrapper(
            buffered, sys.stdout.encoding, sys.stdout.errors, line_buffering=True, write_through=False
        )


def console() -> Console:
    """Standard output for people, as it is at this moment. A file or pipe has lines of any length."""
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def remark(text: str) -> None:
    """Say something besides the result."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text(text))


def print_json(value: Any, *, lines: bool = False) -> None:
    """The facts for a program; with `lines`, on one line of a stream."""
    text = json.dumps(value, indent=None if lines else 2, ensure_ascii=False, default=str)
    # Octets of a peer that are no UTF-8 stand in text as lone surrogates; in JSON they are written as escapes.
    print(text.encode("utf-8", "backslashreplace").decode(), flush=lines)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """The facts for people. Values are printed as they are, without rich's markup."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_plain(value)) for value in row))
    console().print(table)


def print_facts(facts: Mapping[str, object]) -> None:
    """One thing's facts for people, a line each."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        console().print(Text.assemble((f"{name:<{width}}  ", "bold"), _plain(value)))


def _plain(value: object) -> str:
    if value is None:
        return ""
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return "".join(each if each.isprintable() else "?" for each in text)
