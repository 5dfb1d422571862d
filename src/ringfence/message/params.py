"""Parameters: ``;name=value`` after a URI or a header value. Ordered, immutable, names without case.

Values are kept as received (quotes and escapes included), so that what we do not touch goes out as it came.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ringfence.message import grammar
from ringfence.message.errors import PeerError

MAX_PARAMS = 64
"""Most parameters after one value: real ones have under ten, and each is looked up by a walk."""

# generic-param = token [ EQUAL gen-value ];  gen-value = token / host / quoted-string. The value class is the
# union of what header fields allow unquoted: token, host, IPv6 reference, "/" of later RFCs, the "=" that ends
# base64, and any UTF-8.
_PARAM: Final = re.compile(
    rf"[ \t]*+;[ \t]*+({grammar.TOKEN})"
    rf"(?:[ \t]*+=[ \t]*+({grammar.QUOTED}|[^=;,\"<>\s][^;,\"<>\s]*+))?+(?=[ \t]*+(?:;|\Z))",
    re.DOTALL,
)


# What almost every element sends: tokens, and what an IPv6 address has, without blanks.
_VALUE: Final = rf"(?:=[{grammar.TOKEN_CHARS}:\[\]]++)?+"
_PLAIN: Final = re.compile(rf"(?:;{grammar.TOKEN}{_VALUE})*+").fullmatch
MAX_PLAIN: Final = 16
"""Parameters that the fast reading takes; more are counted by the general one."""

Items = tuple[tuple[str, str | None], ...]


def plain_params_pure(text: str) -> Items | None:
    """The parameters of a text that has only what ``_PLAIN`` says, and no name twice; else None."""
    if not text.isascii() or not _PLAIN(text):
        return None
    items: list[tuple[str, str | None]] = []
    for piece in text[1:].split(";") if text else ():
        name, equals, value = piece.partition("=")
        items.append((name, value if equals else None))
    if len(items) > 1 and (len(items) > MAX_PLAIN or len({name.lower() for name, _ in items}) != len(items)):
        return None
    return tuple(items)


try:
    from ringfence.message._scan import plain_params
except ImportError:  # not compiled
    plain_params = plain_params_pure


class Params:
    """An ordered list of (name, raw value or None). Immutable: ``with_`` and ``without`` give a new one."""

    __slots__ = ("items",)

    items: tuple[tuple[str, str | None], ...]

    def __init__(self, items: tuple[tuple[str, str | None], ...] = ()) -> None:
        self.items = items

    def get(self, name: str) -> str | None:
        """The value without quotes; "" for a parameter that has no value; None when it is not there."""
        for key, value in self.items:
            if key == name:
                return grammar.unquote(value) if value else ""
        for key, value in self.items:
            if not key.islower() and key.lower() == name:
                return grammar.unquote(value) if value else ""
        return None

    def raw(self, name: str) -> str | None:
        """The value as received, quotes included; None when the parameter or its value is not there."""
        for key, value in self.items:
            if key.lower() == name:
                return value
        return None

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __iter__(self) -> Iterator[tuple[str, str | None]]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def with_(self, name: str, value: str | None) -> Params:
        """Replace the parameter in its place, or append it. The value is raw: quote it if it needs that."""
        lower = name.lower()
        items = list(self.items)
        for i, (key, _) in enumerate(items):
            if key.lower() == lower:
                items[i] = (key, value)
                return Params(tuple(items))
        return Params((*self.items, (name, value)))

    def without(self, *names: str) -> Params:
        """A copy that lacks these parameters (names in lower case)."""
        return Params(tuple(item for item in self.items if item[0].lower() not in names))

    def __str__(self) -> str:
        return "".join(f";{key}={value}" if value is not None else f";{key}" for key, value in self.items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Params) and self.items == other.items

    def __hash__(self) -> int:
        return hash(self.items)

    def __repr__(self) -> str:
        return f"Params({str(self)!r})"


NO_PARAMS = Params()


def parse_params(text: str, header: str | None = None, *, repeats: bool = False) -> Params:
    """Read the ``;name=value`` list of a header value (RFC 3261 section 25.1, generic-param).

    ``repeats`` lets a name stand again, for the few fields whose grammar has that.

    Raises:
        PeerError: 400 when it is no such list, a name stands twice (section 7.3.1), or there are too many.
    """
    if not text:
        return NO_PARAMS
    plain = plain_params(text)
    if plain is not None:
        return Params(plain)
    items: list[tuple[str, str | None]] = []
    position, end = 0, len(text.rstrip(" \t"))
    while position < end and len(items) <= MAX_PARAMS:
        match = _PARAM.match(text, position)
        if match is None:
            raise PeerError(400, f"bad parameter at {text[position : position + 20]!r}", header=header)
        items.append((match[1], match[2]))
        position = match.end()
    return checked_params(items, header, repeats=repeats)


def checked_params(
    items: list[tuple[str, str | None]], header: str | None = None, *, repeats: bool = False
) -> Params:
    """Parameters from read items, when they are few enough and none stands twice.

    Raises:
        PeerError: 400 otherwise.
    """
    if len(items) > MAX_PARAMS:
        raise PeerError(400, f"more than {MAX_PARAMS} parameters", header=header)
    if len(items) > 1 and not repeats:
        names = {key.lower() for key, _ in items}
        if len(names) != len(items):
            # "any given parameter-name MUST NOT appear more than once" (RFC 3261 section 7.3.1)
            raise PeerError(400, "a parameter stands twice", header=header)
    return Params(tuple(items))
