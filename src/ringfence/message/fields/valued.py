"""The shape that most header fields share: one value, then ``;name=value`` parameters."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ringfence.message import grammar
from ringfence.message.errors import PeerError
from ringfence.message.headers import Parse
from ringfence.message.params import NO_PARAMS, Params, parse_params

# value *( SEMI generic-param ), where value is a token, a quoted-string or what the field's own pattern says
_TAIL: Final = r"[ \t]*+(;.*)?"
_TOKEN_OR_QUOTED: Final = rf"{grammar.TOKEN}|{grammar.QUOTED}"


class Valued(NamedTuple):
    """A value as received and its parameters."""

    value: str
    params: Params = NO_PARAMS

    @property
    def text(self) -> str:
        """The value without quotes."""
        return grammar.unquote(self.value)

    def __str__(self) -> str:
        return f"{self.value}{self.params}"


def valued(pattern: str = grammar.TOKEN, what: str = "a token") -> Parse[Valued]:
    """A reader of a value that matches the pattern, with parameters behind it; ``what`` names it in errors."""
    match_value = re.compile(rf"({pattern}){_TAIL}", re.DOTALL).fullmatch

    def parse(text: str) -> Valued:
        match = match_value(text)
        if match is None:
            raise PeerError(
                400, f"{text[:60]!r} does not begin with {what}, or has more than parameters behind it"
            )
        return Valued(match[1], parse_params(match[2]) if match[2] else NO_PARAMS)

    return parse


parse_valued = valued()
parse_token_or_quoted = valued(_TOKEN_OR_QUOTED, "a token or a quoted string")
parse_star = valued(r"\*", '"*"')


def decimal(params: Params, name: str, high: int) -> int | None:
    """A parameter that is a whole number of at most ``high``, or None when it is not there.

    Raises:
        PeerError: 400 when it is no such number.
    """
    text = params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > 64 or int(text) > high:
        raise PeerError(400, f"the parameter {name} is no number from 0 to {high}")
    return int(text)
