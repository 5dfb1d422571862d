"""The names of header fields: canonical spelling and compact forms."""

from __future__ import annotations

from ringfence.message import grammar
from ringfence.message.errors import PeerError
from ringfence.message.headers import Field, Parse, T

REGISTRY: dict[str, Field[object]] = {}
"""Every known field by canonical name."""

CANONICAL: dict[str, str] = {}
"""Spellings that are looked up at once: canonical, lower case, upper case and compact."""


def field(name: str, parse: Parse[T], *, compact: str = "", many: bool = False) -> Field[T]:
    """Register a header field. ``many`` says that it is a comma list of values (RFC 3261 section 7.3.1)."""
    made = Field(name, compact, many, parse)
    REGISTRY[name] = made  # type: ignore[assignment]
    for spelling in (name, name.lower(), name.upper(), *((compact, compact.upper()) if compact else ())):
        CANONICAL[spelling] = name
    return made


def canonical_name(name: str) -> str:
    """The canonical name for any spelling; an unknown field is capitalised by its hyphens (``X-Foo``).

    Raises:
        PeerError: 400 when the name is not a token.
    """
    name = name.rstrip(" \t")  # HCOLON = *( SP / HTAB ) ":" SWS
    known = CANONICAL.get(name) or CANONICAL.get(name.lower())
    if known is not None:
        return known
    if not grammar.token(name):
        raise PeerError(400, f"{name[:40]!r} is not a header field name")
    return "-".join(part.capitalize() for part in name.split("-"))
