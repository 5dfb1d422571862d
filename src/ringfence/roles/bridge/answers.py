"""Callees who ask for privacy in their answer (RFC 3323 sections 4.4 and 5.1): the request has gone out as it was.

Who was called knows the caller and is known by nobody yet. So two dialogs are made of one from here on: the callee's
goes on under its names, the caller gets another one, with a Contact of ours. What takes media (``session``) comes too
late; who wants that registers with the wish. An answer that makes no dialog is only rid of what it tells.
"""

from __future__ import annotations

import structlog

from ringfence.engine.dialog import Dialog
from ringfence.engine.machine import ClientTransaction
from ringfence.message import NameAddr, PeerError, Response, SipUri
from ringfence.message.fields import RECORD_ROUTE
from ringfence.roles.bridge.bodies import clean
from ringfence.roles.bridge.ending import hang_up, lives_until
from ringfence.roles.bridge.legs import MAX_PAIRS, NAME, Bridge, Leg, Pair
from ringfence.roles.bridge.translate import (
    DIALOG_METHODS,
    own_place,
    place_contact,
    response_back,
    wishes_in,
    without_tag,
)
from ringfence.roles.call import Call, Target
from ringfence.roles.charges import InviteCharge
from ringfence.roles.forward import Forwarding, ProxyBranch
from ringfence.roles.media import Party
from ringfence.roles.outgoing import DIALOG_PARAM, needs_flow
from ringfence.security.privacy import BRIDGED, NOTHING, Privacy
from ringfence.transport.flow import Flow

log = structlog.get_logger("ringfence.privacy")


class Concealing(Forwarding):
    """A proxy's forwarding that listens to what its callees ask for. Costs a look at the names of each answer."""

    __slots__ = ("_bridge", "_heard")

    def __init__(self, call: Call, targets: tuple[Target, ...]) -> None:
        super().__init__(call, targets)
        self._bridge: Bridge | None = None
        self._heard: ProxyBranch | None = None

    def responded(self, response: Response, transaction: ClientTransaction) -> None:
        if self._bridge is not None or "Privacy" in response.headers.names:
            self._heard = self._branch_of(transaction)
        super().responded(response, transaction)

    def _upstream(self, response: Response) -> None:
        if self._bridge is None and "Privacy" not in response.headers.names:
            super()._upstream(response)
            return
        services = self._call.services
        asked = wishes_in(response) & BRIDGED
        known = self._bridge.pairs.get(response.to.tag or "") if self._bridge is not None else None
        if services.bridges is None or (not asked and known is None):
            super()._upstream(response)
            return
        try:
            back = self._concealed(response, asked, known)
        except PeerError as error:
            log.info("an answer can't be kept private", status=response.status, reason=error.reason)
            super()._upstream(response)
            return
        charge = self._call.charge
        if charge is not None and back.status >= 200:
            charge.told(back)
        services.driver.respond(self._server, back)

    def _concealed(self, response: Response, asked: frozenset[str], pair: Pair | None) -> Response:
        """The answer as the caller gets it."""
        call, services = self._call, self._call.services
        bridges, request = services.bridges, call.request
        assert bridges is not None
        bridge = self._bridge
        if bridge is None:
            bridge = self._bridge = _bridge(call, response, asked)
        bridge.asked[Party.CALLEE] |= asked
        clean(response, bridge.asked[Party.CALLEE], bridge.key)
        makes = request.method in DIALOG_METHODS and 100 < response.status < 300 and request.to.tag is None
        fresh = makes and pair is None and bool(response.to.tag) and len(bridge.pairs) < MAX_PAIRS
        tag = (
            services.driver.token()
            if fresh
            else pair.caller.dialog.local_tag
            if pair is not None
            else bridge.key
        )
        back = response_back(bridge, bridges, Party.CALLEE, request, response, tag=tag, name=NAME + tag)
        if Privacy.SESSION in asked:
            back.headers.set("Privacy", Privacy.SESSION)  # not done
        place_contact(back, own_place(services.policy, call.flow, secure=call.uri.secure))
        if fresh and self._heard is not None:
            self._begin(bridge, response, back, self._heard)
        elif pair is not None:
            pair.callee.dialog.heard(response)
            pair.callee.dialog.route_set = _beyond_us(response)
            pair.caller.dialog.answered(request, back)
            pair.expires = lives_until(services, pair, back)
        if response.status >= 300:
            bridges.forget(bridge)
        return back

    def _begin(self, bridge: Bridge, response: Response, back: Response, branch: ProxyBranch) -> None:
        call, services = self._call, self._call.services
        assert services.bridges is not None
        assert branch.transaction is not None
        flow: Flow = branch.transaction.flow  # type: ignore[assignment]  # an Outlet of ours
        callee = Dialog.uac(call.request, response, tls=flow.secure)
        callee.route_set = _beyond_us(response)
        caller = Dialog.uas(call.request, back, tls=call.flow.secure)
        pair = Pair(
            bridge,
            Leg(caller, call.flow, needs_flow(call), NAME + caller.local_tag, {call.flow.remote.host}),
            Leg(callee, flow, bool(branch.target.flow), NAME + bridge.key, {flow.remote.host}),
            expires=lives_until(services, None, back),
        )
        number = call.request.cseq.number
        pair.caller.note_invite(number, number)
        services.bridges.add(pair)
        if isinstance(call.charge, InviteCharge):
            call.charge.ended_by(lambda tag, reason: _end(call, bridge, tag, reason))


def _bridge(call: Call, response: Response, asked: frozenset[str]) -> Bridge:
    request, user = call.request, call.findings.user
    sender = request.from_
    return Bridge(
        call.services.driver.token(),
        method=request.method,
        call_id=response.call_id,
        tag=sender.tag or "",
        cseq=request.cseq.number,
        from_=NameAddr(sender.uri, sender.display, sender.params.without("tag")),
        to=without_tag(request.to),
        caller=NOTHING,
        callee=asked,
        account=user.account.aor if user is not None else "",
    )


def _beyond_us(response: Response) -> tuple[str, ...]:
    """The routes from us to the callee: those that stand above ours, in the order in which they are visited."""
    beyond: list[str] = []
    for entry in response.headers.every(RECORD_ROUTE):
        uri = entry.uri
        if isinstance(uri, SipUri) and DIALOG_PARAM in uri.params:
            break
        beyond.append(str(entry))
    return tuple(reversed(beyond))


def _end(call: Call, bridge: Bridge, tag: str, reason: str) -> None:
    for pair in tuple(bridge.pairs.values()):
        if pair.caller.dialog.local_tag == tag:
            hang_up(call.services, pair, reason, told=True)
