"""The fields that are tokens: one, or a list.

RFC 3261 section 20 (Allow, Priority, Proxy-Require, Require, Supported, Unsupported), RFC 6665 (Allow-Events),
RFC 3903 (SIP-ETag, SIP-If-Match), RFC 5839 (Suppress-If-Match).
"""

from __future__ import annotations

from typing import Final

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


def parse_option(text: str) -> str:
    """Read one option tag. It is given in lower case, as tokens are the same in any (RFC 3261 section 7.3.1).

    Those of Require stay as they are written, since a 420 says them again.

    Raises:
        PeerError: 400 when it is no token.
    """
    return parse_token(text).lower()


ALLOW: Final = field("Allow", parse_token, many=True, empty=True)
REQUIRE: Final = field("Require", parse_token, many=True)
PROXY_REQUIRE: Final = field("Proxy-Require", parse_token, many=True)
SUPPORTED: Final = field("Supported", parse_option, compact="k", many=True, empty=True)
UNSUPPORTED: Final = field("Unsupported", parse_token, many=True)
ALLOW_EVENTS: Final = field("Allow-Events", parse_token, compact="u", many=True, empty=True)
PRIORITY: Final = field("Priority", parse_token)
SIP_ETAG: Final = field("SIP-ETag", parse_token)
SIP_IF_MATCH: Final = field("SIP-If-Match", parse_token)
SUPPRESS_IF_MATCH: Final = field(
    "Suppress-If-Match", parse_token
)  # an entity-tag or "*", which is a token too
