"""What goes first when not everything can go, and what next hops have said about how much may go to them.

RFC 7339 section 5.10.1 leaves the order to the owner. Here requests that end something or belong to a dialog, and
emergencies, come before all others, whatever the load.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from ringfence.message import PeerError, Request, Response
from ringfence.message.fields import RESOURCE_PRIORITY, RETRY_AFTER
from ringfence.roles.call import Call, Target, Trust
from ringfence.transport.flow import Flow

NEVER_FIRST: Final = frozenset({"ACK", "CANCEL", "BYE", "PRACK"})
"""Methods that are not refused to save work: each ends something, or what it belongs to would be repeated."""

SOS: Final = "urn:service:sos"
"""What the Request-URI of an emergency call begins with (RFC 5031)."""

NO_RETRY: Final = 60.0
"""Seconds, where a Retry-After can't be read."""


def is_emergency(request: Request, numbers: frozenset[str]) -> bool:
    """Whether a call is for help: by its service name, or by a number of the owner's list."""
    uri = request.uri
    if uri[:15].lower() == SOS:
        return True
    if numbers:
        user = uri.partition(":")[2].partition("@")[0].partition(";")[0]
        if user in numbers:
            return True
    with suppress(PeerError):
        return str(request.to.uri)[:15].lower() == SOS
    return False


def is_important(call: Call) -> bool:
    """Whether a request is among those that are refused last.

    A Resource-Priority counts when its sender is known, or it is signed (RFC 8443), since anybody can write one.
    """
    findings, request = call.findings, call.request
    if findings.in_dialog or request.method in NEVER_FIRST:
        return True
    policy = call.services.policy
    if is_emergency(request, policy.emergency_numbers):
        return True
    if policy.priority_namespaces and request.headers.has("Resource-Priority"):
        known = findings.user is not None or findings.peer is not Trust.STRANGER or call.flow.user is not None
        proven = findings.passport.priorities if findings.passport is not None else frozenset()
        with suppress(PeerError):
            return any(
                each.namespace in policy.priority_namespaces and (known or each in proven)
                for each in request.headers.every(RESOURCE_PRIORITY)
            )
    return False


def may_go(call: Call, flow: Flow) -> bool:
    """Whether a next hop wants one more request."""
    neighbours = call.services.neighbours
    if not neighbours:
        return True
    return neighbours.may_send(flow.remote, is_important(call), call.services.driver.time())


def note_response(call: Call, target: Target, response: Response, flow: Flow) -> None:
    """What a response says of the next hop that it came from; its topmost Via is ours."""
    services, status = call.services, response.status
    if services.guard is not None and status >= 200 and not flow.reliable:
        services.guard.answered(flow.remote.host, services.driver.time())
    neighbours = services.neighbours
    if neighbours is None or target.registered:
        return
    names = response.headers.names
    if neighbours:
        neighbours.answered(flow.remote)
    if ";oc=" in response.headers.lines[names.index("Via")]:
        neighbours.heard(flow.remote, response.via.params, services.driver.time())
    if status == 503 and "Retry-After" in names:
        seconds = NO_RETRY
        with suppress(PeerError):
            value = response.headers.first(RETRY_AFTER)
            seconds = float(value.seconds) if value is not None else NO_RETRY
        neighbours.unavailable(flow.remote, seconds, services.driver.time())


def note_silence(call: Call, target: Target, flow: Flow) -> None:
    """A next hop has not answered a request."""
    neighbours = call.services.neighbours
    if neighbours is not None and not target.registered:
        neighbours.silent(flow.remote, call.services.driver.time())
