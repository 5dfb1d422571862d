"""What topology hiding has taken off on the way out comes back when whoever is outside answers (``roles.hiding``)."""

from __future__ import annotations

from ringfence.message import SipUri
from ringfence.message.fields import ROUTE
from ringfence.roles.call import Call
from ringfence.roles.hiding import HIDDEN_PARAM, Hiding
from ringfence.roles.outgoing import DIALOG_PARAM
from ringfence.roles.pipeline import CONTINUE, Verdict
from ringfence.roles.policy import Policy
from ringfence.roles.routes import sender_of
from ringfence.roles.steps.routes import undo_strict_routing
from ringfence.roles.view import View

_MARK = f";{HIDDEN_PARAM}="


def reveal(call: Call) -> Verdict:
    """Open what our own Route holds: the routes behind us, and the phone that a masked Request-URI stands for.

    Only for a request of the dialog that it was sealed for; any other is judged as it stands.
    """
    policy = call.services.policy
    hiding, headers = policy.hiding, call.request.headers
    if hiding is None or not headers.has("Route"):
        return CONTINUE
    if DIALOG_PARAM in call.uri.params and policy.addresses.means_us(call.uri):
        undo_strict_routing(call)
    view = _open_routes(call, policy, hiding)
    if view is not None:
        findings = call.findings
        findings.view = view
        if view.from_outside:
            if view.masked:
                findings.call_id = hiding.real_call_id(call.request.call_id)
            if (phone := hiding.unmasked(call.uri, call.request.call_id)) is not None:
                call.retarget(phone)
    return CONTINUE


def _open_routes(call: Call, policy: Policy, hiding: Hiding) -> View | None:
    """Put the hidden routes behind our own; gives who is outside in the dialog."""
    headers = call.request.headers
    if _MARK not in (headers.get("Route") or ""):
        return None  # the usual case, told without cutting up the list
    values = headers.values("Route")
    ours: list[str] = []
    opened: list[str] = []
    view: View | None = None
    for value in values:
        head, mark, token = value.partition(_MARK)
        if not mark:
            break
        uri = ROUTE.parse(value).uri
        if not isinstance(uri, SipUri):
            break
        if not policy.addresses.means_us(uri) and not policy.addresses.is_here(uri, call.flow):
            break
        if view is None:
            proof = uri.params.get(DIALOG_PARAM) or ""
            sender = sender_of(call, policy, proof)
            opened = hiding.opened(token.partition(">")[0].partition(";")[0], proof.partition(".")[0])
            if sender is None or not opened:
                return None
            view = View.read(opened[0], by_caller=sender is sender.CALLER)
            if view.from_outside and sender is sender.CALLER:
                opened[1:] = opened[:0:-1]  # a caller has them in reverse (RFC 3261 section 12.1.2)
        ours.append(head + ">")
    if view is None:
        return None
    headers.remove("Route")
    for entry in (*ours, *opened[1:], *values[len(ours) :]):
        headers.add("Route", entry)
    return view
