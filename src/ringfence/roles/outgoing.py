"""The copy of a request that goes out on one branch (RFC 3261 section 16.6 steps 1 to 9).

Only what the RFCs say is touched: Request-URI, Max-Forwards, Max-Breadth, Record-Route, Path, Route and Via. Every
other header line leaves as it was received. What is put into Record-Route comes back in ``roles.routes``.
"""

from __future__ import annotations

from contextlib import suppress
from enum import StrEnum
from typing import Final

from ringfence.message import PeerError, Request, SipUri
from ringfence.message.fields import (
    CONTACT,
    MAGIC_COOKIE,
    MAX_FORWARDS,
    RECORD_ROUTE,
    ROUTE,
    SUPPORTED,
    VIA,
    Star,
)
from ringfence.message.fields.via import plain_via
from ringfence.roles.call import Call, Target
from ringfence.roles.hiding import own_contact
from ringfence.roles.nexthop import next_hop, place_of
from ringfence.roles.view import View
from ringfence.security.tokens import dialog_token, flow_token, loop_hash, way_token
from ringfence.transport.flow import Flow

# The methods whose 2xx makes a dialog, so that later requests must come by us (RFC 3261 12.1, 6665, 3515).
DIALOG_METHODS: Final = frozenset({"INVITE", "SUBSCRIBE", "REFER"})

DIALOG_PARAM = "rf"
"""URI parameter of our Record-Route that holds the dialog token."""

CALLEE_PARAM = "rc"
"""URI parameter of our Record-Route that names the callee's flow; the caller's is named by the user part."""

SECURE = frozenset({"TLS", "WSS"})


class Sender(StrEnum):
    """Which side of a dialog of ours sends a request."""

    CALLER = "caller"
    CALLEE = "callee"


_Way = tuple[Sender, str, str]
"""Who sends, from where, and to where; empty: any place."""


def branch_request(
    call: Call, target: Target, flow: Flow, token: str, loop: str, breadth: int, view: View | None = None
) -> Request:
    """Make the copy for one target that leaves on ``flow``; ``token`` and ``loop`` make its branch.

    ``breadth`` is the share of Max-Breadth that the branch gets; ``view`` says from whom what is behind us is hidden.
    """
    policy = call.services.policy
    request = call.request.copy()
    request.uri = target.uri
    headers = request.headers
    hops = headers.first(MAX_FORWARDS)
    headers.set("Max-Forwards", policy.max_forwards if hops is None else hops - 1)
    # RFC 5393 section 5.3.3: "All proxied requests MUST contain a single Max-Breadth header field value."
    if headers.has("Max-Breadth"):
        headers.set("Max-Breadth", breadth)
    else:
        headers.add("Max-Breadth", breadth)
    sent_by = policy.addresses.sent_by(flow)
    if view is not None and policy.hiding is not None:
        policy.hiding.hide(call, view, request, own_contact(sent_by, flow.transport, call.uri.secure))
    bridged = call.findings.private is not None  # our Contact leads to us, and its sender is not to be named
    if policy.record_route and not bridged and _records_route(call):
        for entry in _record_routes(call, target, flow, sent_by, view):
            headers.prepend("Record-Route", entry)
    for entry in reversed(target.route):
        headers.prepend("Route", entry)
    if headers.has("Route"):
        _strict_next_hop(request)
    if request.method == "REGISTER" and not bridged:
        for entry in _paths(call, target, flow, sent_by):
            headers.prepend("Path", entry)
    for name, value in target.fields:
        headers.add(name, value)
    if not headers.has("Content-Length"):
        headers.add("Content-Length", len(request.body))
    # RFC 5923 section 8.1: the peer may use this connection for its own requests to us.
    extension = "alias" if flow.transport == "TLS" else "rport"
    offer = policy.overload_offer
    if offer is not None and (target.registered or not _offers(call, flow)):
        offer = None
    head, branch = f"SIP/2.0/{flow.transport} {sent_by}", f"{MAGIC_COOKIE}{token}.{loop}"
    headers.prepend("Via", f"{head};branch={branch};{extension}{'' if offer is None else offer.text}")
    # Read at once, since the transaction is known by its branch.
    params = (("branch", branch), (extension, None))
    headers.know(VIA, plain_via(head, params if offer is None else (*params, *offer.params), branch))
    return request


def _offers(call: Call, flow: Flow) -> bool:
    """Whether the next hop is offered overload control (RFC 7339 section 4.1): each that is not a phone of ours.

    Inside a dialog we can't tell who is a phone, so it is offered to those who have taken it up before.
    """
    neighbours = call.services.neighbours
    return neighbours is not None and (not call.findings.in_dialog or neighbours.takes_part(flow.remote))


