"""Privacy (RFC 3323 section 4.2, RFC 3325 section 9.3)."""

from __future__ import annotations

from typing import Final

from ringfence.message import grammar
from ringfence.message.errors import PeerError
from ringfence.message.fields.field import field


def parse_privacy(text: str) -> tuple[str, ...]:
    """Read ``priv-value *( ";" priv-value )``, in lower case. Leniency: a comma for the semicolon, as RFC 3325 prints.

    Raises:
        PeerError: 400 when a value is no token.
    """
    values = tuple(value.strip(" \t").lower() for value in text.replace(",", ";").split(";"))
    if len(values) > grammar.MAX_VALUES or not all(grammar.token(value) for value in values):
        raise PeerError(400, f"malformed: {text[:60]!r}")
    return values


PRIVACY: Final = field("Privacy", parse_privacy)
