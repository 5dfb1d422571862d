"""The fields that are text for people, and those whose grammar is no concern of ours.

RFC 3261 section 20 (Organization, Server, Subject, User-Agent) and the rest of the IANA registry, so that every
registered name is written as it is registered. Server and User-Agent are product tokens and comments by the
grammar; no two vendors agree, and nobody may act on them, so any text is let through.
"""

from __future__ import annotations

from typing import Final

from ringfence.message.errors import PeerError
from ringfence.message.fields.field import field


def parse_text(text: str) -> str:
    """Read TEXT-UTF8-TRIM.

    Raises:
        PeerError: 400 when it is not UTF-8.
    """
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:  # octets that are no UTF-8 arrive here as surrogates
            raise PeerError(400, "not UTF-8") from None
    return text


ORGANIZATION: Final = field("Organization", parse_text)
SERVER: Final = field("Server", parse_text)
SUBJECT: Final = field("Subject", parse_text, compact="s")
USER_AGENT: Final = field("User-Agent", parse_text)

_REGISTERED = (
    "Additional-Identity",
    "AlertMsg-Error",
    "Attestation-Info",
    "Cellular-Network-Info",
    "DC-Info",
    "Origination-Id",
    "P-Asserted-Service",
    "P-DCS-Billing-Info",
    "P-DCS-LAES",
    "P-DCS-OSPS",
    "P-DCS-Redirect",
    "P-DCS-Trace-Party-ID",
    "P-Media-Authorization",
    "P-Preferred-Service",
    "P-Private-Network-Indication",
    "P-Profile-Key",
    "Policy-ID",
    "Policy-ID-Data",
    "Priority-Share",
    "Priority-Verstat",
    "Relayed-Charge",
    "Resource-Share",
    "Response-Source",
    "Restoration-Info",
    "Service-Interact-Info",
)
for _name in _REGISTERED:
    field(_name, parse_text)
