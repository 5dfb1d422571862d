"""What ends without a party: sessions that are not refreshed, calls without media, subscriptions that have run out."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import structlog

from ringfence.engine.dialog_states import State
from ringfence.message import LocalError, PeerError, Request, Response
from ringfence.message.fields import EXPIRES, MAGIC_COOKIE, SESSION_EXPIRES
from ringfence.roles.bridge.legs import FOREVER, Leg, Pair
from ringfence.roles.hangup import UNHEARD
from ringfence.roles.media import Party
from ringfence.roles.policy import Services

log = structlog.get_logger("ringfence.privacy")

T1_64: Final = 32.0
"""64*T1: as long as an ACK or another answer may take."""

GRACE: Final = 32.0
"""Seconds that a refresh may be late, as in ``roles.charging``."""


def lives_until(services: Services, pair: Pair | None, response: Response | None = None) -> float:
    """When a pair ends by itself, in the node's time, after a 2xx that settles it (RFC 4028 section 7.2, RFC 6665)."""
    assert services.bridges is not None
    now = services.clock()
    longest = now + services.bridges.policy.max_seconds
    if response is None:
        return longest
    with suppress(PeerError):  # what can't be read settles nothing
        return min(longest, now + _seconds(pair, response) + GRACE)
    return longest


def _seconds(pair: Pair | None, response: Response) -> float:
    """How long the session or the subscription lives; without end unless the answer says so."""
    headers = response.headers
    if "Session-Expires" in headers.names:
        interval = headers.first(SESSION_EXPIRES)
        if interval is not None:
            return interval.seconds
    if pair is not None and pair.bridge.method == "SUBSCRIBE" and "Expires" in headers.names:
        seconds: int = headers.first(EXPIRES) or 0
        return seconds
    return FOREVER


def sweep(services: Services) -> None:
    """End what has lasted too long. To be called every second."""
    bridges = services.bridges
    if bridges is None:
        return
    for pair in bridges.due(services.clock()):
        hang_up(services, pair, pair.reason or "it was not refreshed")


def end_all(services: Services) -> None:
    """The node stops, and nobody else knows the two dialogs of a call: both sides are told."""
    if services.bridges is not None:
        for pair in services.bridges:
            hang_up(services, pair, "the node stopped")


def hang_up(services: Services, pair: Pair, reason: str, *, told: bool = False) -> None:
    """End a pair: a BYE to each party of a call that is answered; what is not, or is a subscription, is forgotten.

    ``told``: the ledger knows, since it has ended the call itself.
    """
    if pair.bridge.method == "INVITE" and pair.confirmed:
        for party in (Party.CALLER, Party.CALLEE):
            end_party(services, pair, party, reason)
    assert services.bridges is not None
    services.bridges.remove(pair)
    charging = services.charging
    if charging is not None and not told:
        known = pair.caller.dialog
        found = charging.calls.find(known.call_id, known.remote_tag, known.local_tag)
        if found is not None:
            charging.hung_up(found[0], found[1], services.clock(), reason)


def end_party(services: Services, pair: Pair, party: Party, reason: str) -> None:
    """A BYE to one of the two, after the ACK that it may still wait for."""
    leg = pair.leg(party)
    if leg.dialog.ended:
        return
    try:
        if party is Party.CALLEE and leg.dialog.state is State.MORATORIUM:
            _send(services, leg, leg.dialog.ack(pair.bridge.cseq))
        bye = leg.dialog.request("BYE")
    except LocalError as error:  # it ends itself meanwhile
        log.debug("no BYE", reason=str(error))
        return
    bye.headers.add("Reason", f'SIP;cause=408;text="{reason}"')  # RFC 3326
    _send(services, leg, bye)


def _send(services: Services, leg: Leg, request: Request) -> None:
    driver = services.driver
    flow = leg.flow
    if flow.closed:
        flow = driver.pool.flow_to(flow.transport, flow.remote, None)
    sent_by = services.policy.addresses.sent_by(flow)
    via = f"SIP/2.0/{flow.transport} {sent_by};branch={MAGIC_COOKIE}{driver.token()};rport"
    request.headers.prepend("Via", via)
    if request.method == "ACK":
        driver.send(request, flow)
    else:
        driver.request(request, flow, UNHEARD)
