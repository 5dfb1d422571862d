"""Draw messages as a ladder: a column for each endpoint, an arrow for each message, a lock for TLS.

A pure function from arrows to text, used for the live trace, where rows come one by one, and for a call that
is over, where all are known. Endpoints get their columns in order of appearance unless they are named
beforehand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

MIN_GAP = 24
"""Cells between two columns: room for "INVITE sip:bob" and an arrow head."""

MAX_GAP = 44
MARGIN = 10
"""Cells left of the first column, for the time, and on the right for half a name."""

LOCK = "🔒"


class Arrow(NamedTuple):
    """One message. `time` is in seconds from any start; `status` is None for a request."""

    time: float
    source: str
    target: str
    label: str
    secure: bool = False
    status: int | None = None
    note: str = ""


class Ladder:
    """A ladder that grows by rows. `names` are columns that are known already, from left to right."""

    def __init__(self, names: Iterable[str] = (), *, width: int = 100, start: float | None = None) -> None:
        self.names = list(dict.fromkeys(names))
        self._width = width
        self._start = start

    def header(self) -> Text:
        """The names over their columns."""
        return self._over_columns(self.names, "bold")

    def rows(self, arrow: Arrow) -> Text:
        """The lines of one message; a new endpoint gets a column, and the header is drawn again."""
        text = Text(no_wrap=True)
        known = len(self.names)
        for name in (arrow.source, arrow.target):
            if name not in self.names:
                self.names.append(name)
        if len(self.names) != known:
            text.append_text(self.header()).append("\n")
        if self._start is None:
            self._start = arrow.time
        return text.append_text(self._arrow(arrow, arrow.time - self._start))

    @property
    def _gap(self) -> int:
        room = self._width - 2 * MARGIN
        return max(MIN_GAP, min(MAX_GAP, room // max(1, len(self.names) - 1)))

    def _at(self, name: str) -> int:
        return MARGIN + self._gap * self.names.index(name)

    def _over_columns(self, names: Sequence[str], style: str) -> Text:
        text = Text(no_wrap=True)
        for name in names:
            shown = _cut(name, self._gap - 2)
            start = max(text.cell_len, self._at(name) - cell_len(shown) // 2)
            text.append(" " * (start - text.cell_len)).append(shown, style)
        return text

    def _arrow(self, arrow: Arrow, elapsed: float) -> Text:
        left, right = sorted((self._at(arrow.source), self._at(arrow.target)))
        text = Text(no_wrap=True).append(f"{elapsed:8.3f}", "dim")
        if left == right:
            right = left + self._gap  # a message to itself is drawn to the right
        for name in self.names:
            column = self._at(name)
            if column <= left:
                _pad(text, column)
                text.append("│", "dim")
        rightward = self._at(arrow.source) <= self._at(arrow.target)
        text.append_text(_shaft(arrow, right - left - 1, rightward))
        for name in self.names:
            column = self._at(name)
            if column >= right:
                _pad(text, column)
                text.append("│", "dim")
        if arrow.note:
            text.append("  " + _cut(arrow.note, self._width), "italic dim")
        return text


def draw(arrows: Iterable[Arrow], names: Iterable[str] = (), *, title: str = "", width: int = 100) -> Text:
    """A whole ladder of messages that are known."""
    arrows = list(arrows)
    appearing = (name for arrow in arrows for name in (arrow.source, arrow.target))
    ladder = Ladder([*names, *appearing], width=width, start=arrows[0].time if arrows else None)
    parts = [Text(title, "bold")] if title else []
    return Text("\n").join([*parts, ladder.header(), *map(ladder.rows, arrows)])


def _shaft(arrow: Arrow, room: int, rightward: bool) -> Text:
    """The arrow with its label in it: ``── INVITE 🔒 ──▶``."""
    lock = f" {LOCK}" if arrow.secure else ""
    label = f" {_cut(arrow.label, room - 6 - cell_len(lock))}{lock} "
    line = room - 1 - cell_len(label)
    before, after = "─" * (line // 2), "─" * (line - line // 2)
    style = _style(arrow)
    text = Text("" if rightward else "◀", style)
    text.append(before, style).append(label, f"bold {style}").append(after, style)
    return text.append("▶" if rightward else "", style)


def _style(arrow: Arrow) -> str:
    if arrow.status is None:
        return "cyan"
    if arrow.status < 200:
        return "yellow"
    return "green" if arrow.status < 300 else "magenta" if arrow.status in (401, 407) else "red"


def _pad(text: Text, column: int) -> None:
    text.append(" " * max(0, column - text.cell_len))


def _cut(text: str, width: int) -> str:
    """The text in at most that many cells, with nothing in it that moves the cursor."""
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if cell_len(text) <= width else set_cell_size(text, max(1, width - 1)).rstrip() + "…"
