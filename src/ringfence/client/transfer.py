"""Handing a call on: REFER and the NOTIFYs that tell how it went (RFC 3515, RFC 5589), both sides of it.

Whoever may make us call anybody may have us pay for it, so REFER is declined unless the agent was told to accept
transfers. Of the header fields that a Refer-To may carry only Replaces is taken (RFC 3261 section 19.1.5).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

from ringfence.client.errors import CallError, RequestFailed
from ringfence.client.introduction import introduce
from ringfence.engine.machine import ServerTransaction
from ringfence.message import LocalError, Message, PeerError, Request, SipUri, sip_uri
from ringfence.message.fields import EVENT, REFER_SUB, REFER_TO, REFERRED_BY, SUBSCRIPTION_STATE
from ringfence.message.sipfrag import StatusLine, parse_fragment
from ringfence.transport.driver import Work

if TYPE_CHECKING:
    from ringfence.client.call import Call

TRANSFER_TIME = 180.0
"""Seconds that a transferred phone may ring before we stop waiting to hear: Timer C of a proxy (RFC 3261 16.6)."""

FRAGMENT = "message/sipfrag;version=2.0"

# hnv-unreserved of RFC 3261 section 25.1; what else stands in a header value of a URI is escaped.
_UNRESERVED = "-_.!~*'()[]/?:+$"


class Transfers:
    """The REFERs of ours in one call whose outcome has not been told yet, by the CSeq of each."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[StatusLine]] = {}

    def expect(self, number: int) -> asyncio.Future[StatusLine]:
        """Wait for the outcome of this REFER."""
        outcome: asyncio.Future[StatusLine] = asyncio.get_running_loop().create_future()
        self._waiting[number] = outcome
        outcome.add_done_callback(lambda _: self._waiting.pop(number, None))
        return outcome

    def find(self, event_id: str | None) -> asyncio.Future[StatusLine] | None:
        """The one that a NOTIFY is about (RFC 3515 section 2.4.6). Of one alone no ``id`` is asked.

        The first of a call may go without, and a challenge gave a REFER another CSeq than it had at first.
        """
        if len(self._waiting) == 1:
            return next(iter(self._waiting.values()))
        return (
            self._waiting.get(int(event_id))
            if event_id and event_id.isdecimal() and len(event_id) < 11
            else None
        )

    def abandon(self, error: CallError) -> None:
        """Nothing more will be heard."""
        for outcome in list(self._waiting.values()):
            if not outcome.done():
                outcome.set_exception(error)


# -- we hand our peer on -------------------------------------------------------------------------------


async def transfer(call: Call, target: str | Call) -> None:
    """See ``Call.transfer``."""
    refer_to = _address_of(target) if not isinstance(target, str) else f"<{call.desk.target(target)}>"
    headers = [("Refer-To", refer_to), ("Referred-By", f"<{call.desk.account.aor}>")]
    request = call.new_request("REFER", headers)
    outcome = call.transfers.expect(request.cseq.number)
    try:
        response = await call.run(request)
        if response.status // 100 != 2:
            failed = RequestFailed.from_response(response)
            raise CallError(failed.status, failed.reason, response)
        if _without_notify(response):
            await call.hang_up()
            return
        async with asyncio.timeout(TRANSFER_TIME):
            status = await outcome
    except TimeoutError:
        raise CallError(408, "the peer does not tell how the transfer went") from None
    except PeerError as error:
        raise CallError(500, f"the answer to REFER is malformed: {error.reason}") from None
    finally:
        outcome.cancel()
    if status.status // 100 != 2:
        raise CallError(status.status, status.reason)
    await call.hang_up()


def _address_of(other: Call) -> str:
    """The peer of another call, to be called in its place there (RFC 5589 section 7, RFC 3891).

    A Contact behind its own server can only be called by that server, so its address is given instead, unless
    it has a GRUU: the server asks all its phones, and only the one that has the dialog takes the call.
    """
    dialog = other.dialog
    if dialog is None:
        raise LocalError("the other call has not been answered")
    uri = sip_uri(dialog.remote_target)
    if other.by_home and "gr" not in uri.params:
        uri = dialog.remote_uri.sip
    replaces = f"{dialog.call_id};to-tag={dialog.remote_tag};from-tag={dialog.local_tag}"
    return f"<{uri.replace(headers='Replaces=' + quote(replaces, safe=_UNRESERVED))}>"