def request_uri(uri: SipUri, text: str) -> str:
    """A contact's URI as a Request-URI: what RFC 3261 section 19.1.1 does not allow there is removed (16.6 step 2)."""
    if not uri.headers and "method" not in uri.params:
        return text
    return str(uri.replace(params=uri.params.without("method"), headers=""))


def loop_value(call: Call) -> str:
    """The part of the branch by which we know our own request again (RFC 3261 16.6 step 8, RFC 5393 4.2.1).

    It covers what decides where a request goes: Request-URI and Route. What a spiral changes, it must cover;
    what other proxies add, it must not.
    """
    request = call.request
    routes = request.headers.all("Route") if request.headers.has("Route") else []
    return loop_hash(call.services.policy.secret, request.uri, call.findings.flow, routes)


def _strict_next_hop(request: Request) -> None:
    """RFC 3261 section 16.6 step 6: a first Route without ``lr`` wants its own URI in the Request-URI."""
    top = request.headers.first(ROUTE)
    if top is not None and "lr" not in top.sip.params:
        request.headers.remove_top("Route")
        request.headers.add("Route", f"<{request.uri}>")
        request.uri = request_uri(top.sip, str(top.uri))


# -- where later requests come by ----------------------------------------------------------------------


def _records_route(call: Call) -> bool:
    """Whether the request begins a dialog. So may any NOTIFY (RFC 6665 section 4.3)."""
    method = call.request.method
    return (method in DIALOG_METHODS and not call.findings.in_dialog) or method == "NOTIFY"


def record_routes_of_sender(call: Call, target: Target, flow: Flow) -> list[str]:
    """Our entries, the top one first, as a sender is to have them whose receiver knows another Call-ID."""
    return _record_routes(call, target, flow, call.services.policy.addresses.sent_by(flow), None)[::-1]


def _record_routes(call: Call, target: Target, flow: Flow, sent_by: str, view: View | None) -> list[str]:
    """One entry, or two where the sides differ in transport or address (RFC 5658), the callee's on top.

    It names the flow of a phone that can't be reached by its Contact (RFC 5626 section 5.3).
    """
    policy, request = call.services.policy, call.request
    secret = policy.secret
    caller = flow_token(secret, call.flow.key) if needs_flow(call) else ""
    named = flow_token(secret, flow.key) if _answers_by_flow(call, target, flow) else ""
    callee = f";{CALLEE_PARAM}={named}" if named else ""
    ways = _ways(call, target, flow, caller, named)
    hiding = policy.hiding if view is not None else None
    call_id = request.call_id if hiding is None else hiding.call_id_of(view, call)
    dialog = dialog_token(secret, call_id, request.from_.tag or "")
    tokens = [
        dialog,
        way_token(secret, dialog, *ways[0], watched=_watched(call)),
        way_token(secret, dialog, *ways[1]),
    ]
    proof = f";{DIALOG_PARAM}={'.'.join(tokens)}"
    hidden = "" if hiding is None or view is None else hiding.parameter(call, view, dialog)
    hidden = policy.worker_mark + hidden
    arrived = (call.flow.transport, policy.addresses.sent_by(call.flow))
    leaves = (flow.transport, sent_by)
    secure = call.uri.secure or _first_route_is_sips(call, target)
    if arrived == leaves:
        return [_entry(*arrived, caller, proof + callee + hidden, secure=secure)]
    return [
        _entry(*arrived, caller, proof + hidden, secure=secure),
        _entry(*leaves, "", proof + callee + hidden, secure=secure),
    ]


def _answers_by_flow(call: Call, target: Target, flow: Flow) -> bool:
    """Whether requests to the callee must take the flow that the call takes to it.

    So it is for a phone of ours that somebody outside calls over UDP: it may write another of its hosts into the
    Contact of its answer than it has registered, and who calls may send to it and to nowhere else.
    """
    if target.flow:
        return True
    return target.registered and not target.route and flow.transport == "UDP" and call.findings.user is None


def _watched(call: Call) -> bool:
    """Whether there are addresses that the user who calls may not call."""
    user = call.findings.user
    return user is not None and bool(user.account.rights.deny)


