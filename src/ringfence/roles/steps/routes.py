"""Route preprocessing (RFC 3261 section 16.4) and whether the request is for us (16.5)."""

from __future__ import annotations

from ringfence.message import PeerError, SipUri
from ringfence.message.fields import ROUTE
from ringfence.roles.call import Call
from ringfence.roles.outgoing import DIALOG_PARAM, strip_own_routes
from ringfence.roles.pipeline import CONTINUE, Verdict


def follow_routes(call: Call) -> Verdict:
    """Undo a strict router's rewriting, take our own Routes off, and see whether the request is for us."""
    policy = call.services.policy
    headers = call.request.headers
    if "Route" in headers:
        if DIALOG_PARAM in call.uri.params and policy.addresses.means_us(call.uri):
            _undo_strict_routing(call)
        proven, call.findings.flow = strip_own_routes(call, policy)
        call.findings.in_dialog = proven and call.request.to.tag is not None
    uri = call.uri
    call.findings.for_us = "Route" not in headers and (
        uri.host in policy.domains or (policy.addresses.means_us(uri) and not call.findings.in_dialog)
    )
    return CONTINUE


def _undo_strict_routing(call: Call) -> None:
    """16.4: a strict router put our Record-Route into the Request-URI; the real one is the last Route."""
    routes = call.request.headers.every(ROUTE)
    target = routes[-1].uri
    if not isinstance(target, SipUri):
        raise PeerError(416, f"the URI scheme {target.scheme} is not supported", header="Route")
    own = f"<{call.uri}>"
    rest = [str(route) for route in routes[:-1]]
    call.request.headers.remove("Route")
    for entry in [own, *rest]:
        call.request.headers.add("Route", entry)
    call.retarget(target)
