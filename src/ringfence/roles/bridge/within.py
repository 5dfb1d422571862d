"""Requests inside a private call: judged by the dialog of their sender, and sent on in the other one."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from inspect import isawaitable

from ringfence.engine.dialog import MAX_RETRY_AFTER, Dialog
from ringfence.engine.dialog_states import State
from ringfence.engine.routing import contact_of, route_of_request
from ringfence.message import LocalError, PeerError, Request, SipUri, reason_phrase, response_to, sip_uri
from ringfence.message.grammar import unescape
from ringfence.roles.bridge.bodies import clean
from ringfence.roles.bridge.crossing import Crossing, must_be_relayed
from ringfence.roles.bridge.ending import end_party, lives_until
from ringfence.roles.bridge.legs import MAX_PAIRS, NAME, Bridge, Leg, Pair
from ringfence.roles.bridge.opening import inner_call
from ringfence.roles.bridge.translate import next_request, without_tag
from ringfence.roles.call import Call, Target
from ringfence.roles.media import Party, Rewritten
from ringfence.roles.outgoing import needs_flow
from ringfence.roles.pipeline import CONTINUE, Answer, Drop, Hand, Verdict
from ringfence.roles.policy import Services
from ringfence.roles.stateless import forward_statelessly
from ringfence.roles.steps.authenticate import authenticate
from ringfence.roles.steps.claims import strip_own_credentials
from ringfence.roles.steps.trust import CLAIMS
from ringfence.roles.steps.verify import strip_marks
from ringfence.roles.targets import targets_for
from ringfence.security.gruu import PREFIX, open_temporary_gruu
from ringfence.security.privacy import NOTHING, Privacy, failure, settle, wish_of
from ringfence.transport.driver import Work


def cross(call: Call) -> Verdict | Awaitable[Verdict]:
    """Take a request of a private call over to the other dialog; CONTINUE for any other request."""
    bridges, request = call.services.bridges, call.request
    assert bridges is not None
    tag = request.to.tag or ""
    found = bridges.find(request.call_id, tag, request.from_.tag or "")
    if found is None:
        bridge = bridges.expecting(request.call_id, tag) if request.method == "NOTIFY" else None
        pair = _notified(call, bridge) if bridge is not None else None
        if pair is None:
            return CONTINUE
        found = pair, Party.CALLEE
    pair, sender = found
    if _is_known(call, pair, sender):
        return _cross(call, pair, sender)
    verdict = authenticate(call)
    if isawaitable(verdict):
        return _cross_later(call, pair, sender, verdict)
    return _authenticated(call, pair, sender, verdict)


def _is_known(call: Call, pair: Pair, sender: Party) -> bool:
    """Whether it may come without a proof: from where the party is. A user of ours who has moved proves who it is."""
    account = pair.bridge.account_of(sender)
    return not account or call.flow.remote.host in pair.leg(sender).hosts


async def _cross_later(call: Call, pair: Pair, sender: Party, waiting: Awaitable[Verdict]) -> Verdict:
    verdict = _authenticated(call, pair, sender, await waiting)
    return await verdict if isawaitable(verdict) else verdict


def _authenticated(call: Call, pair: Pair, sender: Party, verdict: Verdict) -> Verdict | Awaitable[Verdict]:
    if verdict is not CONTINUE:
        return verdict
    user = call.findings.user
    if user is None or not user.account.owns(pair.bridge.account_of(sender)):
        if call.request.method == "ACK":
            return Drop("an ACK of somebody else")
        return Answer(403, "Forbidden (the call is another user's)")
    pair.leg(sender).hosts.add(call.flow.remote.host)
    return _cross(call, pair, sender)


def _cross(call: Call, pair: Pair, sender: Party) -> Verdict | Awaitable[Verdict]:
    request, leg = call.request, pair.leg(sender)
    strip_own_credentials(call)
    strip_marks(call)
    for name in CLAIMS:
        request.headers.remove(name)  # inside a dialog nobody asserts anything new
    leg.flow = call.flow
    if request.method == "ACK":
        return _cross_ack(call, pair, sender)
    refusal = leg.dialog.judge(request)
    if refusal is not None:
        after = (("Retry-After", str(ord(call.services.driver.token()[0]) % MAX_RETRY_AFTER)),)
        reason = f"{reason_phrase(refusal.status)} ({refusal.reason})"
        return Answer(refusal.status, reason, after if refusal.retry_after else ())
    asked = wish_of(request.headers)
    pair.bridge.asked[sender] |= asked.values
    if asked.critical and asked.unknown:
        return Answer(500, failure(asked.unknown))
    cleaned = clean(request, pair.bridge.asked[sender], call.services.driver.token())
    if cleaned.unmet and (asked.critical or pair.bridge.critical):
        return Answer(500, failure((f"{Privacy.USER}: {cleaned.unmet}",)))
    if cleaned.unmet:
        pair.bridge.warned = f"not all is private: {cleaned.unmet}"
    return _send_on(call, pair, sender)


def _send_on(call: Call, pair: Pair, sender: Party) -> Verdict | Awaitable[Verdict]:
    bridges, request, leg = call.services.bridges, call.request, pair.leg(sender)
    assert bridges is not None
    leg.dialog.receive(request)
    try:
        outgoing = next_request(pair, sender, bridges, request)
    except (LocalError, PeerError) as error:
        status = error.status if isinstance(error, PeerError) else 481 if leg.dialog.ended else 491
        leg.dialog.answered(request, response_to(request, status))
        reason = error.reason if isinstance(error, PeerError) else str(error)
        return Answer(status, f"{reason_phrase(status)} ({reason})")
    settle(outgoing.headers, pair.bridge.asked[sender])
    if request.method == "INVITE":
        leg.note_invite(request.cseq.number, outgoing.cseq.number)
    inner = inner_call(call, outgoing)
    charging = call.services.charging
    if charging is not None:
        charged = call if sender is Party.CALLER else inner
        charging.follow_bridged(charged)
        inner.charge = charged.charge
    return Hand(
        Crossing(pair.bridge, call, inner, (_target(call.services, pair, sender, outgoing),), sender, pair)
    )


def _target(services: Services, pair: Pair, sender: Party, outgoing: Request) -> Target:
    """Where the other party is: by its flow, where its Contact leads nowhere else or is a GRUU of ours (RFC 5627)."""
    leg = pair.leg(sender.other)
    uri = sip_uri(outgoing.uri)
    ours = services.policy.is_ours(uri)
    if (leg.by_flow or ours) and not leg.flow.closed:
        return Target(outgoing.uri, flow=leg.flow.key)
    if ours:
        found = _registered(services, uri)
        if found:
            return replace(found[0], privacy=NOTHING, registered=False)
    return Target(outgoing.uri)


def _registered(services: Services, uri: SipUri) -> tuple[Target, ...]:
    """The phone behind a GRUU of ours, where that can be told at once."""
    user, now = uri.user or "", services.clock()
    index = open_temporary_gruu(services.gruu_key, user) if user.startswith(PREFIX) else None
    found = (
        services.bindings.by_temporary_gruu(index, now)
        if index is not None
        else services.bindings.lookup(services.policy.canonical(uri), now)
    )
    if not isinstance(found, tuple):
        return ()
    instance = unescape(uri.params.get("gr") or "")
    return targets_for(
        tuple(each for each in found if not instance or each.public_gruu == instance), secure=uri.secure
    )


# -- ACK -----------------------------------------------------------------------------------------------


class _Ack:
    """The ACK for a 2xx, on its way: it has no transaction, and no answer."""

    __slots__ = ("_inner", "_outer", "_pair", "_sender")

    def __init__(self, pair: Pair, sender: Party, outer: Call, inner: Call) -> None:
        self._pair = pair
        self._sender = sender
        self._outer = outer
        self._inner = inner

    def start(self) -> Work | None:
        """Send it, when the media plane has seen the answer that it may have."""
        inner, pair = self._inner, self._pair
        bridges = inner.services.bridges
        plane = bridges.media if bridges is not None else None
        if not inner.request.body or plane is None or not pair.media:
            return self._send()
        other = pair.leg(self._sender.other)
        found = plane.answer(
            pair.media,
            self._sender,
            inner.request,
            seen=self._outer.flow.remote,
            toward=other.flow.remote,
            anonymous=pair.bridge.asks(self._sender, Privacy.SESSION),
        )
        pair.offer_by = None
        return self._send_with(found) if isinstance(found, Rewritten) else self._send_later(found)

    async def _send_later(self, waiting: Awaitable[Rewritten]) -> None:
        work = self._send_with(await waiting)
        if work is not None:
            await work

    def _send_with(self, found: Rewritten) -> Work | None:
        request = self._inner.request
        if not found.safe and must_be_relayed(self._pair.bridge, self._sender):
            end_party(self._inner.services, self._pair, self._sender, "it can't be kept private")
            request.set_body(b"")
        else:
            request.body = found.body
            request.headers.set("Content-Length", len(found.body))
        return self._send()

    def _send(self) -> Work | None:
        target = _target(self._inner.services, self._pair, self._sender, self._inner.request)
        return forward_statelessly(self._inner, (target,))


def _cross_ack(call: Call, pair: Pair, sender: Party) -> Verdict:
    bridges, leg = call.services.bridges, pair.leg(sender)
    assert bridges is not None
    leg.dialog.receive(call.request)
    clean(call.request, pair.bridge.asked[sender], call.services.driver.token())
    try:
        outgoing = next_request(pair, sender, bridges, call.request)
    except PeerError as error:
        return Drop(error.reason)
    settle(outgoing.headers, pair.bridge.asked[sender])
    return Hand(_Ack(pair, sender, call, inner_call(call, outgoing)))


# -- a NOTIFY that is faster than the 2xx --------------------------------------------------------------


def _notified(call: Call, bridge: Bridge) -> Pair | None:
    """A NOTIFY makes the dialogs, as the 2xx of its SUBSCRIBE would (RFC 6665 section 4.1.2.4)."""
    first, notify = bridge.first, call.request
    if first is None or bridge.method == "INVITE" or len(bridge.pairs) >= MAX_PAIRS:
        return None
    services, asked = call.services, first.request
    target = contact_of(notify, secure=False)
    back = contact_of(asked, secure=False)
    if target is None or back is None:
        raise PeerError(400, "a request that makes a dialog needs one", header="Contact")
    tag = services.driver.token()
    caller = Dialog(
        asked.call_id,
        tag,
        asked.from_.tag or "",
        without_tag(asked.to),
        without_tag(asked.from_),
        back,
        made_call_id=False,
        route_set=route_of_request(asked),
        secure=first.flow.secure and first.uri.secure,
        state=State.ESTABLISHED,
        remote_cseq=asked.cseq.number,
    )
    callee = Dialog(
        bridge.call_id,
        bridge.tag,
        notify.from_.tag or "",
        bridge.from_,
        bridge.to,
        target,
        made_call_id=True,
        route_set=route_of_request(notify),
        state=State.ESTABLISHED,
        local_cseq=bridge.cseq,
    )
    pair = Pair(
        bridge,
        Leg(caller, first.flow, needs_flow(first), NAME + tag, {first.flow.remote.host}),
        Leg(callee, call.flow, needs_flow(call), NAME + bridge.tag, {call.flow.remote.host}),
        expires=lives_until(services, None),
    )
    assert services.bridges is not None
    services.bridges.add(pair)
    return pair


# -- a call to an anonymous Contact --------------------------------------------------------------------


def call_back(call: Call) -> bool:
    """A request outside any dialog to a Contact of ours goes to the party behind it; whether there is one.

    So whoever was called by somebody anonymous may be handed on to another, or call back while the call lasts.
    """
    bridges = call.services.bridges
    assert bridges is not None
    found = bridges.behind(call.uri.user or "")
    if found is None:
        return False
    pair, party = found
    leg = pair.leg(party)
    call.retarget(sip_uri(leg.dialog.remote_target))
    for route in reversed(leg.dialog.route_set):
        call.request.headers.prepend("Route", route)
    call.findings.for_us = not leg.by_flow and call.services.policy.is_ours(call.uri)  # a GRUU
    call.findings.flow = leg.flow.key if leg.by_flow else ""
    call.findings.hides = pair.bridge.asked[party]
    return True
