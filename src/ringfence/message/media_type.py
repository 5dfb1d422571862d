"""Content-Type and Content-Disposition: what a body is, and what it is for (RFC 3261 section 20)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ringfence.message import grammar
from ringfence.message.errors import PeerError
from ringfence.message.params import NO_PARAMS, Params, parse_params

__all__ = ["Disposition", "MediaType", "parse_disposition", "parse_media_type"]

# media-type = m-type SLASH m-subtype *(SEMI m-parameter)
_TYPE: Final = re.compile(rf"({grammar.TOKEN})[ \t]*/[ \t]*({grammar.TOKEN})")
# disp-type = "render" / "session" / "icon" / "alert" / disp-extension-token
_DISPOSITION: Final = re.compile(grammar.TOKEN)


@dataclass(slots=True, frozen=True)
class MediaType:
    """A media type with its parameters. Type and subtype are in lower case, since they ignore case."""

    type: str
    subtype: str
    params: Params = NO_PARAMS

    @property
    def essence(self) -> str:
        """``type/subtype``, the name alone."""
        return f"{self.type}/{self.subtype}"

    def __str__(self) -> str:
        return f"{self.essence}{self.params}"


@dataclass(slots=True, frozen=True)
class Disposition:
    """What a body is for, and whether it may be ignored."""

    type: str
    params: Params = NO_PARAMS

    @property
    def optional(self) -> bool:
        """``handling=optional``; what is not marked must be understood (RFC 3261 section 20.11)."""
        return (self.params.get("handling") or "").lower() == "optional"

    def __str__(self) -> str:
        return f"{self.type}{self.params}"


def parse_media_type(text: str) -> MediaType:
    """Read the value of Content-Type.

    Raises:
        PeerError: 400 when it is malformed.
    """
    match = _TYPE.match(text)
    if match is None:
        raise PeerError(400, f"no media type: {text[:40]!r}", header="Content-Type")
    return MediaType(match[1].lower(), match[2].lower(), parse_params(text[match.end() :], "Content-Type"))


def parse_disposition(text: str) -> Disposition:
    """Read the value of Content-Disposition.

    Raises:
        PeerError: 400 when it is malformed.
    """
    match = _DISPOSITION.match(text)
    if match is None:
        raise PeerError(400, f"no disposition type: {text[:40]!r}", header="Content-Disposition")
    return Disposition(match[0].lower(), parse_params(text[match.end() :], "Content-Disposition"))
