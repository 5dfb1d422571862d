"""Consent: Permission-Missing and Trigger-Consent (RFC 5360 section 5.11)."""

from __future__ import annotations

from typing import Final

from ringfence.message.address import NameAddr, parse_address
from ringfence.message.errors import PeerError
from ringfence.message.fields.field import field
from ringfence.message.uri import SipUri


def parse_trigger(text: str) -> NameAddr:
    """Read ``( SIP-URI / SIPS-URI ) *( SEMI trigger-param )``.

    Raises:
        PeerError: 400 when it is malformed or the URI is no SIP URI.
    """
    trigger = parse_address(text)
    if not isinstance(trigger.uri, SipUri):
        raise PeerError(400, f"{text[:60]!r} is no SIP URI")
    return trigger


PERMISSION_MISSING: Final = field("Permission-Missing", parse_address, many=True)
TRIGGER_CONSENT: Final = field("Trigger-Consent", parse_trigger, many=True)
