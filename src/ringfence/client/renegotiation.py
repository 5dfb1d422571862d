"""Changes to a call that is up: re-INVITE and UPDATE, either way (RFC 3261 section 14, RFC 3311, RFC 4028).

Each exchange of offer and answer is atomic: one that fails leaves the call as it was. When both sides begin one
at a time, both answer 491, and try again after waits that differ (section 14.1).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from ringfence.client.acks import Acknowledging
from ringfence.client.body import SDP, sdp_of
from ringfence.client.connected import introduce_ourselves, note_identity
from ringfence.client.desk import ALLOW, SUPPORTED
from ringfence.client.errors import CallError, RequestFailed
from ringfence.client.states import Ending
from ringfence.engine.dialog import MAX_RETRY_AFTER
from ringfence.engine.machine import ServerTransaction
from ringfence.message import LocalError, PeerError, Request, Response, response_to
from ringfence.message.fields import RETRY_AFTER
from ringfence.transport.driver import Work

if TYPE_CHECKING:
    from ringfence.client.call import Call

MAX_TRIES = 4
"""Of one change, when 491 or 422 asks for another: more would be two phones that never agree."""

USUAL_T1 = 0.5
"""Seconds; the waits after a 491 are meant for it."""


# -- ours ----------------------------------------------------------------------------------------------


async def reinvite(call: Call, offer: Callable[[], bytes]) -> None:
    """Change the session by re-INVITE. ``offer`` makes the offer, anew for each try.

    Raises:
        CallError: the peer refused; the session is as before.
    """
    async with call.changing:
        for number in range(MAX_TRIES):
            last = number == MAX_TRIES - 1
            if call.accepting is not None:  # a change of the peer's is about to be complete
                await asyncio.shield(call.accepting.acknowledged)
            try:
                response = await _offer(call, offer)
            except CallError as error:
                if last or error.status != 491 or error.response is not None:
                    raise
                await _wait(call)  # the peer was faster
                continue
            if response.status // 100 == 2:
                return
            if last or not await _may_try_again(call, response):
                failed = RequestFailed.from_response(response)
                raise CallError(failed.status, failed.reason, response)


async def _offer(call: Call, offer: Callable[[], bytes]) -> Response:
    """One re-INVITE with its ACK, and what the answer in it changes."""
    request = call.new_request("INVITE")
    call.timer.ask(request.headers)
    try:
        request.set_body(offer(), SDP)
    except LocalError as error:
        raise CallError(491, str(error)) from None  # the peer's own change is under way
    acknowledging: Acknowledging | None = None

    def heard(response: Response, sent: Request) -> None:
        nonlocal acknowledging
        if response.status < 200 or call.dialog is None:
            return
        if acknowledging is None:
            call.dialog.heard(response)
            acknowledging = Acknowledging(call.desk, call.dialog, sent, by_home=call.by_home)
        acknowledging.send()

    try:
        response = await call.run(request, heard)
        if response.status // 100 == 2:
            await _take_answer(call, response)
        return response
    finally:
        call.session.abandon()  # nothing to do when it was answered


async def _take_answer(call: Call, response: Response) -> None:
    try:
        call.note_peer(response)
        call.timer.answered(response)
        call.rearm()
        answer = sdp_of(response)
        if answer is None:
            raise PeerError(488, "the answer has no session description")
        await call.session.receive_answer(answer)
    except PeerError as error:
        # RFC 3261 section 14.1 has no way to refuse a 2xx but to end the call.
        call.desk.spawn(call.hang_up_for(Ending("us", error.status, error.reason)))
        raise CallError(error.status, error.reason, response) from None


async def _may_try_again(call: Call, response: Response) -> bool:
    if response.status == 422:
        return call.timer.too_brief(response)
    if response.status == 500:  # its ACK has not come there yet, say (RFC 3261 section 14.2)
        later = response.headers.first(RETRY_AFTER)
        if later is None or later.seconds > MAX_RETRY_AFTER:
            return False
        await asyncio.sleep(later.seconds)
        return True
    if response.status != 491:
        return False
    await _wait(call)
    return True


async def _wait(call: Call) -> None:
    """Let the change that is under way end, or the peer try first (RFC 3261 section 14.1)."""
    low, high = call.dialog.glare_wait if call.dialog is not None else (0.0, 0.0)
    scale = call.desk.line.timers.t1 / USUAL_T1
    await asyncio.sleep(random.uniform(low, high) * scale)  # noqa: S311  it only has to differ from the peer's


async def refresh(call: Call) -> None:
    """Keep the session alive (RFC 4028 section 10). A failure that is not the end of the call is left to its timer."""
    try:
        if "UPDATE" in call.peer_methods:
            await update(call)
            call.tell("refreshed")
        else:
            await reinvite(call, call.session.offer_again)
    except CallError as error:
        call.tell("fault", reason=f"the session could not be refreshed: {error}")


async def update(call: Call) -> None:
    """An UPDATE that changes nothing of the session: it keeps it alive, and says who we are (RFC 4916).

    Raises:
        CallError: the peer refused.
    """
    async with call.changing:
        for _ in range(MAX_TRIES):
            request = call.new_request("UPDATE")
            call.timer.ask(request.headers)
            response = await call.run(request)
            if response.status // 100 == 2:
                call.timer.answered(response)
                call.rearm()
                return
            if not await _may_try_again(call, response):
                raise CallError(response.status, response.reason, response)


async def announce(call: Call) -> None:
    """Tell the caller who has answered (RFC 4916). What comes of it changes nothing in the call (section 4.4.1)."""
    introduce_ourselves(call)
    with contextlib.suppress(CallError):
        await update(call)


# -- the peer's ----------------------------------------------------------------------------------------


def receive_invite(call: Call, request: Request, transaction: ServerTransaction) -> Work | None:
    """A re-INVITE (RFC 3261 section 14.2).

    That no other INVITE is in progress, the dialog has checked.

    Raises:
        PeerError: 422 for a session interval that is too short.
    """
    call.timer.check(request)
    return _accept(call, request, transaction)


async def _accept(call: Call, request: Request, transaction: ServerTransaction) -> None:
    was_held = call.session.held
    offer = sdp_of(request)
    if offer is None:
        body = _our_offer(call)
    else:
        body = await call.session.receive_offer(offer)
    response = response_to(request, 200)
    response.headers.add("Contact", call.desk.contact(call.desk.flow_of(transaction), secure=_secure(call)))
    response.headers.add("Allow", ALLOW)
    response.headers.add("Supported", SUPPORTED)
    call.timer.answer(request, response.headers)
    response.set_body(body, SDP)
    call.protect(response, request)
    call.accept(request, transaction, response, offered=offer is None)
    note_identity(call, request, call.desk.flow_of(transaction))
    _tell_hold(call, was_held)


def _our_offer(call: Call) -> bytes:
    """What a re-INVITE without SDP is answered with. Raises PeerError 491 while an offer of ours waits."""
    try:
        return call.session.offer_again()
    except LocalError as error:
        raise PeerError(491, str(error)) from None


def receive_update(call: Call, request: Request, transaction: ServerTransaction) -> Work | None:
    """An UPDATE: with an offer a change, without one a refresh (RFC 3311 section 5.2).

    Raises:
        PeerError: 422 for a session interval that is too short.
    """
    call.timer.check(request)
    return _update_accepted(call, request, transaction)


async def _update_accepted(call: Call, request: Request, transaction: ServerTransaction) -> None:
    was_held = call.session.held
    offer = sdp_of(request)
    response = response_to(request, 200)
    if offer is not None:
        if call.session.agreed is None:
            # Section 5.2: an offer before the first one is answered is put off, with a Retry-After at random.
            later = response_to(request, 500)
            later.headers.add("Retry-After", random.randint(0, MAX_RETRY_AFTER))  # noqa: S311
            call.reply(request, transaction, later)
            return
        response.set_body(await call.session.receive_offer(offer), SDP)
    response.headers.add("Contact", call.desk.contact(call.desk.flow_of(transaction), secure=_secure(call)))
    response.headers.add("Allow", ALLOW)
    call.timer.answer(request, response.headers)
    call.protect(response, request)
    call.reply(request, transaction, response)
    note_identity(call, request, call.desk.flow_of(transaction))
    call.rearm()
    _tell_hold(call, was_held)


def _secure(call: Call) -> bool:
    return call.dialog is not None and call.dialog.secure


def _tell_hold(call: Call, was_held: bool) -> None:
    if call.session.held != was_held:
        call.tell("held" if call.session.held else "resumed")
