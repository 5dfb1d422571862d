"""A private call begins: what its first request becomes, and whether it may be at all."""

from __future__ import annotations

from typing import Final

from ringfence.engine.routing import contact_of
from ringfence.message import PeerError, Request, sip_uri
from ringfence.message.fields import WarningValue
from ringfence.roles.bridge.bodies import clean
from ringfence.roles.bridge.crossing import MISCELLANEOUS, Crossing
from ringfence.roles.bridge.ending import hang_up
from ringfence.roles.bridge.legs import Bridge
from ringfence.roles.bridge.translate import DIALOG_METHODS, anonymous_from, first_request, without_tag
from ringfence.roles.call import Call
from ringfence.roles.charges import InviteCharge
from ringfence.roles.media import Party
from ringfence.roles.pipeline import Answer, Hand, Verdict
from ringfence.security.privacy import BRIDGED, NO_WISH, Privacy, failure, settle

RETRY_AFTER = ("Retry-After", "10")
"""Seconds: as many calls as there may be take minutes to end."""


CONTENT_METHODS: Final = frozenset({"MESSAGE", "PUBLISH"})
"""Methods that are nothing without their body."""


def open_bridge(call: Call) -> Verdict:
    """Take a request outside any dialog over to another dialog.

    Raises:
        PeerError: 400 when it lacks what a dialog needs, or a field that must be changed can't be read.
    """
    services, findings, request = call.services, call.findings, call.request
    bridges = services.bridges
    assert bridges is not None
    if bridges.full:
        return Answer(503, "Service Unavailable (too many private calls)", (RETRY_AFTER,))
    if request.method in DIALOG_METHODS and contact_of(request, secure=call.uri.secure) is None:
        raise PeerError(400, "a request that makes a dialog needs one", header="Contact")
    wish = findings.private or NO_WISH
    token = services.driver.token
    user = findings.user
    bridge = Bridge(
        token(),
        method=request.method,
        call_id=token(),
        tag=token(),
        cseq=1 + int(token()[:4], 16),
        from_=anonymous_from(request, wish.values),
        to=without_tag(request.to),
        caller=wish.values,
        callee=findings.hides,
        critical=wish.critical or bridges.policy.refuse_unmet,
        account=user.account.aor if user is not None else "",
    )
    outgoing = first_request(bridge, bridges, request)
    cleaned = clean(outgoing, wish.values, token())
    if cleaned.unmet:
        if bridge.critical:
            services.driver.counts["privacy refused"] += 1
            return Answer(500, failure((f"{Privacy.USER}: {cleaned.unmet}",)))
        bridge.unmet, bridge.warned = frozenset({Privacy.USER}), f"not all is private: {cleaned.unmet}"
    elif cleaned.removed and bridge.critical:
        services.driver.counts["privacy refused"] += 1
        return Answer(500, failure((f"{Privacy.USER}: {cleaned.removed}",)))
    elif cleaned.removed and request.method in CONTENT_METHODS and not outgoing.body:
        warning = WarningValue(MISCELLANEOUS, "ringfence", f"the body names its sender: {cleaned.removed}")
        return Answer(488, headers=(("Warning", str(warning)),))
    elif cleaned.removed:
        bridge.warned = f"a part of the body was left out: {cleaned.removed}"
    settle(outgoing.headers, (BRIDGED & wish.values | {Privacy.HISTORY}) - bridge.unmet)
    inner = inner_call(call, outgoing)
    inner.findings.breadth = findings.breadth
    inner.charge = call.charge
    if isinstance(call.charge, InviteCharge):
        call.charge.ended_by(lambda tag, reason: _end(call, bridge, tag, reason))
    bridge.first = call
    if request.method in DIALOG_METHODS:
        bridges.expect(bridge)
    services.driver.counts["privacy not wholly given" if bridge.warned else "privacy given"] += 1
    return Hand(Crossing(bridge, call, inner, call.targets, Party.CALLER, None))


def inner_call(call: Call, request: Request) -> Call:
    """The context of the request in the other dialog: what was found of its sender holds, and its routes are ours."""
    known = call.findings
    inner = Call(request, call.transaction, call.flow, call.services, sip_uri(request.uri))
    found = inner.findings
    found.peer, found.peer_name, found.role = known.peer, known.peer_name, known.role
    found.user, found.asserted, found.caller = known.user, known.asserted, known.caller
    found.in_dialog = True
    found.marked = known.marked
    found.private = known.private or NO_WISH
    return inner


def _end(call: Call, bridge: Bridge, tag: str, reason: str) -> None:
    """The ledger ends a call: the dialog that its caller knows by this tag."""
    for pair in tuple(bridge.pairs.values()):
        if pair.caller.dialog.local_tag == tag:
            hang_up(call.services, pair, reason, told=True)
