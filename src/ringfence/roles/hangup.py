"""What a proxy has to know of a dialog to end it, and the two BYEs that do.

A proxy is no party of a call and RFC 3261 gives it no BYE of its own; but one that charges for a call, or lets it last
so long and no longer, has to be able to end it. Each side gets the BYE that the other side would have sent: its own
Route set, its Contact, the other one's tags, a CSeq higher than any that the other one has used through us.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from ringfence.engine.effects import Effect
from ringfence.ledger.calls import Dialog, LiveCall, Side
from ringfence.message import Headers, PeerError, Request, Response, Uri
from ringfence.message.fields import CONTACT, MAGIC_COOKIE, RECORD_ROUTE, Star
from ringfence.roles.outgoing import DIALOG_PARAM

if TYPE_CHECKING:
    from ringfence.engine.machine import ClientTransaction
    from ringfence.engine.timers import Timer
    from ringfence.roles.call import Call
    from ringfence.roles.policy import Services

log = structlog.get_logger("ringfence.charging")


def sides(call: Call, response: Response, live: LiveCall) -> tuple[Side, Side]:
    """Caller and callee of the dialog that a 2xx to this INVITE makes."""
    request = call.request
    callers, callees = request.headers, response.headers
    caller = Side(
        callers.get("From") or "",
        callers.get("Contact") or "",
        tuple(callers.all("Record-Route")),
        call.flow,
        request.call_id,
        request.cseq.number,
    )
    callee = Side(
        callees.get("To") or "",
        callees.get("Contact") or "",
        tuple(callees.all("Record-Route")),
        live.callee_flow or call.flow,
        response.call_id,
    )
    return caller, callee


def same_target(call: Call, side: Side) -> bool:
    """Whether a request goes the way that the dialog has to this side: to its Contact, by its routes."""
    return call.uri == _target(side) and call.request.headers.values("Route") == _routes(side)


def hang_up(services: Services, live: LiveCall, dialog: Dialog, reason: str) -> None:
    """Send a BYE to both sides, as if the other one had."""
    for side, other in ((dialog.caller, dialog.callee), (dialog.callee, dialog.caller)):
        try:
            _bye(services, live, side, other, reason)
        except PeerError as error:  # what the party wrote into its Contact or Record-Route
            log.warning("a call could not be ended", call=live.key, reason=error.reason)


class _Unheard:
    """Whoever sends a BYE to a call that has ended is not interested in what comes of it."""

    def responded(self, response: Response, transaction: ClientTransaction) -> None:
        """Nothing."""

    def failed(self, transaction: ClientTransaction, status: int, reason: str) -> None:
        """Nothing."""

    def expired(self, timer: Timer, now: float) -> list[Effect]:
        """Nothing."""
        return []


UNHEARD = _Unheard()


def _bye(services: Services, live: LiveCall, side: Side, other: Side, reason: str) -> None:
    driver, policy = services.driver, services.policy
    target = _target(side)
    if target is None:
        raise PeerError(400, "no target", header="Contact")
    flow = side.flow
    if flow.closed:
        flow = driver.pool.flow_to(flow.transport, flow.remote, None)
    other.cseq += 1
    via = f"SIP/2.0/{flow.transport} {policy.addresses.sent_by(flow)};branch={MAGIC_COOKIE}{driver.token()};rport"
    headers = Headers(
        [
            ("Via", via),
            ("Max-Forwards", str(policy.max_forwards)),
            *(("Route", route) for route in _routes(side)),
            ("From", other.address),
            ("To", side.address),
            ("Call-ID", side.call_id),
            ("CSeq", f"{other.cseq} BYE"),
            ("Reason", f'SIP;cause=408;text="{reason}"'),  # RFC 3326
            ("Content-Length", "0"),
        ]
    )
    driver.request(Request("BYE", str(target), headers), flow, UNHEARD)


def _target(side: Side) -> Uri | None:
    """The URI in the Contact of a side."""
    if not side.contact:
        return None
    contact = CONTACT.parse(side.contact)
    return None if isinstance(contact, Star) else contact.uri


def _routes(side: Side) -> list[str]:
    """The routes from us to a side.

    The caller's INVITE had those of the proxies before us. The callee's 2xx has all: from its end down to ours, whose
    order is turned around on the way to it (RFC 3261 section 12.1.2).
    """
    entries = Headers(("Record-Route", line) for line in side.routes).every(RECORD_ROUTE)
    beyond: list[str] = []
    for entry in entries:
        if DIALOG_PARAM in entry.sip.params:
            return beyond[::-1]
        beyond.append(str(entry))
    return beyond
