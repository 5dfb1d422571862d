"""An ordered multimap of header fields, kept as received text.

Two parallel lists: canonical names and whole lines. A line that nobody changes goes out byte for byte as it
came in, whatever its spelling, spacing or folding; that is cheapest, and keeps what signatures cover. A typed
view is made on first use and kept until the field changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from ringfence.message import grammar
from ringfence.message.errors import LocalError, PeerError
from ringfence.message.names import CANONICAL, MARKS, canonical_name

after_first: Callable[[str], str | None]
try:
    from ringfence.message._scan import after_first
except ImportError:  # not compiled

    def after_first(line: str) -> str | None:
        """Left to the long way."""
        return None


T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Parse(Protocol[T_co]):
    """Reads one value of a header field; raises PeerError 400 when it is malformed."""

    def __call__(self, text: str, /) -> T_co: ...


class Field(Generic[T]):
    """What is known of one header field: its names, whether it is a comma list, how to read one value.

    ``empty`` says that the list may have no element (``Supported:``), and that stray commas are let through.
    ``mark`` is its bit among those of ``MARKS``, 0 when it has none.
    """

    __slots__ = ("compact", "empty", "many", "mark", "name", "parse")

    def __init__(self, name: str, compact: str, many: bool, parse: Parse[T], empty: bool = False) -> None:
        self.name = name
        self.compact = compact
        self.many = many
        self.parse = parse
        self.empty = empty
        self.mark = MARKS.get(name, 0)

    def __repr__(self) -> str:
        return f"Field({self.name!r})"


class Headers:
    """The header fields of a message, in order. Names are canonical (``Call-ID``) whatever was received.

    Asking and changing take any spelling of a name; the canonical one is fastest.
    """

    __slots__ = ("_lines", "_lists", "_mask", "_names", "_typed")

    _names: list[str]
    _lines: list[str]
    _mask: int  # the marks of the fields that are there
    _typed: dict[str, Any] | None  # first values that were read
    _lists: dict[str, list[Any]] | None  # all values of a field

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._names = []
        self._lines = []
        self._mask = 0
        self._typed = None
        self._lists = None
        for name, value in items:
            self.add(name, value)

    @classmethod
    def received(cls, names: list[str], lines: list[str], mask: int | None = None) -> Headers:
        """Made from lines that have been checked; ``mask`` has the marks of their names, where they are known."""
        self = Headers()
        self._names = names
        self._lines = lines
        self._mask = _mask_of(names) if mask is None else mask
        return self

    def copy(self) -> Headers:
        """An independent copy; typed views are shared, since they are immutable."""
        new = Headers()
        new._names = self._names.copy()
        new._lines = self._lines.copy()
        new._mask = self._mask
        new._typed = self._typed.copy() if self._typed else None
        new._lists = self._lists.copy() if self._lists else None
        return new

    def know(self, field: Field[T], value: T) -> None:
        """Keep a typed view of a field's only value that the parser has read already."""
        if self._typed is None:
            self._typed = {}
        self._typed[field.name] = value

    # -- text ------------------------------------------------------------------------------------------

    def get(self, name: str) -> str | None:
        """The first value, unfolded and trimmed, or None."""
        place = self._place(name)
        if place < 0:
            return None
        line = self._lines[place]
        return grammar.unfold(line[line.index(":") + 1 :])

    def all(self, name: str) -> list[str]:
        """The value of each line of that name; a comma list stays whole."""
        name = _known(name)
        return [
            grammar.unfold(line[line.index(":") + 1 :])
            for key, line in zip(self._names, self._lines, strict=True)
            if key == name
        ]

    def values(self, name: str) -> list[str]:
        """Every value of that name, comma lists split (RFC 3261 section 7.3.1), empty ones left out."""
        return [value for text in self.all(name) for value in grammar.split_list(text, name)]

    def count(self, name: str) -> int:
        """How many lines have that name."""
        return self._names.count(_known(name))

    def has(self, name: str) -> bool:
        """Whether there is a line of that name, which must be canonical: the quickest way to ask."""
        mark = MARKS.get(name)
        return name in self._names if mark is None else self._mask & mark != 0

    def __contains__(self, name: str) -> bool:
        return self._place(name) >= 0

    def _place(self, name: str) -> int:
        """Where the first line of that name is, or -1."""
        names = self._names
        mark = MARKS.get(name)
        if mark is not None:
            return names.index(name) if self._mask & mark else -1
        if name in names:
            return names.index(name)
        known = _known(name)
        return names.index(known) if known != name and known in names else -1

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for name, line in zip(self._names, self._lines, strict=True):
            yield name, grammar.unfold(line[line.index(":") + 1 :])

    def __len__(self) -> int:
        return len(self._names)

    @property
    def names(self) -> list[str]:
        """The canonical names in order; do not change the list."""
        return self._names

    @property
    def lines(self) -> list[str]:
        """The lines as they go out, without the final CRLF; do not change the list."""
        return self._lines

    # -- change ----------------------------------------------------------------------------------------

    def add(self, name: str, value: object) -> None:
        """Append a line at the end. ``value`` is text or a typed value.

        Raises:
            LocalError: when the name is no token or the value has a line break.
        """
        self._insert(len(self._names), _known(name), value)

    def prepend(self, name: str, value: object) -> None:
        """Put a line before the first of that name, or on top if there is none (Via, Route, Record-Route)."""
        self._insert(max(self._place(name), 0), _known(name), value)

    def set(self, name: str, value: object) -> None:
        """Make this the only line of that name, in the place of the first, or at the end."""
        name = _known(name)
        place = self._place(name)
        if place < 0:
            self._insert(len(self._names), name, value)
            return
        self._replace(place, name, value)
        if self._names.count(name) > 1:
            self._keep(i <= place or key != name for i, key in enumerate(self._names))

    def set_top(self, name: str, value: object) -> None:
        """Replace the first value of a comma list or of repeated lines; those behind it stay untouched."""
        place = self._names.index(name)
        rest = self._behind_first(place)
        self._replace(place, name, value if not rest else f"{value}, {rest}")

    def remove_top(self, name: str) -> None:
        """Remove the first value of a comma list or of repeated lines."""
        place = self._names.index(name)
        rest = self._behind_first(place)
        if rest:
            self._replace(place, name, rest)
        else:
            del self._names[place], self._lines[place]
            self._gone(name)

    def remove(self, name: str) -> None:
        """Remove every line of that name."""
        name = _known(name)
        place = self._place(name)
        if place < 0:
            return
        del self._names[place], self._lines[place]
        if name in self._names:
            self._keep(key != name for key in self._names)
        self._gone(name)

    def remove_line(self, name: str, value: str) -> None:
        """Remove the lines of that name whose value is this text."""
        name = _known(name)
        if value in self.all(name):
            self._keep(key != name or text != value for key, text in self)
            self._gone(name)

    def _keep(self, wanted: Iterable[bool]) -> None:
        flags = list(wanted)
        self._names = [name for name, flag in zip(self._names, flags, strict=True) if flag]
        self._lines = [line for line, flag in zip(self._lines, flags, strict=True) if flag]

    def _behind_first(self, place: int) -> str:
        line = self._lines[place]
        if "," not in line:
            return ""
        rest = after_first(line)
        if rest is not None:
            return rest
        value = grammar.unfold(line[line.index(":") + 1 :])
        return ", ".join(grammar.split_list(value, self._names[place])[1:])

    def _insert(self, place: int, name: str, value: object) -> None:
        self._lines.insert(place, _line(name, value))
        self._names.insert(place, name)
        self._mask |= MARKS.get(name, 0)
        self._forget(name)

    def _replace(self, place: int, name: str, value: object) -> None:
        self._lines[place] = _line(name, value)
        self._forget(name)

    def _gone(self, name: str) -> None:
        """A line of that name was taken out."""
        self._forget(name)
        mark = MARKS.get(name, 0)
        if mark and name not in self._names:
            self._mask &= ~mark

    def _forget(self, name: str) -> None:
        if self._typed:
            self._typed.pop(name, None)
        if self._lists:
            self._lists.pop(name, None)

    # -- typed -----------------------------------------------------------------------------------------

    def first(self, field: Field[T]) -> T | None:
        """The first value, read, or None when the field is not there.

        Raises:
            PeerError: 400 with the field's name when the value is malformed.
        """
        name = field.name
        typed = self._typed
        if typed is not None:
            known = typed.get(name)
            if known is not None:
                return known  # type: ignore[no-any-return]
        mark = field.mark
        if mark and not self._mask & mark:
            return None
        if not mark and name not in self._names:
            return None
        line = self._lines[self._names.index(name)]
        received = line[line.index(":") + 1 :]
        text = received.strip(" \t")
        plain = text and "," not in text and "\r" not in text
        value = read(field, text) if plain else self._read_first(field, received)
        if value is not None:
            self.know(field, value)
        return value

    def _read_first(self, field: Field[T], text: str) -> T | None:
        """The less usual first value: in a list, folded, or empty."""
        text = grammar.unfold(text)
        if field.many:
            parts = _parts(field, text)
            if not parts and self._names.count(field.name) > 1:  # "Supported:" and then one that is not empty
                return next(iter(self.every(field)), None)
            return read(field, parts[0]) if parts else None
        return read(field, text)

    def every(self, field: Field[T]) -> list[T]:
        """All values, read; comma lists are split where the field is one. Do not change the list."""
        lists = self._lists
        if lists is None:
            lists = self._lists = {}
        values: list[T] | None = lists.get(field.name)
        if values is None:
            texts = self.all(field.name) if self.has(field.name) else []
            if field.many:
                texts = [part for text in texts for part in _parts(field, text)]
                if len(texts) > grammar.MAX_VALUES:
                    raise PeerError(400, f"more than {grammar.MAX_VALUES} values", header=field.name)
            values = lists[field.name] = [read(field, text) for text in texts]
        return values

    def only(self, field: Field[T]) -> T:
        """The value of a field that must stand exactly once.

        Raises:
            PeerError: 400 when it is absent, repeated or malformed.
        """
        found = self._names.count(field.name)
        if found != 1:
            raise PeerError(400, "missing" if not found else "stands more than once", header=field.name)
        value = self.first(field)
        assert value is not None  # the name is there, so first() has read it or raised
        return value

    def __repr__(self) -> str:
        return f"Headers({list(self)!r})"


def _mask_of(names: list[str]) -> int:
    mask = 0
    for name in names:
        mask |= MARKS.get(name, 0)
    return mask


def _known(name: str) -> str:
    """The canonical name, for callers that spell it otherwise."""
    known = CANONICAL.get(name)
    if known is not None:
        return known
    try:
        return canonical_name(name)
    except PeerError as error:
        raise LocalError(error.reason) from None


def _line(name: str, value: object) -> str:
    text = str(value)
    if "\r" in text or "\n" in text:
        # A value that was received folded is unfolded by every reader, so this is ours: header injection.
        raise LocalError(f"{name}: a header value holds no line break")
    return f"{name}: {text}"


def _parts(field: Field[T], text: str) -> list[str]:
    """The elements of one line of a comma list field."""
    parts = grammar.list_parts(text, field.name)
    if "" not in parts:
        return parts
    if not field.empty:
        raise PeerError(400, "an element of the list is empty", header=field.name)
    return [part for part in parts if part]


def read(field: Field[T], text: str) -> T:
    """Read one value; a malformed one is told with the field's name."""
    try:
        return field.parse(text)
    except PeerError as error:
        if error.header is None:
            raise PeerError(error.status, error.reason, header=field.name) from None
        raise
