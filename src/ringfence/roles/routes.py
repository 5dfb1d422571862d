"""The Route entries that come back to us: what ``outgoing`` and ``registrar`` put into Record-Route and Path."""

from __future__ import annotations

from ringfence.message import PeerError, SipUri
from ringfence.message.fields import ROUTE
from ringfence.roles.call import Call
from ringfence.roles.outgoing import DIALOG_PARAM
from ringfence.roles.policy import Policy
from ringfence.security.tokens import check_dialog_token, open_flow_token


def strip_own_routes(call: Call, policy: Policy) -> tuple[bool, str]:
    """Remove the Routes on top that are ours (RFC 3261 section 16.4).

    Gives whether one of them proved that the dialog was set up through us, and the key of the flow that the last of
    them names. A lone one that names the flow which the request came on is the sender's own (RFC 5626 section 5.3);
    of two, the last is that of the other side, even where both sides share a connection.
    """
    proven, flow, count = False, "", 0
    headers = call.request.headers
    while (top := headers.first(ROUTE)) is not None:
        uri = top.uri
        if not isinstance(uri, SipUri) or not policy.addresses.means_us(uri):
            break
        proven = proven or _proves_dialog(call, policy, uri)
        flow = _named_flow(policy, uri)
        count += 1
        headers.remove_top("Route")
    return proven, "" if count == 1 and flow == call.flow.key else flow


def _proves_dialog(call: Call, policy: Policy, uri: SipUri) -> bool:
    proof = uri.params.get(DIALOG_PARAM)
    return proof is not None and check_dialog_token(policy.secret, call.request.call_id, proof)


def _named_flow(policy: Policy, uri: SipUri) -> str:
    if not uri.user:
        return ""
    key = open_flow_token(policy.secret, uri.user)
    if key is None:
        # RFC 5626 section 5.3.1: "If the flow token has been tampered with, the proxy SHOULD send a 403".
        raise PeerError(403, "the flow token in the Route is not ours", header="Route")
    return key
