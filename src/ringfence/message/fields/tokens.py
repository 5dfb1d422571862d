"""The fields that are tokens: one, or a list.

RFC 3261 section 20 (Allow, Priority, Proxy-Require, Require, Supported, Unsupported), RFC 6665 (Allow-Events),
RFC 3903 (SIP-ETag, SIP-If-Match), RFC 5839 (Suppress-If-Match).
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
PRIORITY = field("Priority", parse_token)
SIP_ETAG = field("SIP-ETag", parse_token)
SIP_IF_MATCH = field("SIP-If-Match", parse_token)
SUPPRESS_IF_MATCH = field("Suppress-If-Match", parse_token)  # an entity-tag or "*", which is a token too
