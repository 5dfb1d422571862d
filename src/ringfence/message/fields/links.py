"""The fields that are a list of URIs in angle brackets with parameters.

RFC 3261 section 20 (Alert-Info, Call-Info, Error-Info), RFC 6442 (Geolocation), RFC 7315's neighbour RFC 4457
(P-User-Database), RFC 5318 (P-Refused-URI-List), RFC 6794 (Policy-Contact), RFC 4474 (Identity-Info).
"""

from __future__ import annotations

from typing import Final

from ringfence.message.address import NameAddr, parse_address
from ringfence.message.errors import PeerError
from ringfence.message.fields.field import field


def parse_link(text: str) -> NameAddr:
    """Read ``LAQUOT absoluteURI RAQUOT *( SEMI generic-param )``.

    Raises:
        PeerError: 400 when it is malformed or has a name before the bracket.
    """
    if not text.startswith("<"):
        raise PeerError(400, f"{text[:60]!r} is no URI in angle brackets")
    return parse_address(text)


ALERT_INFO: Final = field("Alert-Info", parse_link, many=True)
CALL_INFO: Final = field("Call-Info", parse_link, many=True)
ERROR_INFO: Final = field("Error-Info", parse_link, many=True)
GEOLOCATION: Final = field("Geolocation", parse_link, many=True)
IDENTITY_INFO: Final = field("Identity-Info", parse_link, compact="n")
POLICY_CONTACT: Final = field("Policy-Contact", parse_link, many=True)
P_REFUSED_URI_LIST: Final = field("P-Refused-URI-List", parse_link, many=True)
P_USER_DATABASE: Final = field("P-User-Database", parse_link)
