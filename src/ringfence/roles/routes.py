"""The Route entries that come back to us: what ``outgoing`` put into Record-Route and Path."""

from __future__ import annotations

from ringfence.message import PeerError, Request, SipUri
from ringfence.message.fields import ROUTE
from ringfence.roles.bound import users_of
from ringfence.roles.call import Call
from ringfence.roles.nexthop import place_of
from ringfence.roles.outgoing import CALLEE_PARAM, DIALOG_PARAM, Sender
from ringfence.roles.policy import Policy
from ringfence.security.canonical import telephone_number
from ringfence.security.tokens import (
    TO_ONE_PLACE,
    WATCHED,
    check_dialog_token,
    check_way_token,
    open_flow_token,
)

_MARK = f";lr;{DIALOG_PARAM}="

MAY_COST = frozenset({"INVITE", "MESSAGE"})
"""Methods that a carrier charges for."""

REACHES_OUT = frozenset({"INVITE", "MESSAGE", "REFER", "SUBSCRIBE"})
"""Methods that may reach somebody who was not called, when they are sent to somebody else inside a dialog."""


def strip_own_routes(call: Call, policy: Policy) -> tuple[bool, str]:
    """Remove the Routes on top that are ours (RFC 3261 section 16.4).

    Gives whether one of them proves that the request belongs to a dialog that was set up through us, and goes the way
    that its sender may send on; and the key of the flow of the other side, where the last of them names one. The
    sender's own flow is not looked at: it may have another one by now.
    """
    usual = _usual(call, policy)
    if usual is not None:
        return usual
    last: SipUri | None = None
    sender: Sender | None = None
    proofs: list[str] = []
    headers = call.request.headers
    while (top := headers.first(ROUTE)) is not None:
        uri = top.uri
        if not isinstance(uri, SipUri):
            break
        if not policy.addresses.means_us(uri) and not policy.addresses.is_here(uri, call.flow):
            break
        proofs.append(uri.params.get(DIALOG_PARAM) or "")
        sender = sender or sender_of(call, policy, proofs[-1])
        last = uri
        headers.remove_top("Route")
    if last is None:
        return False, ""
    token = (last.params.get(CALLEE_PARAM) if sender is Sender.CALLER else last.user) or ""
    proven = sender is not None and any(_on_its_way(call, policy, sender, proof, token) for proof in proofs)
    return proven, _flow(call, policy, token, in_dialog=sender is not None) if token else ""


def _usual(call: Call, policy: Policy) -> tuple[bool, str] | None:
    """The same for a lone Route exactly as ``outgoing`` wrote it, without taking a URI apart; None for any other."""
    headers = call.request.headers
    if headers.names.count("Route") != 1:
        return None
    hop, mark, rest = (headers.get("Route") or "").partition(_MARK)
    place, _, _ = hop.rpartition("@")[2].removeprefix("<sip:").partition(";transport=")
    if (
        not mark
        or not hop.startswith("<sip:")
        or place not in policy.addresses.told
        or not rest.endswith(">")
    ):
        return None
    proof, _, callee = rest[:-1].partition(f";{CALLEE_PARAM}=")
    sender = sender_of(call, policy, proof)
    if sender is None or "," in rest or ";" in callee or ";" in proof:
        return None
    token = callee if sender is Sender.CALLER else hop[5:].rpartition("@")[0]
    flow = _flow(call, policy, token, in_dialog=True) if token else ""
    headers.remove("Route")
    return _on_its_way(call, policy, sender, proof, token), flow


def sender_of(call: Call, policy: Policy, proof: str) -> Sender | None:
    """Who sends the request, when the proof is that of the dialog; None for any other."""
    request = call.request
    dialog = proof.partition(".")[0]
    for side, tag in ((Sender.CALLER, request.from_.tag), (Sender.CALLEE, request.to.tag)):
        if dialog and check_dialog_token(policy.secret, request.call_id, tag or "", dialog):
            call.findings.of_callee = side is Sender.CALLEE
            return side
    return None


def of_dialog(request: Request) -> bool:
    """Whether a request that brings our token back can only be one of its dialog.

    A callee of RFC 2543 gives no tag, so its ACK and BYE have none (RFC 3261 section 12.1.2); neither begins anything.
    """
    return request.to.tag is not None or request.method in ("ACK", "BYE")


def _on_its_way(call: Call, policy: Policy, sender: Sender, proof: str, token: str) -> bool:
    """Whether a request inside a dialog comes from where its sender is, or goes to whom it talks to.

    ``token`` names the flow that it will take, if any. Our own Routes are off the request. Whoever has proved an
    account on this connection may have moved: its requests come from somewhere else now. To a telephone number, which
    may be another one than was called, a user of ours needs the right to call it, inside a dialog as well; and it is
    found out who it is, where there are addresses that it may not call.
    """
    dialog, _, ways = proof.partition(".")
    forth, _, back = ways.partition(".")
    target = token or _next_place(call)
    way, other = (forth, back) if sender is Sender.CALLER else (back, forth)
    call.findings.to_stranger = other[:1] in TO_ONE_PLACE  # who is not ours may send to ours only
    proven = check_way_token(policy.secret, dialog, sender, call.flow.remote.host, target, way)
    if not token and call.request.method in MAY_COST and telephone_number(call.uri) is not None:
        return proven and way[:1] in TO_ONE_PLACE
    if call.request.method in REACHES_OUT:
        call.findings.watched = way[:1] == WATCHED or any(
            user.account.rights.deny for user in users_of(call.flow)
        )
    return proven or call.flow.user is not None or bool(call.findings.role)


def _next_place(call: Call) -> str:
    headers = call.request.headers
    if headers.has("Route"):
        return place_of(headers.every(ROUTE)[0].sip)
    return place_of(call.uri)


def _flow(call: Call, policy: Policy, token: str, *, in_dialog: bool) -> str:
    """The flow that a token names. Outside a dialog, the sender's own is where it comes from (RFC 5626 5.3).

    What a Record-Route names is for its dialog alone: a call down that flow would be one that the callee is not asked
    about.
    """
    if in_dialog and not of_dialog(call.request):
        return ""
    key = open_flow_token(policy.secret, token)
    if key is None:
        # RFC 5626 section 5.3.1: "If the flow token has been tampered with, the proxy SHOULD send a 403".
        raise PeerError(403, "the flow token in the Route is not ours", header="Route")
    return key if in_dialog or key != call.flow.key else ""
