"""Being called: it rings, until it is answered, refused or given up (RFC 3261 section 13.3).

A caller that requires reliable provisional responses (RFC 3262) gets its 180 that way. An INVITE with Replaces
(RFC 3891) takes the place of a call that we have, and is answered at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ringfence.client.anonymity import fields
from ringfence.client.body import SDP, sdp_of
from ringfence.client.call import Call
from ringfence.client.connected import may_announce
from ringfence.client.desk import ALLOW, SUPPORTED, Desk
from ringfence.client.errors import CallError
from ringfence.client.peer import caller
from ringfence.client.protection import Protection
from ringfence.client.reliable import Ringing
from ringfence.client.renegotiation import announce
from ringfence.client.secure import judged
from ringfence.client.session import SILENCE, Media, Session
from ringfence.client.states import CallState, Ending
from ringfence.client.transfer import referred_by
from ringfence.engine.dialog import Dialog, DialogId
from ringfence.engine.machine import ClientTransaction, ServerTransaction
from ringfence.engine.routing import is_sips, needs_sips_contact
from ringfence.message import LocalError, PeerError, Request, Response, response_to
from ringfence.message.fields import REQUIRE, DialogName
from ringfence.transport.flow import Flow

RING_TIME = 180.0
"""Seconds after which a call that nobody takes is refused with 480: no caller waits longer."""


class IncomingCall(Call):
    """A call to us. ``answer`` or ``reject`` it."""

    incoming = True

    def __init__(
        self,
        desk: Desk,
        request: Request,
        transaction: ServerTransaction,
        flow: Flow,
        protection: Protection | None = None,
    ) -> None:
        self._sips = is_sips(request)
        session = Session(SILENCE, desk.token, desk.encryption, sips=self._sips)
        super().__init__(desk, session, judged(caller(request, trusted=desk.trusted(flow)), protection))
        if protection is not None:
            self.wish = desk.secure.possible(protection.wish, request.from_.uri)
            self.warn(protection)
        self.referred_by = referred_by(request)
        """Who had the peer call us, as it says (RFC 3892)."""
        self.given_up: Callable[[], None] = _nothing
        """Called when it stops to ring."""
        self.by_home = desk.line.from_home(flow)
        self.request = request
        self._transaction = transaction
        self._flow = flow
        self.tag = desk.token()
        self._offer = sdp_of(request)
        self._reliable: Ringing | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._answering = False
        self.note_peer(request)
        self.timer.check(request)
        if self._offer is not None:
            session.acceptable(self._offer)
        self._ringing = self._response(180)
        self.dialog = Dialog.uas(request, self._ringing, tls=flow.secure)
        self.adopt(self.dialog)
        transaction.user = self

    # -- ringing ---------------------------------------------------------------------------------------

    def ring(self) -> None:
        """Tell the caller that it rings."""
        self.state = CallState.RINGING
        self._deadline = asyncio.get_running_loop().call_later(RING_TIME, self._unanswered)
        if all(option.lower() != "100rel" for option in self.request.headers.every(REQUIRE)):
            self.reply(self.request, self._transaction, self._ringing)
        elif self._offer is not None:
            # Without an offer the first reliable response has to carry ours (RFC 3262 section 5): then only 200 does.
            self._reliable = Ringing(
                self.desk, self.request, self._transaction, self._ringing, self._unreachable
            )

    def _response(self, status: int) -> Response:
        response = response_to(self.request, status, to_tag=self.tag)
        if status < 300:
            secure = self._flow.secure and needs_sips_contact(self.request)
            response.headers.add(
                "Contact",
                self.desk.contact(self._flow, secure=secure, private=bool(self.desk.account.privacy)),
            )
            response.headers.add("Allow", ALLOW)
            if status >= 200:
                response.headers.add("Supported", SUPPORTED)
        for name, value in fields(self.desk.account.privacy, answer=True):
            response.headers.add(name, value)
        return response

    def receive_prack(self, prack: Request) -> None:
        """The caller has our 180. Raises PeerError 481 when it was not sent reliably."""
        if self._reliable is None:
            super().receive_prack(prack)
        else:
            self._reliable.received(prack)

    def _unanswered(self) -> None:
        self._refuse(480, Ending("us", 480, "nobody answered"))

    def _unreachable(self) -> None:
        """RFC 3262 section 3: a 180 that is never acknowledged ends the call with a 5xx."""
        self._refuse(504, Ending("network", 504, "the caller does not acknowledge that it rings"))

    # -- what its user does ----------------------------------------------------------------------------

    async def answer(self, media: Media = SILENCE) -> None:
        """Take the call; returns when the caller has heard of it and audio flows.

        Raises:
            CallError: the caller gave up before, or did not acknowledge.
            LocalError: when there are no media ports, or a file can't be written.
        """
        if self.state is not CallState.RINGING or self._answering:
            raise CallError(
                487, "the caller gave up" if self.state is CallState.ENDED else "it is answered already"
            )
        self._answering = True
        self._stop_ringing()
        try:
            response = await self._accept(media)
        except (LocalError, PeerError) as error:
            self._answering = False
            if isinstance(error, PeerError):
                self.refuse(self.request, self._transaction, error)
                self.end(Ending("us", error.status, error.reason))
                raise CallError(error.status, error.reason) from None
            self._refuse(500, Ending("us", 500, str(error)))
            raise
        if self.state is not CallState.RINGING:
            raise CallError(487, "the caller gave up")
        accepting = self.accept(self.request, self._transaction, response, offered=self._offer is None)
        self.establish()
        if await asyncio.shield(accepting.acknowledged) is None:
            raise CallError(408, "the caller does not acknowledge our answer")
        if may_announce(self, self.request):
            self.desk.spawn(announce(self))

    async def _accept(self, media: Media) -> Response:
        session = self.session = Session(media, self.desk.token, self.desk.encryption, sips=self._sips)
        await session.open(self.desk.line.address(self._flow).host)
        if self._offer is not None:
            body = await session.receive_offer(self._offer)
        else:
            body = session.offer(encrypted=self._flow.secure)
        response = self._response(200)
        self.timer.answer(self.request, response.headers)
        response.set_body(body, SDP)
        self.protect(response, self.request)
        return response

    def reject(self, status: int = 603, reason: str | None = None) -> None:
        """Refuse the call: 603 everywhere, 486 when busy here, 480 when nobody is there.

        Raises:
            LocalError: for a status that refuses nothing.
            CallError: when it rings no longer.
        """
        if not 300 <= status <= 699:
            raise LocalError(f"{status} does not refuse a call")
        if self.state is not CallState.RINGING:
            raise CallError(487, "it rings no longer")
        self._refuse(status, Ending("us", status, reason or "refused"), reason)

    async def hang_up(self) -> None:
        """End the call; while it rings, refuse it."""
        if self.state in {CallState.CALLING, CallState.RINGING}:
            self._refuse(603, Ending("us", 603, "refused"))
        await super().hang_up()

    def _refuse(self, status: int, ending: Ending, reason: str | None = None) -> None:
        self._stop_ringing()
        if not self._transaction.answered:
            response = self._response(status)
            if reason is not None:
                response.reason = reason
            self.reply(self.request, self._transaction, response)
        self.end(ending)

    def _stop_ringing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if self._reliable is not None:
            self._reliable.stop()
        self.given_up()

    # -- what the caller does --------------------------------------------------------------------------

    def cancelled(self, reason: str) -> None:
        """The caller gave up (RFC 3261 section 9.2). Nothing happens once it is answered."""
        if self.state in {CallState.CALLING, CallState.RINGING}:
            self._refuse(487, Ending("peer", 487, reason))

    def end(self, ending: Ending, error: CallError | None = None) -> None:
        """The call is over; the INVITE gets its answer even if the caller ended it by BYE (RFC 3261 section 15.1.2)."""
        self._stop_ringing()
        if not self._transaction.answered and self.state is not CallState.ENDED:
            self.reply(self.request, self._transaction, self._response(487))
        super().end(ending, error)

    # -- the user of the INVITE's transaction ----------------------------------------------------------

    def responded(self, response: Response, transaction: ClientTransaction) -> None:
        """Server transactions hear no responses."""

    def failed(self, transaction: ServerTransaction, status: int, reason: str) -> None:
        """A refusal was never acknowledged: nothing to do about it."""


def replace_call(
    desk: Desk,
    request: Request,
    transaction: ServerTransaction,
    flow: Flow,
    name: DialogName,
    protection: Protection | None = None,
) -> IncomingCall:
    """Take the place of a call of ours (RFC 3891 section 3); gives the new one, which is being answered.

    Who knows both tags and the Call-ID of a dialog has been let into it by one of its two sides.

    Raises:
        PeerError: 400 for two such fields, 481 when there is no such call, 603 when it is over, 486 when it has been
            answered but must not.
    """
    if len(request.headers.all("Replaces")) > 1:
        raise PeerError(400, "one call can be replaced", header="Replaces")
    old = desk.calls.get(DialogId.of_name(name))
    if old is None:
        raise PeerError(481, "no call to replace", header="Replaces")
    if old.state is CallState.ENDED:
        raise PeerError(603, "the call is over", header="Replaces")
    if old.state is CallState.ANSWERED and name.early_only:
        raise PeerError(486, "the call has been answered", header="Replaces")
    if old.state is not CallState.ANSWERED and old.incoming:
        # Section 3: an early dialog can only be replaced by who was called... that is not us.
        raise PeerError(481, "a call that rings here can't be replaced", header="Replaces")
    new = IncomingCall(desk, request, transaction, flow, protection)
    new.ring()
    old.successor = new
    desk.spawn(_take_over(old, new))
    return new


async def _take_over(old: Call, new: IncomingCall) -> None:
    try:
        await new.answer(old.session.media.again())
    except (CallError, LocalError) as error:
        old.tell("fault", reason=f"it could not be replaced: {error}")
        return
    old.tell("replaced", by=new.peer.identity)
    await old.hang_up()


def _nothing() -> None:
    """Nobody wants to know."""
