"""User-to-User (RFC 7433), Session-ID (RFC 7989), Diversion (RFC 5806), Refer-Events-At (RFC 7614)."""

from __future__ import annotations

from typing import Final

from ringfence.message.address import parse_address
from ringfence.message.fields.addresses import parse_route
from ringfence.message.fields.field import field
from ringfence.message.fields.valued import parse_token_or_quoted, valued

USER_TO_USER: Final = field("User-to-User", parse_token_or_quoted, many=True)
# sess-uuid = 32(DIGIT / %x61-66): lower case; capitals are let through
SESSION_ID: Final = field("Session-ID", valued("[0-9A-Fa-f]{32}", "32 hexadecimal digits"))
DIVERSION: Final = field("Diversion", parse_address, many=True)
REFER_EVENTS_AT: Final = field("Refer-Events-At", parse_route)
