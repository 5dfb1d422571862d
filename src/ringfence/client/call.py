"""A call once it exists: its state, what its user can do with it, and what the peer can.

``outgoing`` and ``incoming`` bring calls about; ``renegotiation`` changes their media, ``transfer`` hands them
on. A call has one confirmed dialog; while it rings, a forked one has an early dialog for each phone. Nothing here
waits in the path of a datagram: what has to wait is a task.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Iterable

from ringfence.client import renegotiation, transfer
from ringfence.client.acks import Accepting
from ringfence.client.body import sdp_of
from ringfence.client.desk import ALLOW, SUPPORTED, Desk
from ringfence.client.digits import write_signal
from ringfence.client.errors import CallError, RequestFailed
from ringfence.client.exchange import Heard
from ringfence.client.feed import Feed
from ringfence.client.in_dialog import IN_DIALOG
from ringfence.client.media import AudioStream
from ringfence.client.peer import Peer
from ringfence.client.protected import Protected
from ringfence.client.refusal import refusal
from ringfence.client.session import Session
from ringfence.client.session_timer import SessionTimer
from ringfence.client.states import CallEvent, CallState, Ending
from ringfence.engine.dialog import MAX_RETRY_AFTER, Dialog
from ringfence.engine.machine import ServerTransaction
from ringfence.message import LocalError, Message, PeerError, Request, Response
from ringfence.message.fields import ALLOW as ALLOW_FIELD
from ringfence.transport.driver import Work
from ringfence.transport.flow import Flow

GOODBYE_TIME = 2.0
"""Seconds that ``hang_up`` waits for the peer's answer to BYE: the call is over whatever it says (RFC 3261 15.1.1)."""