def _ways(call: Call, target: Target, flow: Flow, caller: str, callee: str) -> tuple[_Way, _Way]:
    """From where to where the caller, and the callee, may send inside the dialog without proving who they are.

    A user of ours sends from where it is now, to anywhere; whoever talks to it sends from anywhere, to that user. So do
    two who are both not ours, where a trusted peer sends its calls through us. A user who has moved meanwhile is
    challenged. ``caller`` and ``callee`` are the flow tokens of the two, if any.
    """
    findings = call.findings
    ours_calls, ours_called = findings.user is not None, target.registered or bool(callee)
    here, there = call.flow.remote.host, flow.remote.host
    if findings.in_dialog:  # a NOTIFY: which of the two is ours has been forgotten, but not where they are
        return (
            (Sender.CALLER, "", callee or place_of(next_hop(call, target))),
            (Sender.CALLEE, there, caller or _place_of_sender(call)),
        )
    to_callee = "" if ours_calls else callee or place_of(next_hop(call, target))
    to_caller = "" if ours_called else caller or _place_of_sender(call)
    return (
        (Sender.CALLER, here if ours_calls else "", to_callee),
        (Sender.CALLEE, there if ours_called else "", to_caller),
    )


def _place_of_sender(call: Call) -> str:
    """Where requests to the sender of this one go next: the last Record-Route before ours, or its Contact."""
    headers = call.request.headers
    with suppress(PeerError):
        if headers.has("Record-Route"):
            return place_of(headers.every(RECORD_ROUTE)[0].sip)
        contact = headers.first(CONTACT)
        if contact is not None and not isinstance(contact, Star):
            return place_of(contact.sip)
    return call.flow.remote.host  # there is nowhere else to send to


def _first_route_is_sips(call: Call, target: Target) -> bool:
    """RFC 3261 section 16.6 step 4: with such a Route the Record-Route "MUST be a SIPS URI"."""
    if target.route:
        return ROUTE.parse(target.route[0]).sip.secure
    headers = call.request.headers
    return headers.has("Route") and headers.every(ROUTE)[0].sip.secure


def _entry(transport: str, sent_by: str, user: str, more: str, *, secure: bool = False) -> str:
    """A Route to ourselves.

    RFC 5630 section 5.3 would have no ``transport=tls``; but a phone that has only TLS must be told so.
    """
    user = f"{user}@" if user else ""
    scheme = "sips" if secure and transport in SECURE else "sip"
    # RFC 3261 section 19.1.1: transport=udp is the default; sips with tcp is what "TLS" means in a sips URI.
    plain = transport == "UDP" or (scheme == "sips" and transport == "TLS")
    hop = "" if plain else f";transport={transport.lower() if scheme == 'sip' else 'ws'}"
    return f"<{scheme}:{user}{sent_by}{hop};lr{more}>"


def needs_flow(call: Call) -> bool:
    """Whether requests to the sender of this one must take the flow it came on (RFC 5626, RFC 3581).

    So it is for a phone on a connection, which nobody else may open towards it, and for one behind a NAT: the
    address in its Via is not where its datagrams come from. And for every phone of an edge that has a core: where users
    are is known there, not here. A peer that the configuration names is reached as DNS says.
    """
    if not is_first_hop(call) or call.findings.peer_name:
        return False  # a proxy is before us, and reachable
    if call.flow.reliable or call.services.policy.core:
        return True
    via = call.request.via
    remote = call.flow.remote
    return via.host.strip("[]") != remote.host or (via.port or 5060) != remote.port


def is_first_hop(call: Call) -> bool:
    """Whether nobody has forwarded the request before us: its one Via is its sender's."""
    headers = call.request.headers
    names = headers.names
    place = names.index("Via")
    if "Via" in names[place + 1 : place + 2] or names.count("Via") > 1:
        return False
    return "," not in headers.lines[place] or len(headers.every(VIA)) == 1


def _paths(call: Call, target: Target, flow: Flow, sent_by: str) -> list[str]:
    """What a registrar reaches the phone by (RFC 3327), the outermost last: the phone's flow stands in the user part.

    At an edge in front of a core it has both of our sides, so that the registrar can make a Service-Route of it
    (RFC 3608 section 6.2), and every phone is reached by it.
    """
    policy = call.services.policy
    if not target.inside and not _wants_path(call):
        return []
    token = flow_token(policy.secret, call.flow.key)
    secure = call.uri.secure
    leaves = (flow.transport, sent_by)
    if not target.inside:
        return [_entry(*leaves, token, ";ob", secure=secure)]
    arrived = (call.flow.transport, policy.addresses.sent_by(call.flow))
    if arrived == leaves:
        return [_entry(*leaves, token, ";ob", secure=secure)]
    return [_entry(*arrived, token, ";ob", secure=secure), _entry(*leaves, "", "", secure=secure)]


def _wants_path(call: Call) -> bool:
    """Whether a phone that registers elsewhere is reached through us from then on (RFC 3327 5.2, RFC 5626 5.1)."""
    headers = call.request.headers
    if not is_first_hop(call) or "path" not in headers.every(SUPPORTED):
        return False
    contacts = headers.every(CONTACT)
    return needs_flow(call) or any(
        not isinstance(each, Star) and "reg-id" in each.params for each in contacts
    )
