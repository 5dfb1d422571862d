"""The fields that are a list of tokens.

RFC 3261 section 20 (Allow, Proxy-Require, Require, Supported, Unsupported), RFC 6665 (Allow-Events).
"""

from __future__ import annotations

from ringfence.message import grammar
from ringfence.message.errors import PeerError
from ringfence.message.fields.field import field


def parse_token(text: str) -> str:
    """Read one token.

    Raises:
        PeerError: 400 when it is not one.
    """
    if not grammar.token(text):
        raise PeerError(400, f"not a token: {text[:40]!r}")
    return text


ALLOW = field("Allow", parse_token, many=True, empty=True)
REQUIRE = field("Require", parse_token, many=True)
PROXY_REQUIRE = field("Proxy-Require", parse_token, many=True)
SUPPORTED = field("Supported", parse_token, compact="k", many=True, empty=True)
UNSUPPORTED = field("Unsupported", parse_token, many=True)
ALLOW_EVENTS = field("Allow-Events", parse_token, compact="u", many=True, empty=True)
