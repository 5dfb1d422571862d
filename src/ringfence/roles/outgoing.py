"""The copy of a request that goes out on one branch (RFC 3261 section 16.6 steps 1 to 8).

Only what the RFC says is touched: Request-URI, Max-Forwards, Record-Route, Route and Via. Every other header
line leaves as it was received.
"""

from __future__ import annotations

from ringfence.message import PeerError, Request, SipUri, sip_uri
from ringfence.message.fields import MAGIC_COOKIE, MAX_FORWARDS, ROUTE, VIA
from ringfence.roles.call import Call, Target
from ringfence.roles.policy import Policy
from ringfence.security.tokens import check_dialog_token, dialog_token, flow_token, loop_hash, open_flow_token
from ringfence.transport.flow import Flow

# The methods whose 2xx makes a dialog, so that later requests must come by us (RFC 3261 12.1, 6665, 3515).
DIALOG_METHODS = frozenset({"INVITE", "SUBSCRIBE", "REFER"})

DIALOG_PARAM = "rf"
"""URI parameter of our Record-Route that holds the dialog token."""


def branch_request(call: Call, target: Target, flow: Flow, token: str, loop: str) -> Request:
    """Make the copy for one target that leaves on ``flow``; ``token`` and ``loop`` make its branch."""
    policy = call.services.policy
    request = call.request.copy()
    request.uri = target.uri
    headers = request.headers
    hops = headers.first(MAX_FORWARDS)
    headers.set("Max-Forwards", policy.max_forwards if hops is None else hops - 1)
    sent_by = policy.addresses.sent_by(flow)
    if policy.record_route and request.method in DIALOG_METHODS and not call.findings.in_dialog:
        for entry in _record_routes(call, target, flow, sent_by):
            headers.prepend("Record-Route", entry)
    for entry in reversed(target.route):
        headers.prepend("Route", entry)
    if "Route" in headers:
        _strict_next_hop(request)
    if "Content-Length" not in headers:
        headers.add("Content-Length", len(request.body))
    headers.prepend("Via", f"SIP/2.0/{flow.transport} {sent_by};branch={MAGIC_COOKIE}{token}.{loop};rport")
    return request


def loop_value(call: Call) -> str:
    """The part of the branch by which we know our own request again (RFC 3261 16.6 step 8, RFC 5393 4.2.1).

    It covers what decides where a request goes: Request-URI and Route. What a spiral changes, it must cover;
    what other proxies add, it must not.
    """
    return loop_hash(call.services.policy.secret, call.request.uri, *call.request.headers.all("Route"))


def next_hop(request: Request, target: Target) -> SipUri:
    """Where to send: the topmost Route, or the Request-URI (RFC 3261 section 16.6 step 7).

    Raises:
        PeerError: 400 or 416 when that is no SIP URI.
    """
    if target.route:
        return ROUTE.parse(target.route[0]).sip
    top = request.headers.first(ROUTE)
    return top.sip if top is not None else sip_uri(target.uri)


def _strict_next_hop(request: Request) -> None:
    """RFC 3261 section 16.6 step 6: a first Route without ``lr`` wants its own URI in the Request-URI."""
    top = request.headers.first(ROUTE)
    if top is not None and "lr" not in top.sip.params:
        request.headers.remove_top("Route")
        request.headers.add("Route", f"<{request.uri}>")
        request.uri = str(top.uri)


def _record_routes(call: Call, target: Target, flow: Flow, sent_by: str) -> list[str]:
    """One entry, or two where the sides differ in transport or address (RFC 5658), the callee's on top.

    An entry names the flow of a phone that can't be reached by its Contact (RFC 5626 section 5.3).
    """
    policy = call.services.policy
    proof = dialog_token(policy.secret, call.request.call_id)
    arrived = (call.flow.transport, policy.addresses.sent_by(call.flow))
    leaves = (flow.transport, sent_by)
    caller = flow_token(policy.secret, call.flow.key) if needs_flow(call) else ""
    callee = flow_token(policy.secret, flow.key) if target.flow else ""
    secure = call.uri.secure
    if arrived == leaves and not (caller and callee):
        return [_entry(*arrived, caller or callee, proof, secure=secure)]
    return [_entry(*arrived, caller, proof, secure=secure), _entry(*leaves, callee, proof, secure=secure)]


def _entry(transport: str, sent_by: str, user: str, proof: str, *, secure: bool) -> str:
    user = f"{user}@" if user else ""
    scheme = "sips" if secure and transport in {"TLS", "WSS"} else "sip"
    # RFC 3261 section 19.1.1: transport=udp is the default; sips with tcp is what "TLS" means in a sips URI.
    hop = (
        ""
        if transport == "UDP" or (scheme == "sips" and transport == "TLS")
        else f";transport={transport.lower()}"
    )
    return f"<{scheme}:{user}{sent_by}{hop};lr;{DIALOG_PARAM}={proof}>"


def needs_flow(call: Call) -> bool:
    """Whether requests to the sender of this one must take the flow it came on (RFC 5626, RFC 3581).

    So it is for a phone on a connection, which nobody else may open towards it, and for one behind a NAT: the
    address in its Via is not where its datagrams come from.
    """
    headers = call.request.headers
    if headers.count("Via") != 1 or len(headers.every(VIA)) != 1:
        return False  # a proxy is before us, and reachable
    if call.flow.reliable:
        return True
    via = call.request.via
    remote = call.flow.remote
    return via.host.strip("[]") != remote.host or (via.port or 5060) != remote.port


def strip_own_routes(call: Call, policy: Policy) -> tuple[bool, str]:
    """Remove the Routes on top that are ours (RFC 3261 section 16.4).

    Gives whether one of them proved that the dialog was set up through us, and the key of the flow to take when a
    Route named one other than that which the request came on.
    """
    proven, flow = False, ""
    headers = call.request.headers
    while (top := headers.first(ROUTE)) is not None:
        uri = top.uri
        if not isinstance(uri, SipUri) or not policy.addresses.means_us(uri):
            break
        proven = _check_route(call, policy, uri) or proven
        flow = _named_flow(call, policy, uri) or flow
        headers.remove_top("Route")
    return proven, flow


def _check_route(call: Call, policy: Policy, uri: SipUri) -> bool:
    proof = uri.params.get(DIALOG_PARAM)
    return bool(proof) and check_dialog_token(policy.secret, call.request.call_id, proof or "")


def _named_flow(call: Call, policy: Policy, uri: SipUri) -> str:
    if not uri.user:
        return ""
    key = open_flow_token(policy.secret, uri.user)
    if key is None:
        # RFC 5626 section 5.3.1: "if the flow token is not valid, MUST reject with 403".
        raise PeerError(403, "the flow token in the Route is not ours", header="Route")
    return key if key != call.flow.key else ""
