"""What the peer may send in a call, and where each of it goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ringfence.client.body import text_of
from ringfence.client.desk import ALLOW, SUPPORTED
from ringfence.client.digits import read_signal
from ringfence.client.renegotiation import receive_invite, receive_update
from ringfence.client.states import Ending, reason_of
from ringfence.client.transfer import receive_notify, receive_refer
from ringfence.engine.machine import ServerTransaction
from ringfence.message import PeerError, Request
from ringfence.transport.driver import Work

if TYPE_CHECKING:
    from ringfence.client.call import Call


def receive_bye(call: Call, request: Request, transaction: ServerTransaction) -> Work | None:
    """The peer hangs up (RFC 3261 section 15.1.2)."""
    call.desk.respond(transaction, 200)
    call.end(Ending("peer", None, reason_of(request, "the peer hung up")))
    return None


def receive_prack(call: Call, request: Request, transaction: ServerTransaction) -> Work | None:
    """The peer has a reliable response of ours (RFC 3262 section 3). Raises PeerError 481 when there is none."""
    call.receive_prack(request)
    call.desk.respond(transaction, 200)
    return None


def receive_info(call: Call, request: Request, transaction: ServerTransaction) -> Work | None:
    """A key press in a body. Raises PeerError 469 for an info package (RFC 6086 section 4.2.2)."""
    if "Info-Package" in request.headers:
        raise PeerError(469, "no info packages are supported")
    key = read_signal(request)
    call.desk.respond(transaction, 200)
    if key is not None:
        call.tell("key", key=key)
    return None


def receive_message(call: Call, request: Request, transaction: ServerTransaction) -> Work | None:
    """A text within the call (RFC 3428 section 4 allows it)."""
    content_type, text = text_of(request)
    call.desk.respond(transaction, 200)
    call.tell("text", text=text, content_type=content_type)
    return None


def receive_options(call: Call, _request: Request, transaction: ServerTransaction) -> Work | None:
    """The peer asks whether we are still there (RFC 3261 section 11)."""
    call.desk.respond(transaction, 200, headers=[("Allow", ALLOW), ("Supported", SUPPORTED)])
    return None


IN_DIALOG: dict[str, Callable[[Call, Request, ServerTransaction], Work | None]] = {
    "INVITE": receive_invite,
    "UPDATE": receive_update,
    "BYE": receive_bye,
    "PRACK": receive_prack,
    "INFO": receive_info,
    "MESSAGE": receive_message,
    "OPTIONS": receive_options,
    "REFER": receive_refer,
    "NOTIFY": receive_notify,
}
"""An ACK is not here, since it has no answer, nor is a CANCEL, which belongs to no dialog."""