class Call(Protected):
    """One call of one agent. Made by ``UserAgent.call`` and ``UserAgent.incoming``."""

    incoming: bool

    def __init__(self, desk: Desk, session: Session, peer: Peer) -> None:
        self.state = CallState.CALLING
        self.peer = peer
        self.session = session
        self.dialog: Dialog | None = None
        self.dialogs: dict[str, Dialog] = {}
        """Early and confirmed, by the peer's tag."""
        self.by_home = False
        """Whether it was set up through our own server."""
        self.successor: Call | None = None
        """The call that took the place of this one, after a transfer."""
        self.desk = desk
        self.timer = SessionTimer()
        self.peer_methods: frozenset[str] = frozenset()
        self.accepting: Accepting | None = None
        self.changing = asyncio.Lock()
        self.transfers = transfer.Transfers()
        self._events: Feed[CallEvent] = Feed()
        loop = asyncio.get_running_loop()
        self._answered: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[Ending] = loop.create_future()
        self._answered.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._refresh: asyncio.TimerHandle | None = None
        self._keys: asyncio.Task[None] | None = None

    # -- what it is like -------------------------------------------------------------------------------

    @property
    def answered(self) -> Awaitable[None]:
        """Await it to wait until the call is answered. Raises CallError when it will not be."""
        return asyncio.shield(self._answered)

    @property
    def ended(self) -> Awaitable[Ending]:
        """Await it to wait until the call is over and its recording complete."""
        return asyncio.shield(self._ended)

    @property
    def audio(self) -> AudioStream:
        """The audio: play, record, press keys, look at statistics."""
        return self.session.audio

    @property
    def encrypted(self) -> bool:
        """Whether the audio is encrypted now."""
        return self.session.encrypted

    def events(self) -> Feed[CallEvent]:
        """What happens in the call, in order; the iterator ends with the call."""
        return self._events

    def tell(self, kind: str, **facts: object) -> None:
        """Note that something happened."""
        self._events.put(CallEvent(kind, facts))

    def __repr__(self) -> str:
        direction = "from" if self.incoming else "to"
        return f"<Call {direction} {self.peer.identity} {self.state}>"

    # -- what its user can do --------------------------------------------------------------------------

    async def hang_up(self) -> None:
        """End the call, whatever its state; returns when it is over and its recording complete."""
        if self.state is CallState.ANSWERED:
            await self.hang_up_for(Ending("us", None, "we hung up"))
        await self.ended

    async def hold(self) -> None:
        """Put the peer on hold. Raises CallError when it refuses."""
        await renegotiation.reinvite(self, self.session.offer_hold)
        self.tell("hold")

    async def resume(self) -> None:
        """End our hold. Raises CallError when the peer refuses."""
        await renegotiation.reinvite(self, self.session.offer_resume)
        self.tell("resume")

    async def transfer(self, target: str | Call) -> None:
        """Connect the peer with somebody else: an address, or the peer of another call of ours (RFC 5589).

        Returns when they are connected, and this call is over.

        Raises:
            CallError: the peer will not, or the other one did not answer; the call goes on.
            LocalError: the address is none.
        """
        await transfer.transfer(self, target)

    async def send_digits(self, keys: str) -> None:
        """Press keys, as RTP events (RFC 4733), or by INFO where the peer has no such events.

        Raises:
            LocalError: for what is no key.
            CallError: when the peer takes neither.
        """
        stream = self.session.agreed
        if stream is not None and any(item.encoding.lower() == "telephone-event" for item in stream.send):
            self.audio.press(keys)
            return
        for key in keys:
            body, content_type = write_signal(key)
            await self.ask("INFO", body=body, content_type=content_type)

    async def send_text(self, text: str) -> None:
        """Send a text within the call. Raises CallError when the peer does not take it."""
        await self.ask("MESSAGE", body=text.encode(), content_type="text/plain; charset=utf-8")

    # -- requests of ours in the dialog ----------------------------------------------------------------

    async def ask(
        self,
        method: str,
        *,
        body: bytes = b"",
        content_type: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> Response:
        """Send a request in the dialog, and give its 2xx.

        Raises:
            CallError: any other answer, or none.
        """
        request = self.new_request(method, headers)
        if body:
            request.set_body(body, content_type)
        response = await self.run(request)
        if response.status // 100 != 2:
            failed = RequestFailed.from_response(response)
            raise CallError(failed.status, failed.reason, response)
        return response

    def new_request(self, method: str, headers: Iterable[tuple[str, str]] = ()) -> Request:
        """A request in the dialog, without Via and Contact. Raises CallError when there is no dialog any more."""
        if self.dialog is None or self.state is CallState.ENDED:
            raise CallError(
                481, "the call is over" if self.state is CallState.ENDED else "nobody has answered yet"
            )
        try:
            request = self.dialog.request(method)
        except LocalError as error:  # another INVITE is in progress, or the dialog has just ended
            raise CallError(491, str(error)) from None
        request.headers.add("User-Agent", self.desk.account.user_agent)
        if method in {"INVITE", "UPDATE"}:
            request.headers.add("Allow", ALLOW)
            request.headers.add("Supported", SUPPORTED)
        for name, value in headers:
            request.headers.add(name, value)
        return request

    async def run(self, request: Request, heard: Heard | None = None) -> Response:
        """Send a request of the dialog and give its final response, whatever that is.

        Raises:
            CallError: when none came.
        """
        dialog = self.dialog
        assert dialog is not None  # the request was made from it
        invite = request.method == "INVITE"

        def next_cseq() -> int:
            number = dialog.next_cseq()
            if invite:
                dialog.invite_cseq = number
            return number

        def prepare(request: Request, flow: Flow) -> None:
            if request.method in {"INVITE", "UPDATE", "REFER", "NOTIFY"}:
                request.headers.set("Contact", self.desk.contact(flow, secure=dialog.secure))
            self.protect(request)

        hop = self.desk.hop_in(dialog, by_home=self.by_home)
        exchange = self.desk.exchange(request, hop, prepare=prepare, heard=heard, next_cseq=next_cseq)
        exchange.grows = self.protects(request)
        try:
            response = self.opened(await exchange.run())
            dialog.heard(response)
        except RequestFailed as error:
            dialog.failed(request.method)
            self._lost(request, error.status, error.reason)
            raise CallError(error.status, error.reason, error.response) from None
        except PeerError as error:
            raise CallError(500, f"the answer is malformed: {error}") from None
        self._lost(request, response.status, response.reason)
        return response

    def _lost(self, request: Request, status: int, reason: str) -> None:
        """RFC 3261 section 12.2.1.2: a 408 or 481 means that the dialog is gone at the other end."""
        if status in (408, 481) and request.method != "BYE":
            self.end(Ending("network", status, reason))

    # -- requests of the peer --------------------------------------------------------------------------

    def receive(self, request: Request, transaction: ServerTransaction) -> Work | None:
        """Take a request of the peer. Raises PeerError when it is not acceptable."""
        take = IN_DIALOG.get(request.method)
        if take is None:
            raise PeerError(405, f"{request.method} has no place in a call")
        dialog = self.dialogs[request.from_.tag or ""]
        refused = dialog.judge(request)
        if refused is not None and refused.retry_after:
            wait = random.randint(0, MAX_RETRY_AFTER)  # noqa: S311  RFC 3261 section 14.2 wants it at random
            self.desk.respond(transaction, 500, headers=[("Retry-After", str(wait))])
            return None
        dialog.receive(request)
        self.note_peer(request)
        work = take(self, request, transaction)
        return None if work is None else self._guarded(request, transaction, work)

    async def _guarded(self, request: Request, transaction: ServerTransaction, work: Work) -> None:
        try:
            await work
        except PeerError as error:
            self.refuse(request, transaction, error)

    def refuse(self, request: Request, transaction: ServerTransaction, error: PeerError) -> None:
        """Answer a request of the peer that is not acceptable; the call is as before."""
        if not transaction.answered:
            self.reply(request, transaction, refusal(request, error))

    def reply(self, request: Request, transaction: ServerTransaction, response: Response) -> None:
        """Answer a request of the peer."""
        self.dialogs[request.from_.tag or ""].answered(request, response)
        self.desk.driver.respond(transaction, response)

    def note_peer(self, message: Message) -> None:
        """Remember what the peer says that it can do."""
        if "Allow" in message.headers:
            with contextlib.suppress(PeerError):
                self.peer_methods = frozenset(message.headers.every(ALLOW_FIELD))

    def acknowledged(self, ack: Request) -> None:
        """The peer has our 2xx."""
        self.dialogs[ack.from_.tag or ""].receive(ack)
        if self.accepting is not None:
            self.accepting.received(ack)

    def receive_prack(self, _prack: Request) -> None:
        """A PRACK; only an incoming call that rings reliably expects one. Raises PeerError 481."""
        raise PeerError(481, "no reliable response waits")

    def accept(
        self, request: Request, transaction: ServerTransaction, response: Response, *, offered: bool
    ) -> Accepting:
        """Answer an INVITE with this 2xx until it is acknowledged. ``offered``: the answer comes in the ACK."""
        self.dialogs[request.from_.tag or ""].answered(request, response)
        self.accepting = Accepting(self.desk, transaction, response)
        self.desk.spawn(self._await_ack(self.accepting, offered=offered))
        return self.accepting

    async def _await_ack(self, accepting: Accepting, *, offered: bool) -> None:
        ack = await accepting.acknowledged
        if self.accepting is accepting:
            self.accepting = None
        if self.state is not CallState.ANSWERED:
            return
        if ack is None:
            if self.dialog is not None:
                self.dialog.unacknowledged()
            # RFC 3261 section 13.3.1.4: "the dialog is confirmed, but the session SHOULD be terminated".
            await self.hang_up_for(Ending("network", 408, "our answer was never acknowledged"))
            return
        self.rearm()
        if not offered:
            return
        try:
            answer = sdp_of(ack)
            if answer is None:
                raise PeerError(400, "the ACK has no session description")
            await self.session.receive_answer(answer)
        except PeerError as error:
            await self.hang_up_for(Ending("us", error.status, error.reason))

    # -- changes of state ------------------------------------------------------------------------------

    def adopt(self, dialog: Dialog) -> None:
        """Requests of this dialog are for this call."""
        self.desk.live.add(self)
        self.dialogs[dialog.remote_tag] = dialog
        self.desk.calls[dialog.id] = self

    def establish(self) -> None:
        """The call is answered."""
        if self.state is CallState.ENDED:
            return
        self.state = CallState.ANSWERED
        try:
            self.session.start()
        except LocalError as error:
            self.tell("fault", reason=str(error))
        self._keys = asyncio.get_running_loop().create_task(self._hear_keys())
        self.rearm()
        self.tell("answered", peer=self.peer.identity, evidence=self.peer.evidence, encrypted=self.encrypted)
        if not self._answered.done():
            self._answered.set_result(None)

    async def _hear_keys(self) -> None:
        while True:
            self.tell("key", key=await self.audio.next_key())

    def rearm(self) -> None:
        """Start the session timer anew, after each refresh by either side (RFC 4028 section 10)."""
        if self._refresh is not None:
            self._refresh.cancel()
            self._refresh = None
        delay = self.timer.delay()
        if delay is not None and self.state is CallState.ANSWERED:
            work = renegotiation.refresh if self.timer.refreshing else Call._expire
            self._refresh = asyncio.get_running_loop().call_later(delay, lambda: self.desk.spawn(work(self)))

    async def _expire(self) -> None:
        await self.hang_up_for(Ending("network", 408, "the peer has not refreshed the session"))

    async def hang_up_for(self, ending: Ending) -> None:
        """Send BYE and end the call, for this reason."""
        accepting = self.accepting
        if accepting is not None:
            # RFC 3261 section 15: no BYE before the ACK for our 2xx has come, or is not going to.
            await asyncio.shield(accepting.acknowledged)
        if self.dialog is None or self.state is CallState.ENDED:
            return
        bye = self.new_request("BYE")
        self.end(ending)
        with contextlib.suppress(CallError, TimeoutError):
            async with asyncio.timeout(GOODBYE_TIME):
                await self.run(bye)

    def end(self, ending: Ending, error: CallError | None = None) -> None:
        """The call is over. ``error`` is what whoever waits for the answer hears."""
        if self.state is CallState.ENDED:
            return
        self.state = CallState.ENDED
        self.desk.live.discard(self)
        for dialog in self.dialogs.values():
            self.desk.calls.pop(dialog.id, None)
        if self._refresh is not None:
            self._refresh.cancel()
        if self._keys is not None:
            self._keys.cancel()
        self.transfers.abandon(CallError(481, "the call is over"))
        if not self._answered.done():
            self._answered.set_exception(error or CallError(ending.status or 487, ending.reason))
        self.desk.spawn(self._close(ending))

    async def _close(self, ending: Ending) -> None:
        try:
            await self.session.close()
        except LocalError as error:
            self.tell("fault", reason=str(error))
        finally:
            self.tell("ended", by=ending.by, status=ending.status, reason=ending.reason)
            self._events.close()
            self._ended.set_result(ending)
