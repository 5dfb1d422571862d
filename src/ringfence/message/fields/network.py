"""What IMS networks tell one another (RFC 7315, RFC 5009, RFC 5502, RFC 8496, RFC 4964)."""

from __future__ import annotations

from typing import Final

from ringfence.message.address import parse_address
from ringfence.message.errors import PeerError
from ringfence.message.fields.addresses import parse_route
from ringfence.message.fields.field import field
from ringfence.message.fields.tokens import parse_token
from ringfence.message.fields.valued import parse_token_or_quoted, parse_valued
from ringfence.message.params import Params, parse_params


def parse_charging(text: str) -> Params:
    """Read ``name=value *( SEMI name=value )``; a name may stand again, for a second address (RFC 7315 4.5).

    Raises:
        PeerError: 400 when it is malformed.
    """
    return parse_params(f";{text}", repeats=True)


def parse_charging_vector(text: str) -> Params:
    """Read a P-Charging-Vector, which must have its ``icid-value``.

    Raises:
        PeerError: 400 when it is malformed.
    """
    params = parse_params(f";{text}")
    if not params.get("icid-value"):
        raise PeerError(400, "has no icid-value")
    return params


P_ACCESS_NETWORK_INFO: Final = field("P-Access-Network-Info", parse_valued, many=True)
P_VISITED_NETWORK_ID: Final = field("P-Visited-Network-ID", parse_token_or_quoted, many=True)
P_CHARGING_VECTOR: Final = field("P-Charging-Vector", parse_charging_vector)
P_CHARGING_FUNCTION_ADDRESSES: Final = field("P-Charging-Function-Addresses", parse_charging, many=True)
P_CHARGE_INFO: Final = field("P-Charge-Info", parse_address)
P_EARLY_MEDIA: Final = field("P-Early-Media", parse_token, many=True, empty=True)
P_SERVED_USER: Final = field("P-Served-User", parse_route)
P_ANSWER_STATE: Final = field("P-Answer-State", parse_valued)
