"""Warning (RFC 3261 section 20.43)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ringfence.message import grammar
from ringfence.message.errors import PeerError
from ringfence.message.fields.field import field

# warning-value = warn-code SP warn-agent SP warn-text;  warn-agent = hostport / pseudonym
# warn-text = quoted-string, which may have whitespace before its quote.
_WARNING: Final = re.compile(
    rf"([0-9]{{3}}) ([A-Za-z0-9\[\]:{grammar.TOKEN_CHARS}]+) [ \t]*+({grammar.QUOTED})", re.DOTALL
).fullmatch


class WarningValue(NamedTuple):
    """A three digit code, who warns, and a text for a person."""

    code: int
    agent: str
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.agent} {grammar.quote(self.text)}"


def parse_warning(text: str) -> WarningValue:
    """Read one warning-value.

    Raises:
        PeerError: 400 when it is malformed.
    """
    match = _WARNING(text)
    if match is None:
        raise PeerError(400, f"malformed: {text[:60]!r}")
    return WarningValue(int(match[1]), match[2], grammar.unquote(match[3]))


WARNING: Final = field("Warning", parse_warning, many=True)
