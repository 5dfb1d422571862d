"""Route preprocessing (RFC 3261 section 16.4) and whether the request is for us (16.5)."""

from __future__ import annotations

from ringfence.engine.places import DEFAULT_PORTS
from ringfence.message import PeerError, SipUri
from ringfence.message.fields import ROUTE
from ringfence.roles.call import Call
from ringfence.roles.outgoing import DIALOG_PARAM
from ringfence.roles.pipeline import CONTINUE, Verdict
from ringfence.roles.routes import of_dialog, strip_own_routes


def follow_routes(call: Call) -> Verdict:
    """Undo a strict router's rewriting, take our own Routes off, and see whether the request is for us."""
    policy = call.services.policy
    headers = call.request.headers
    findings = call.findings
    if headers.has("Route"):
        if DIALOG_PARAM in call.uri.params and policy.addresses.means_us(call.uri):
            undo_strict_routing(call)
        proven, findings.flow = strip_own_routes(call, policy)
        findings.in_dialog = proven and of_dialog(call.request)
        if headers.has("Route"):
            return CONTINUE  # others are to be visited first
    uri = call.uri
    if "maddr" in uri.params and not _resolve_maddr(call):
        return CONTINUE  # RFC 3261 section 16.5: the Request-URI is then the only target
    uri = call.uri
    findings.for_us = policy.is_domain(uri.host) or (
        not findings.in_dialog and policy.addresses.means_us(uri)
    )
    return CONTINUE


def undo_strict_routing(call: Call) -> None:
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


def _resolve_maddr(call: Call) -> bool:
    """16.4: a ``maddr`` that is ours, on the port and transport that the request came by, has done its work.

    Gives whether the Request-URI means what it says without it. Else the ``maddr`` names somebody else, or
    another port of ours, where the request is sent then.
    """
    uri = call.uri
    policy = call.services.policy
    maddr = (uri.params.get("maddr") or "").lower()
    if not policy.is_domain(maddr) and not policy.addresses.is_own_host(maddr):
        return False
    transport = uri.transport or ("TLS" if uri.secure else "UDP")
    if transport != call.flow.transport or (uri.port or DEFAULT_PORTS.get(transport)) != call.flow.local.port:
        return False
    params = uri.params.without("maddr", "transport")
    call.retarget(
        SipUri(uri.scheme, uri.user, uri.host, None, params, password=uri.password, headers=uri.headers)
    )
    return True
