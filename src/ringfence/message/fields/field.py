"""One registry row for each header field that we can read."""

from __future__ import annotations

from ringfence.message.headers import Field, Parse, T
from ringfence.message.names import CANONICAL, canonical_name, register

__all__ = ["CANONICAL", "REGISTRY", "canonical_name", "field"]

REGISTRY: dict[str, Field[object]] = {}
"""Every known field by canonical name."""


def field(
    name: str, parse: Parse[T], *, compact: str = "", many: bool = False, empty: bool = False
) -> Field[T]:
    """Register a header field.

    ``many`` says that it is a comma list of values (RFC 3261 section 7.3.1), ``empty`` that the list may have
    no element, and that empty ones between its commas are let through.
    """
    made = Field(name, compact, many, parse, empty)
    REGISTRY[name] = made  # type: ignore[assignment]
    register(name, compact)
    return made