def receive_notify(call: Call, request: Request, transaction: ServerTransaction) -> Work | None:
    """How a transfer of ours goes.

    Raises:
        PeerError: 489 for another event, 481 for a REFER that we have not sent, 400 for a malformed report.
    """
    event = request.headers.only(EVENT)
    if event.package != "refer":
        raise PeerError(489, f"the event {event.package} was not asked for", header="Event")
    state = request.headers.only(SUBSCRIPTION_STATE)
    outcome = call.transfers.find(event.id)
    if outcome is None:
        raise PeerError(481, "no transfer waits for this")
    start = parse_fragment(request.body).start
    if not isinstance(start, StatusLine):
        raise PeerError(400, "the report has no status line")
    call.desk.respond(transaction, 200)
    call.tell("transfer", status=start.status, reason=start.reason)
    if not outcome.done():
        if start.status >= 200:
            outcome.set_result(start)
        elif state.state == "terminated":
            outcome.set_exception(CallError(500, "the peer stopped telling how the transfer goes"))
    return None


# -- our peer hands us on ------------------------------------------------------------------------------


def receive_refer(call: Call, request: Request, transaction: ServerTransaction) -> Work | None:
    """We are asked to call somebody else.

    Raises:
        PeerError: 603 where transfers are not accepted, 400 or 416 for what can't be called.
    """
    target = request.headers.only(REFER_TO).sip
    if not call.desk.accept_transfers:
        raise PeerError(603, "transfers are not accepted")
    if (target.params.get("method") or "INVITE").upper() != "INVITE":
        raise PeerError(603, "only calls are taken up")
    quiet = _without_notify(request)
    contact = call.desk.contact(
        call.desk.flow_of(transaction), secure=call.dialog is not None and call.dialog.secure
    )
    headers = [("Contact", contact), *([("Refer-Sub", "false")] if quiet else [])]
    number, referrer = request.cseq.number, request.headers.get("Referred-By")
    call.desk.respond(transaction, 202, headers=headers)
    call.desk.spawn(_follow(call, target, referrer, None if quiet else number))
    return None


async def _follow(call: Call, target: SipUri, referrer: str | None, number: int | None) -> None:
    """Call the target, and tell the peer how that goes."""
    tell = _reporter(call, number)
    replaces = next((value for name, value in target.header_items() if name.lower() == "replaces"), None)
    headers = [(name, value) for name, value in (("Replaces", replaces), ("Referred-By", referrer)) if value]
    uri = target.replace(headers="", params=target.params.without("method"))
    await tell(StatusLine(100, "Trying"))
    try:
        # Never less protected than the call that it comes from: better no call than one that its users think private.
        wish = await introduce(call.desk, call.wish, uri)
        successor = await call.desk.place(uri, call.session.media.again(), headers, wish)
        call.successor = successor
        call.tell("transferred", to=str(uri))
        await successor.answered
    except RequestFailed as error:
        await tell(StatusLine(error.status, error.reason))
    except LocalError as error:
        call.tell("warning", reason=f"{uri} is not called: {error}")
        await tell(StatusLine(400, str(error)))
    else:
        await tell(StatusLine(200, "OK"))


def _reporter(call: Call, number: int | None) -> Callable[[StatusLine], Work]:
    """What sends the NOTIFYs about one REFER (RFC 3515 section 2.4.4)."""

    async def tell(status: StatusLine) -> None:
        if number is None:
            return
        state = "active;expires=180" if status.status < 200 else "terminated;reason=noresource"
        headers = [("Event", f"refer;id={number}"), ("Subscription-State", state)]
        with contextlib.suppress(CallError):  # the peer has gone, or does not care: the transfer goes on
            await call.ask("NOTIFY", body=f"{status}\r\n".encode(), content_type=FRAGMENT, headers=headers)

    return tell


def _without_notify(message: Message) -> bool:
    """RFC 4488: no NOTIFYs are wanted, or will come."""
    refer_sub = message.headers.first(REFER_SUB)
    return refer_sub is not None and refer_sub.value.lower() == "false"


def referred_by(request: Request) -> str | None:
    """Who had the peer call us, as it says (RFC 3892); not evidence of anything."""
    try:
        found = request.headers.first(REFERRED_BY)
    except PeerError:
        return None
    return str(found.uri) if found is not None else None
