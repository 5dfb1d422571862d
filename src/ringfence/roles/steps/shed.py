"""Is there time for this request? (RFC 7339 section 5.10.2) Before anything is spent on finding out who sends it."""

from __future__ import annotations

from ringfence.message.fields import Via
from ringfence.roles.call import Call, Trust
from ringfence.roles.congestion import is_important
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict

DRAIN_RETRY_SECONDS = 10
"""In the Retry-After of a node that stops: another one of the domain takes over, or this one is back."""


def shed(call: Call) -> Verdict:
    """Refuse what is too much, and what is new while the node drains.

    The 503 has no Retry-After where the node is overloaded ("MUST reject some requests from non-participating clients
    with a 503 response without the Retry-After header"), and one where it stops. It is sent once, like a challenge.
    """
    overload = call.services.overload
    if overload is None:
        return CONTINUE
    peer = call.findings.peer is not Trust.STRANGER
    if peer and call.flow.secure and call.services.guard is not None:
        call.services.guard.trust(call.flow)  # it has proved its name: nothing is counted of it
    headers = call.request.headers
    if ";oc" in headers.lines[headers.names.index("Via")]:
        _hear_offer(call)
    if not overload.active or is_important(call):
        return CONTINUE
    if overload.draining:
        return Answer(
            503,
            "Service Unavailable (the node stops)",
            (("Retry-After", str(DRAIN_RETRY_SECONDS)),),
            once=True,
        )
    host = call.flow.remote.host
    if peer and overload.reduces(host):
        return CONTINUE  # what it sends is what was left when it had reduced
    known = peer or call.flow.user is not None or _proven(call)
    return CONTINUE if overload.takes(known) else Answer(503, once=True)


def _proven(call: Call) -> bool:
    guard = call.services.guard
    return guard is not None and guard.is_proven(call.flow, call.services.driver.time())


def _hear_offer(call: Call) -> None:
    """Note that the neighbour can reduce, and leave out what is between it and us (sections 5.4 and 5.6)."""
    overload, services = call.services.overload, call.services
    via = call.request.via
    if overload is None or "oc" not in via.params:
        return
    if services.driver.feedback is None:
        services.driver.feedback = lambda response, flow: overload.tell(response, flow.remote.host)
    overload.offered(call.flow.remote.host, via, services.driver.time())
    params = via.params.without("oc", "oc-algo", "oc-validity", "oc-seq")
    call.request.headers.set_top("Via", Via(via.transport, via.host, via.port, params))
