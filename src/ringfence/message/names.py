"""Header field names: any spelling to the canonical one (RFC 3261 sections 7.3.1 and 7.3.3)."""

from __future__ import annotations

from typing import Final

from ringfence.message import grammar
from ringfence.message.errors import PeerError

CANONICAL: dict[str, str] = {}
"""Spellings that are looked up at once: canonical, lower case, upper case and compact."""

MARKED: Final = (
    *(
        "Via",
        "From",
        "To",
        "Call-ID",
        "CSeq",
        "Content-Length",
        "Max-Forwards",
        "Route",
        "Record-Route",
        "Contact",
    ),
    *("Max-Breadth", "Proxy-Require", "Require", "Supported", "Proxy-Authorization", "Authorization", "Path"),
    *(
        "P-Asserted-Identity",
        "P-Preferred-Identity",
        "Identity",
        "Privacy",
        "Content-Type",
        "Reason",
        "Expires",
    ),
    *("Security-Client", "Security-Verify", "Timestamp", "Date", "History-Info", "Call-Info"),
    *("Remote-Party-Id", "P-Charging-Vector", "P-Charging-Function-Addresses", "Ringfence-Caller"),
    *("Session-Expires", "Resource-Priority"),
)
"""Fields that are asked for on the way of nearly every request, most of them in vain."""
MARKS: Final = {name: 1 << place for place, name in enumerate(MARKED)}
"""One bit for each, so that a message can tell by one number which of them it has."""

MAX_SPELLINGS = 4096
"""Spellings that are kept: some hundreds are known, and every vendor has a dozen of his own."""
MAX_KEPT: Final = 64
"""Longest unknown name that is kept, in characters, so that 4096 of them stay small."""


class Spellings(dict[str, str]):
    """Canonical names by the spelling before the colon; one that was not met before is worked out and kept."""

    def __missing__(self, name: str) -> str:
        canonical = canonical_name(name)
        if len(self) < MAX_SPELLINGS and len(name) <= MAX_KEPT:
            self[name] = canonical
        return canonical


def register(name: str, compact: str = "") -> None:
    """Make a field name and its compact form known."""
    for spelling in (name, name.lower(), name.upper(), *((compact, compact.upper()) if compact else ())):
        CANONICAL[spelling] = name


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
