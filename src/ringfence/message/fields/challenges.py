"""Challenges, credentials and their sequel: a scheme and a comma list of parameters.

RFC 3261 section 20 (Authorization, Proxy-Authorization, WWW-Authenticate, Proxy-Authenticate,
Authentication-Info), RFC 7615 (Proxy-Authentication-Info), RFC 8898 (Bearer).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ringfence.message import grammar
from ringfence.message.errors import PeerError
from ringfence.message.fields.field import field
from ringfence.message.params import NO_PARAMS, Params, checked_params

# auth-param = auth-param-name EQUAL ( token / quoted-string ). Leniency: unquoted text without commas, since
# some phones leave the quotes of uri and nonce out.
_PARAM: Final = re.compile(
    rf'[ \t]*+({grammar.TOKEN})[ \t]*+=[ \t]*+({grammar.QUOTED}|[^\s,;"]++)[ \t]*+(?:,|\Z)', re.DOTALL
)
_SCHEME: Final = re.compile(rf"({grammar.TOKEN})(?:[ \t]++(.*))?", re.DOTALL).fullmatch
# b64token of RFC 6750, the whole credentials of the schemes Basic and Bearer
_token68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*").fullmatch


class Credentials(NamedTuple):
    """A scheme as received with either parameters or one opaque token."""

    scheme: str
    params: Params = NO_PARAMS
    token: str = ""

    def __str__(self) -> str:
        rest = self.token or ", ".join(f"{name}={value}" for name, value in self.params)
        return f"{self.scheme} {rest}".rstrip()


def parse_auth_params(text: str) -> Params:
    """Read ``name=value *( COMMA name=value )``; values keep their quotes.

    Raises:
        PeerError: 400 when it is malformed, a name stands twice, or there are too many.
    """
    items: list[tuple[str, str | None]] = []
    position = 0
    while position < len(text):
        match = _PARAM.match(text, position)
        if match is None:
            raise PeerError(400, f"bad parameter at {text[position : position + 20].strip()!r}")
        items.append((match[1], match[2]))
        position = match.end()
    return checked_params(items)


def parse_credentials(text: str) -> Credentials:
    """Read a challenge or credentials of any scheme.

    Raises:
        PeerError: 400 when it is malformed.
    """
    match = _SCHEME(text)
    if match is None or not match[2]:
        raise PeerError(400, f"not a scheme with parameters: {text[:60]!r}")
    if _token68(match[2]):
        return Credentials(match[1], token=match[2])
    return Credentials(match[1], parse_auth_params(match[2]))


AUTHORIZATION: Final = field("Authorization", parse_credentials)
PROXY_AUTHORIZATION: Final = field("Proxy-Authorization", parse_credentials)
WWW_AUTHENTICATE: Final = field("WWW-Authenticate", parse_credentials)
PROXY_AUTHENTICATE: Final = field("Proxy-Authenticate", parse_credentials)
AUTHENTICATION_INFO: Final = field("Authentication-Info", parse_auth_params)
PROXY_AUTHENTICATION_INFO: Final = field("Proxy-Authentication-Info", parse_auth_params)
