"""Calling somebody: INVITE, what rings, what answers, and what else answers (RFC 3261 section 13.2).

One INVITE may ring many phones, each with an early dialog of its own. The first 2xx has the call; every other
is acknowledged and ended at once. A call that is given up is cancelled, and if its answer was faster, ended.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from ringfence.client.acks import Acknowledging
from ringfence.client.body import ACCEPT, SDP, sdp_of
from ringfence.client.call import Call
from ringfence.client.desk import ALLOW, SUPPORTED, Desk
from ringfence.client.errors import CallError, RequestFailed
from ringfence.client.exchange import Exchange
from ringfence.client.peer import callee
from ringfence.client.protection import NOTHING, Protection, Wish
from ringfence.client.secure import judged
from ringfence.client.session import Encryption, Session
from ringfence.client.states import CallState, Ending
from ringfence.engine.dialog import Dialog
from ringfence.engine.reliable import Order, Received
from ringfence.engine.routing import is_sips
from ringfence.message import LocalError, NameAddr, PeerError, Request, Response, SipUri, sip_uri
from ringfence.message.fields import CONTACT
from ringfence.message.fields.contact import thousandths
from ringfence.message.sdp import Session as Description
from ringfence.transport.flow import Flow

RING_TIME = 180.0
"""Seconds that a phone may ring: what a proxy's Timer C allows at least (RFC 3261 section 16.6)."""

MAX_ATTEMPTS = 8
"""INVITEs for one call, with redirections, too brief timers and audio that the peer can't encrypt."""

MAX_FORKS = 32
"""Early dialogs kept: more phones than anybody has, and each costs memory."""

NOT_ACCEPTABLE = frozenset({415, 488, 606})
"""Statuses by which a phone refuses an offer."""


@dataclass(slots=True)
class Fork:
    """One phone that has been heard of."""

    dialog: Dialog
    reliable: Received = field(default_factory=Received)
    answer: Description | None = None
    """Its answer to our offer, from a provisional response: the first one counts, and the 2xx need not repeat it."""
    acknowledging: Acknowledging | None = None


