"""One request on its way from one dialog to the other: a proxy's forwarding, between different names.

The branches are those of ``roles.forward``. What is different: a branch gets its Contact and its media when it is
known which way it leaves, and what comes back is written anew for whoever asked. Where the media plane has to be waited
for, what comes meanwhile waits in order.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

import structlog

from ringfence.engine.dialog import Dialog
from ringfence.engine.machine import ClientTransaction
from ringfence.message import PeerError, Request, Response, response_to
from ringfence.message.build import explain
from ringfence.message.fields import WarningValue
from ringfence.roles.anchors import MediaMode
from ringfence.roles.bridge.bodies import clean
from ringfence.roles.bridge.ending import T1_64, end_party, lives_until
from ringfence.roles.bridge.legs import MAX_PAIRS, NAME, Bridge, Leg, Pair
from ringfence.roles.bridge.translate import DIALOG_METHODS, own_place, place_contact, response_back
from ringfence.roles.call import Call, Target
from ringfence.roles.forward import Forwarding, ProxyBranch
from ringfence.roles.media import Outcome, Party, Rewritten
from ringfence.roles.outgoing import needs_flow
from ringfence.security.privacy import Privacy, failure, settle, trimmed
from ringfence.transport.flow import Flow

log = structlog.get_logger("ringfence.privacy")

MISCELLANEOUS: Final = 399
"""warn-code for a text for people (RFC 3261 section 20.43)."""


class Crossing(Forwarding):
    """``outer`` is the request as its sender wrote it, ``inner`` as the other party gets it. Without a ``pair`` it
    begins a call; ``media`` is the key of its session then, one for each branch."""

    __slots__ = ("_branch", "_bridge", "_busy", "_media", "_offered", "_outer", "_pair", "_passed", "_queue", "_sender",
                 "_tag")  # fmt: skip

    def __init__(
        self,
        bridge: Bridge,
        outer: Call,
        inner: Call,
        targets: tuple[Target, ...],
        sender: Party,
        pair: Pair | None,
    ) -> None:
        super().__init__(inner, targets)
        self._bridge = bridge
        self._outer = outer
        self._sender = sender
        self._pair = pair
        self._branch: ProxyBranch | None = None
        self._media: dict[ProxyBranch, str] = {}
        self._offered = bool(inner.request.body)
        self._passed: tuple[bytes, bytes] = (b"", b"")
        self._queue: list[tuple[Response, ProxyBranch | None]] = []
        self._busy = False
        self._tag = inner.services.driver.token()

    # -- the request goes out --------------------------------------------------------------------------

    def _goes_on(self, response: Response) -> bool:
        return True

    def _leave(self, branch: ProxyBranch, request: Request, flow: Flow) -> None:
        services = self._call.services
        place_contact(request, own_place(services.policy, flow, secure=self._call.uri.secure))
        if not branch.trusted:
            settle(request.headers, (Privacy.ID,))  # done: no identity is told outside the trust domain
        try:
            found = self._rewrite(branch, request, flow)
        except PeerError as error:
            self._give_up(branch, error.status, explain(error))
            return
        if found is None:
            super()._leave(branch, request, flow)
        elif isinstance(found, Rewritten):
            self._leave_with(branch, request, flow, found)
        elif not services.driver.spawn(self._leave_later(branch, request, flow, found), self._server):
            self.cancel(None)

    def _rewrite(
        self, branch: ProxyBranch, request: Request, flow: Flow
    ) -> Rewritten | Awaitable[Rewritten] | None:
        bridge, pair, sender = self._bridge, self._pair, self._sender
        bridges = self._call.services.bridges
        plane = bridges.media if bridges is not None else None
        if plane is None:
            return None
        if pair is not None:
            key = pair.media
        elif bridge.relayed or self._is_led(branch, flow):
            key = self._media[branch] = f"{bridge.key}.{len(self._media)}"
        else:
            key = ""
        if not key or not request.body:
            return None
        anonymous = bridge.asks(sender, Privacy.SESSION)
        seen = self._outer.flow.remote
        if pair is not None and pair.offer_by is sender.other:
            pair.offer_by = None
            return plane.answer(key, sender, request, seen=seen, toward=flow.remote, anonymous=anonymous)
        if pair is not None:
            pair.offer_by = sender
        return plane.offer(
            key, sender, request, seen=seen, toward=flow.remote, anonymous=anonymous, silent=self._silent
        )

    def _is_led(self, branch: ProxyBranch, flow: Flow) -> bool:
        """Whether the branch needs the relay for another reason, such as NAT."""
        anchors = self._call.services.anchors
        return (
            anchors is not None
            and anchors.mode is not MediaMode.NEVER
            and anchors.wants(self._outer, branch.target, flow)
        )

    async def _leave_later(
        self, branch: ProxyBranch, request: Request, flow: Flow, waiting: Awaitable[Rewritten]
    ) -> None:
        try:
            found = await waiting
        except PeerError as error:
            self._give_up(branch, error.status, explain(error))
            return
        if branch.cancelled:
            self._give_up(branch, 487)
        else:
            self._leave_with(branch, request, flow, found)

    def _leave_with(self, branch: ProxyBranch, request: Request, flow: Flow, found: Rewritten) -> None:
        if not found.safe:
            bridge = self._bridge
            if not bridge.relayed:  # it was for NAT only
                super()._leave(branch, request, flow)
                return
            if must_be_relayed(bridge, self._sender):
                status = 500 if self._sender is Party.CALLER and bridge.critical else 488
                self._give_up(branch, status, failure((Privacy.SESSION,)) if status == 500 else None)
                return
            self._weakened(found)
            if self._pair is None and "Privacy" not in request.headers.names:
                request.headers.add("Privacy", Privacy.SESSION)  # not done: perhaps somebody further down can
        request.body = found.body
        request.headers.set("Content-Length", len(found.body))
        super()._leave(branch, request, flow)

    def _weakened(self, found: Rewritten) -> None:
        self._bridge.unmet |= {Privacy.SESSION}
        self._bridge.warned = f"no session privacy: the body is {found.outcome}"
        log.warning("session privacy is not given", outcome=found.outcome, reason=found.reason, private=True)

    def _silent(self, key: str) -> None:
        """No media of either party for too long."""
        for pair in tuple(self._bridge.pairs.values()):
            if pair.media == key and self._call.services.bridges is not None:
                pair.reason = "no media"
                pair.expires = self._call.services.clock()

    # -- what comes back -------------------------------------------------------------------------------

    def cancel(self, reason: str | None) -> None:
        if reason and self._bridge.asks(self._sender, Privacy.USER):
            reason = trimmed("Reason", reason) or None
        super().cancel(reason)

    def responded(self, response: Response, transaction: ClientTransaction) -> None:
        self._branch = self._branch_of(transaction)
        super().responded(response, transaction)

    def _upstream(self, response: Response) -> None:
        if self._busy:
            self._queue.append((response, self._branch))
        else:
            self._cross_back(response, self._branch)

    def _cross_back(self, response: Response, branch: ProxyBranch | None) -> None:
        bridge = self._bridge
        try:
            cleaned = clean(response, bridge.asked[self._sender.other], self._tag)
            pair, back = self._written_back(response, branch)
            found = self._rewrite_back(pair, branch, response)
        except PeerError as error:
            log.info(
                "a response can't be passed on", status=response.status, reason=error.reason, private=True
            )
            if response.status >= 200:
                back = response_to(self._outer.request, 502, to_tag=self._tag)
                self._finish(None, response, back)
            return
        if cleaned.unmet and bridge.critical:
            self._refuse_answer(pair, response, 500, failure((f"{Privacy.USER}: {cleaned.unmet}",)))
        elif found is None:
            self._finish(pair, response, back)
        elif isinstance(found, Rewritten):
            self._finish_with(pair, response, back, found)
        else:
            self._busy = True
            if not self._call.services.driver.spawn(self._finish_later(pair, response, back, found)):
                self._busy = False

    def _written_back(self, response: Response, branch: ProxyBranch | None) -> tuple[Pair | None, Response]:
        """The response for whoever asked, and the pair of dialogs that it is in."""
        services, bridge = self._call.services, self._bridge
        assert services.bridges is not None
        request, responder = self._outer.request, self._sender.other
        pair = self._pair
        fresh = False
        if pair is None and request.method in DIALOG_METHODS and 100 < response.status < 300:
            pair = bridge.pairs.get(response.to.tag or "")
            fresh = pair is None and bool(response.to.tag) and len(bridge.pairs) < MAX_PAIRS
        tag = (
            services.driver.token()
            if fresh
            else pair.leg(self._sender).dialog.local_tag
            if pair
            else self._tag
        )
        name = NAME + tag if fresh else pair.leg(self._sender).name if pair is not None else ""
        back = response_back(bridge, services.bridges, responder, request, response, tag=tag, name=name)
        place_contact(back, own_place(services.policy, self._outer.flow, secure=self._outer.uri.secure))
        if fresh and branch is not None:
            pair = self._begin(response, back, branch, name)
        elif pair is not None:
            pair.leg(responder).dialog.heard(response)
            pair.leg(self._sender).dialog.answered(request, back)
        if bridge.warned and response.status >= 200 and self._sender is Party.CALLER:
            back.headers.add("Warning", str(WarningValue(MISCELLANEOUS, "ringfence", bridge.warned)))
        return pair, back

    def _begin(self, response: Response, back: Response, branch: ProxyBranch, name: str) -> Pair:
        """A response makes a dialog on each side (RFC 3261 section 12.1)."""
        services, bridge, outer = self._call.services, self._bridge, self._outer
        flow: Flow = branch.transaction.flow if branch.transaction is not None else outer.flow  # type: ignore[assignment]
        if branch.target.registered:
            bridge.callee_account = services.policy.canonical(outer.uri)
        callee = Dialog.uac(self._call.request, response, tls=flow.secure)
        caller = Dialog.uas(outer.request, back, tls=outer.flow.secure)
        pair = Pair(
            bridge,
            Leg(caller, outer.flow, needs_flow(outer), name, {outer.flow.remote.host}),
            Leg(callee, flow, bool(branch.target.flow), NAME + bridge.tag, {flow.remote.host}),
            media=self._media.get(branch, ""),
            offer_by=Party.CALLER if self._offered else None,
        )
        if outer.request.method == "INVITE":
            pair.caller.note_invite(outer.request.cseq.number, bridge.cseq)
        pair.expires = lives_until(services, None)
        assert services.bridges is not None
        services.bridges.add(pair)
        return pair

    def _rewrite_back(
        self, pair: Pair | None, branch: ProxyBranch | None, response: Response
    ) -> Rewritten | Awaitable[Rewritten] | None:
        bridge, responder = self._bridge, self._sender.other
        bridges = self._call.services.bridges
        plane = bridges.media if bridges is not None else None
        if plane is None or pair is None or not pair.media or not response.body or branch is None:
            return None
        if response.body == self._passed[0]:
            return Rewritten(self._passed[1], Outcome.REWRITTEN)
        seen = branch.transaction.flow.remote if branch.transaction is not None else None  # type: ignore[attr-defined]
        if seen is None:
            return None
        toward, anonymous = self._outer.flow.remote, bridge.asks(responder, Privacy.SESSION)
        if self._offered or pair.offer_by is self._sender:
            pair.offer_by = None
            return plane.answer(
                pair.media, responder, response, seen=seen, toward=toward, anonymous=anonymous
            )
        pair.offer_by = responder
        return plane.offer(
            pair.media,
            responder,
            response,
            seen=seen,
            toward=toward,
            anonymous=anonymous,
            silent=self._silent,
        )

    async def _finish_later(
        self, pair: Pair | None, response: Response, back: Response, waiting: Awaitable[Rewritten]
    ) -> None:
        try:
            self._finish_with(pair, response, back, await waiting)
        except PeerError as error:
            self._refuse_answer(pair, response, error.status, explain(error))
        finally:
            self._busy = False
            while self._queue and not self._busy:
                self._cross_back(*self._queue.pop(0))

    def _finish_with(self, pair: Pair | None, response: Response, back: Response, found: Rewritten) -> None:
        if not found.safe:
            if must_be_relayed(self._bridge, self._sender.other):
                self._refuse_answer(pair, response, 500, failure((Privacy.SESSION,)))
                return
            if self._bridge.relayed:
                self._weakened(found)
        elif response.body:
            self._passed = (response.body, found.body)
        back.body = found.body
        back.headers.set("Content-Length", len(found.body))
        self._finish(pair, response, back)

    def _refuse_answer(self, pair: Pair | None, response: Response, status: int, reason: str) -> None:
        """An answer that may not pass: the call comes to nothing, and whoever answered is told so."""
        if response.status < 200:
            return  # the final one has it, too
        if pair is not None and response.status < 300 and self._server.method == "INVITE":
            end_party(self._call.services, pair, self._sender.other, "it can't be kept private")
        back = response_to(self._outer.request, status, reason, to_tag=self._tag)
        self._finish(None, response, back)

    def _finish(self, pair: Pair | None, response: Response, back: Response) -> None:
        """Answer, tell the bill, and let go of what has come to its end."""
        services = self._call.services
        charge = self._call.charge
        if charge is not None and back.status >= 200:
            charge.told(back if self._sender is Party.CALLER else response)
        services.driver.respond(self._server, back)
        if back.status < 200:
            return
        if self._pair is None:
            self._begun(pair, back)
        elif pair is not None:
            self._changed(pair, back)

    def _begun(self, pair: Pair | None, back: Response) -> None:
        """The request that began it has its answer."""
        services, bridge = self._call.services, self._bridge
        bridges = services.bridges
        if bridges is None:
            return
        method = self._server.method
        if back.status >= 300 or method not in DIALOG_METHODS:
            bridges.forget(bridge)
            used = frozenset[str]()
        else:
            if pair is not None:
                pair.expires = lives_until(services, pair, back)
            lapse = (
                services.clock() + T1_64
            )  # another phone may have answered, too (RFC 3261 section 13.2.2.4)
            for other in tuple(bridge.pairs.values()):
                if not other.confirmed and method == "INVITE":
                    other.expires = min(other.expires, lapse)
            used = frozenset(each.media for each in bridge.pairs.values())
        if bridges.media is not None:
            for key in self._media.values():
                if key not in used:
                    bridges.media.end(key)

    def _changed(self, pair: Pair, back: Response) -> None:
        """A request inside the dialogs has its answer."""
        services, method = self._call.services, self._server.method
        assert services.bridges is not None
        if method == "BYE" and back.status not in {401, 407}:
            services.bridges.remove(pair)
        elif method == "NOTIFY" and (back.status == 481 or _is_last(self._outer.request)):
            if pair.bridge.method != "INVITE":
                services.bridges.remove(pair)
        elif method in {"INVITE", "UPDATE", "SUBSCRIBE"} and back.status < 300:
            pair.expires = lives_until(services, pair, back)
        if method in {"INVITE", "UPDATE"} and back.status >= 300:
            pair.offer_by = None


def _is_last(notify: Request) -> bool:
    """Whether a NOTIFY ends its subscription (RFC 6665 section 4.4.1)."""
    state = (notify.headers.get("Subscription-State") or "").partition(";")[0]
    return state.strip().lower() == "terminated"


def must_be_relayed(bridge: Bridge, sender: Party) -> bool:
    """Whether a description that leads around the relay may not pass: for its sender by ``critical``, and for the other
    party in any case, which has no say in what comes to it."""
    return bridge.relayed and (bridge.critical or bridge.asks(sender.other, Privacy.SESSION))
