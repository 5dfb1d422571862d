"""On which line of a TOML text each key stands, so that an error can name it.

`tomllib` gives values without positions. This reads the text once more, after `tomllib` has accepted it: it
may therefore be lenient, it only has to find where keys, strings and arrays begin and end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

KeyPath = tuple[str | int, ...]
"""The way to a value, as pydantic names it: ``("listen", 0, "port")``."""

_PART = re.compile(r"""[ \t]*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))[ \t]*""")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|' + r"'''.*?'{3,5}|" + r'"(?:[^"\\\n]|\\.)*"|' + r"'[^'\n]*'",
    re.DOTALL,
)


def locate(text: str) -> dict[KeyPath, int]:
    """The line number (from 1) of every table, key and array element of a valid TOML text."""
    return dict(_Scan(text).places())


def line_of(places: dict[KeyPath, int], path: KeyPath) -> int | None:
    """The line of the path, or of the nearest part of it that is in the text; None when no part is."""
    while path:
        if path in places:
            return places[path]
        path = path[:-1]
    return None


class _Scan:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.table: KeyPath = ()
        self.counts: dict[KeyPath, int] = {}

    def places(self) -> Iterator[tuple[KeyPath, int]]:
        while self.skip_blank():
            line = self.line()
            if self.text.startswith("[[", self.at):
                self.table = self.next_element(self.header(2))
                yield self.table, line
            elif self.text.startswith("[", self.at):
                self.table = self.current(self.header(1))
                yield self.table, line
            else:
                path = self.table + self.key()
                self.at += 1  # the equals sign
                yield path, line
                yield from self.value(path)

    def line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1

    def skip_blank(self) -> bool:
        if blank := _BLANK.match(self.text, self.at):
            self.at = blank.end()
        return self.at < len(self.text)

    def key(self) -> KeyPath:
        parts: list[str] = []
        while part := _PART.match(self.text, self.at):
            parts.append(next(group for group in part.groups() if group is not None))
            self.at = part.end()
            if not self.text.startswith(".", self.at):
                break
            self.at += 1
        return tuple(parts)

    def header(self, brackets: int) -> KeyPath:
        self.at += brackets
        name = self.key()
        self.at += brackets
        return name

    def next_element(self, name: KeyPath) -> KeyPath:
        name = (*self.current(name[:-1]), name[-1])
        self.counts[name] = self.counts.get(name, -1) + 1
        return (*name, self.counts[name])

    def current(self, name: KeyPath) -> KeyPath:
        """The name with the index of the array element that each part of it now stands for."""
        path: KeyPath = ()
        for part in name:
            path = (*path, part)
            if path in self.counts:
                path = (*path, self.counts[path])
        return path

    def value(self, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
        """Pass over one value and yield the lines of its elements when it is an array."""
        depth, index, expecting = 0, 0, False
        while self.at < len(self.text):
            character = self.text[self.at]
            if depth == 0 and character in "\n#":
                return
            if depth and character in " \t\r\n#":
                self.skip_blank()
                continue
            if depth == 1 and expecting and character not in "],}":
                yield (*path, index), self.line()
                expecting = False
            if string := _STRING.match(self.text, self.at):
                self.at = string.end()
                continue
            self.at += 1
            if character in "[{":
                expecting = depth == 0 and character == "["
                depth += 1
            elif character in "]}":
                depth -= 1
            elif character == "," and depth == 1:
                index, expecting = index + 1, True