class OutgoingCall(Call):
    """A call that we make."""

    incoming = False

    def __init__(
        self,
        desk: Desk,
        session: Session,
        uri: SipUri,
        headers: Iterable[tuple[str, str]] = (),
        wish: Wish = NOTHING,
    ) -> None:
        self._invite = desk.request("INVITE", uri, headers)
        super().__init__(desk, session, callee(self._invite.to))
        self.by_home = desk.line.home is not None
        self.wish = wish
        self._cseq = 0
        self._forks: dict[str, Fork] = {}
        self._exchange: Exchange | None = None
        self._cancelled = False
        self._encrypted = False
        self._ring_out: asyncio.TimerHandle | None = None
        self._targets: list[SipUri] = []
        for name, value in (("Allow", ALLOW), ("Supported", SUPPORTED), ("Accept", ACCEPT)):
            self._invite.headers.add(name, value)

    async def start(self) -> None:
        """Open the audio and send the INVITE; returns when it is on its way.

        Raises:
            CallError: when there is nowhere to send it.
            LocalError: when there are no media ports, or audio must be encrypted and nothing hides its keys.
        """
        self.desk.live.add(self)
        try:
            await self._open()
        except RequestFailed as error:
            self._fail("network", error)
            raise CallError(error.status, error.reason) from None
        except LocalError as error:
            self._fail("us", RequestFailed(500, str(error)))
            raise
        self._ring_out = asyncio.get_running_loop().call_later(RING_TIME, self._cancel, "nobody answered")
        self.desk.spawn(self._run())

    async def _open(self) -> None:
        flow = await self._first_flow()
        wanted = self.session.encryption
        if wanted is Encryption.REQUIRED and not flow.secure:
            raise LocalError(
                "audio can only be encrypted where TLS hides its keys: use sips: or transport TLS"
            )
        self._encrypted = flow.secure and wanted is not Encryption.OFF
        await self.session.open(self.desk.line.address(flow).host)

    async def _first_flow(self) -> Flow:
        line, hop = self.desk.line, self.desk.hop(self._invite)
        failure = RequestFailed(503, f"{hop.uri.host} can't be reached")
        for place in await line.places(hop):
            try:
                return await line.flow(place, home=hop.home)
            except RequestFailed as error:
                failure = error
        raise failure

    # -- the INVITE ------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Send INVITEs until one is answered or refused for good."""
        response: Response | None = None
        for _ in range(MAX_ATTEMPTS):
            self._exchange = self.desk.exchange(
                self._next_invite(), prepare=self._prepare, heard=self._heard, next_cseq=self._next_cseq
            )
            self._exchange.grows = self.wish != NOTHING
            if self._cancelled:
                self._exchange.cancel()
            try:
                response = await self._exchange.run()
            except RequestFailed as error:
                self._fail("network", error)
                return
            if response.status // 100 == 2:
                return  # it has been heard
            self.session.abandon()
            if self._cancelled or not self._may_try_again(response):
                break
        assert response is not None  # there is one attempt at least
        self._fail("peer", RequestFailed.from_response(response))

    def _next_invite(self) -> Request:
        self._invite = request = self._invite.copy()
        request.headers.set("CSeq", f"{self._next_cseq()} INVITE")
        self.timer.ask(request.headers)
        request.set_body(self.session.offer(encrypted=self._encrypted), SDP)
        return request

    def _next_cseq(self) -> int:
        self._cseq += 1
        return self._cseq

    def _prepare(self, request: Request, flow: Flow) -> None:
        request.headers.set(
            "Contact", self.desk.contact(flow, secure=is_sips(request), private="Privacy" in request.headers)
        )
        self.protect(request)

    def _may_try_again(self, response: Response) -> bool:
        """Whether a refusal says how to do better, and we are willing."""
        status = response.status
        try:
            if status == 422:
                return self.timer.too_brief(response)
            if status == 493 and self.wish.encrypt:
                return self.desk.secure.learn(response, sip_uri(str(self._invite.to.uri)))
            if status in NOT_ACCEPTABLE and self._encrypted:
                if self.session.encryption is Encryption.OPTIONAL:
                    self._encrypted = False
                    return True
            elif status // 100 == 3 and self.desk.follow_redirections:
                self._targets = redirected(response, self._invite)
            if self._targets and status != 600:
                self._invite.uri = str(self._targets.pop(0))
                self.tell("redirected", to=self._invite.uri)
                return True
        except PeerError:
            pass  # it can't be read, so it can't be followed
        except LocalError as error:
            self.tell("warning", reason=str(error))
        return False

    def _fail(self, by: str, failed: RequestFailed) -> None:
        if self._cancelled:
            by = "us"
        error = CallError(failed.status, failed.reason, failed.response)
        self.end(Ending(by, failed.status, failed.reason), error)

    # -- responses -------------------------------------------------------------------------------------

    def _heard(self, response: Response, sent: Request) -> None:
        try:
            response, protection = self.desk.secure.open(response)
            if response.status >= 200:
                self._accepted(response, sent, protection)
            else:
                self._progress(response, sent)
        except PeerError as error:
            if response.status >= 200 and self.dialog is None:
                self._fail("peer", RequestFailed(500, f"the answer is malformed: {error}", response))

    def _progress(self, response: Response, sent: Request) -> None:
        """RFC 3261 section 13.2.2.1."""
        if self.state in {CallState.ANSWERED, CallState.ENDED}:
            return
        fork = self._fork(response, sent)
        if fork is not None and not self._in_order(fork, response, sent):
            return
        self.note_peer(response)
        if response.status == 180:
            self.state = CallState.RINGING
        self.tell(
            "ringing" if response.status == 180 else "progress",
            status=response.status,
            reason=response.reason,
        )
        description = sdp_of(response)
        if description is not None:
            if fork is not None and fork.answer is None:
                # Section 13.2.1: "The UAC MUST treat the first session description it receives as the answer".
                fork.answer = description
            self.desk.spawn(self._preview(description))

    def _fork(self, response: Response, sent: Request) -> Fork | None:
        """The phone that a provisional response came from, if it has made an early dialog (section 12.1)."""
        tag = response.to.tag
        if tag is None:
            return None
        fork = self._forks.get(tag)
        if fork is None and len(self._forks) < MAX_FORKS:
            fork = self._forks[tag] = Fork(Dialog.uac(sent, response, tls=self._by_tls()))
            self.adopt(fork.dialog)
        return fork

    def _in_order(self, fork: Fork, response: Response, sent: Request) -> bool:
        """Acknowledge a reliable response; False when it is to be passed over (RFC 3262 section 4)."""
        order = fork.reliable.receive(response)
        if order is Order.NEXT:
            fork.answer = sdp_of(response) or fork.answer
            fork.dialog.heard(response)
            self.desk.spawn(self._prack(fork, fork.dialog.prack(response)))
        return order in {Order.NEXT, Order.UNRELIABLE}

    async def _prack(self, fork: Fork, prack: Request) -> None:
        try:
            await self._in_fork(fork, prack)
        except (RequestFailed, PeerError) as error:
            self.tell("fault", reason=f"a provisional response could not be acknowledged: {error}")

    async def _preview(self, description: Description) -> None:
        try:
            await self.session.preview(description)
        except (PeerError, LocalError) as error:
            self.tell("fault", reason=f"early audio can't be heard: {error}")
        else:
            self.tell("early-media", encrypted=self.encrypted)

    def _accepted(self, response: Response, sent: Request, protection: Protection | None) -> None:
        """RFC 3261 section 13.2.2.4: acknowledge every 2xx, keep the first."""
        tag = response.to.tag or ""
        fork = self._forks.get(tag)
        if fork is None:
            fork = self._forks[tag] = Fork(Dialog.uac(sent, response, tls=self._by_tls()))
        if fork.acknowledging is None:
            fork.dialog.heard(response)
            fork.acknowledging = Acknowledging(self.desk, fork.dialog, sent, by_home=self.by_home)
            first = self.dialog is None and self.state is not CallState.ENDED
            if first:
                self.dialog = fork.dialog
                self.adopt(fork.dialog)
            fork.acknowledging.send()
            self.desk.spawn(self._begin(fork, response, protection) if first else self._refuse(fork))
        else:
            fork.acknowledging.send()

    async def _begin(self, fork: Fork, response: Response, protection: Protection | None) -> None:
        """The call is answered, or was while it was being cancelled."""
        if self._cancelled:
            await self.hang_up_for(Ending("us", 487, "cancelled"))
            return
        self.note_peer(response)
        if protection is not None:
            protection = await self.desk.status.settle(protection)
        said = callee(self._invite.to, response, trusted=self._trusted())
        self.peer = judged(said, protection)
        self.warn(protection)
        try:
            description = sdp_of(response) or fork.answer
            if description is None:
                raise PeerError(488, "the answer has no session description")
            await self.session.receive_answer(description)
            self.timer.answered(response)
        except (PeerError, LocalError) as error:
            status = error.status if isinstance(error, PeerError) else 500
            await self.hang_up_for(Ending("us", status, str(error)))
            return
        if self._ring_out is not None:
            self._ring_out.cancel()
        self.establish()

    async def _refuse(self, fork: Fork) -> None:
        """Another phone answered too: it was too late. "After acknowledging" comes the BYE (section 13.2.2.4)."""
        with contextlib.suppress(RequestFailed, PeerError):  # it will find out
            await self._in_fork(fork, fork.dialog.request("BYE"))

    async def _in_fork(self, fork: Fork, request: Request) -> None:
        hop = self.desk.hop_in(fork.dialog, by_home=self.by_home)
        await self.desk.exchange(request, hop, next_cseq=fork.dialog.next_cseq).run()

    def _by_tls(self) -> bool:
        flow = self._exchange.flow if self._exchange is not None else None
        return flow is not None and flow.secure

    def _trusted(self) -> bool:
        flow = self._exchange.flow if self._exchange is not None else None
        return flow is not None and self.desk.trusted(flow)

    # -- giving up -------------------------------------------------------------------------------------

    async def hang_up(self) -> None:
        """End the call; before it is answered, cancel it. Returns when it is over."""
        if self.state in {CallState.CALLING, CallState.RINGING}:
            self._cancel("we gave up")
        await super().hang_up()

    def _cancel(self, reason: str) -> None:
        if self._cancelled or self.state in {CallState.ANSWERED, CallState.ENDED}:
            return
        self._cancelled = True
        self.tell("cancelled", reason=reason)
        if self._exchange is not None:
            self._exchange.cancel()

    def end(self, ending: Ending, error: CallError | None = None) -> None:
        """The call is over."""
        if self._ring_out is not None:
            self._ring_out.cancel()
        super().end(ending, error)


def redirected(response: Response, request: Request) -> list[SipUri]:
    """Where a 3xx sends us, best first (RFC 3261 section 8.1.3.4); never from TLS to a hop without."""
    target, secure = request.target, is_sips(request)
    contacts = [item for item in response.headers.every(CONTACT) if isinstance(item, NameAddr)]
    contacts.sort(key=lambda contact: -thousandths(contact.params))
    uris = [contact.uri for contact in contacts if isinstance(contact.uri, SipUri)]
    return [uri for uri in uris if uri != target and (uri.secure or not secure)]
