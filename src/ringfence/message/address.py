"""name-addr and addr-spec with parameters: From, To, Contact, Route and their kin (RFC 3261 section 20)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from ringfence.message import grammar
from ringfence.message.errors import PeerError
from ringfence.message.params import NO_PARAMS, Params, parse_params
from ringfence.message.uri import CACHE_SIZE, MAX_CACHED, SipUri, Uri, parse_uri

# name-addr = [ display-name ] LAQUOT addr-spec RAQUOT, then *( SEMI generic-param )
_NAME_ADDR: Final = re.compile(
    rf'[ \t]*+(?:({grammar.QUOTED})[ \t]*+|([^"<>]*+))<([^<>]*+)>[ \t]*+(;.*)?', re.DOTALL
).fullmatch
# addr-spec form: "if the URI contains a comma, question mark or semicolon, the URI MUST be enclosed in angle
# brackets" (section 20), so what follows the first ";" are header parameters.
_ADDR_SPEC: Final = re.compile(r'[ \t]*+([^;,?<>"\s]++)[ \t]*+(;.*)?', re.DOTALL).fullmatch


class NameAddr:
    """A display name, a URI and the header parameters that follow. Immutable."""

    __slots__ = ("_text", "display", "params", "uri")

    display: str
    uri: Uri
    params: Params

    def __init__(
        self, uri: Uri, display: str = "", params: Params = NO_PARAMS, text: str | None = None
    ) -> None:
        self.uri = uri
        self.display = display  # resolved: no quotes, no quoted-pairs
        self.params = params
        self._text = text

    @property
    def tag(self) -> str | None:
        """The ``tag`` parameter of a From or To."""
        return self.params.get("tag")

    @property
    def sip(self) -> SipUri:
        """The URI, which must be SIP or SIPS.

        Raises:
            PeerError: 416 for another scheme.
        """
        if not isinstance(self.uri, SipUri):
            raise PeerError(416, f"the URI scheme {self.uri.scheme} is not supported")
        return self.uri

    def with_param(self, name: str, value: str | None) -> NameAddr:
        """A copy with this header parameter set."""
        return NameAddr(self.uri, self.display, self.params.with_(name, value))

    def __str__(self) -> str:
        if self._text is None:
            name = f"{grammar.quote(self.display)} " if self.display else ""
            self._text = f"{name}<{self.uri}>{self.params}"
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NameAddr) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"NameAddr({str(self)!r})"


def parse_address(text: str) -> NameAddr:
    """Read one name-addr or addr-spec with its header parameters.

    Raises:
        PeerError: 400 when it is malformed.
    """
    return _known(text) if len(text) <= MAX_CACHED else _read(text)


def _read(text: str) -> NameAddr:
    match = _NAME_ADDR(text)
    if match is not None:
        quoted, tokens, spec, rest = match.groups()
        if tokens and not grammar.display_tokens(tokens):
            raise PeerError(400, f"the display name {tokens.strip()[:40]!r} needs quotes")
        display = grammar.unquote(quoted) if quoted else " ".join(tokens.split()) if tokens else ""
    else:
        match = _ADDR_SPEC(text)
        if match is None:
            raise PeerError(400, f"not an address: {text[:80]!r}")
        spec, rest = match.groups()
        display = ""
    return NameAddr(parse_uri(spec), display, parse_params(rest) if rest else NO_PARAMS, text)


_known = lru_cache(CACHE_SIZE)(_read)
