"""Text messages outside calls (MESSAGE, RFC 3428)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ringfence.client.body import text_of
from ringfence.client.desk import Desk
from ringfence.client.errors import MessageError, RequestFailed
from ringfence.client.peer import Peer, caller
from ringfence.client.protection import NOTHING, Protection, Wish
from ringfence.client.secure import judged
from ringfence.message import LocalError, Request, Response
from ringfence.transport.flow import Flow

MAX_MESSAGE = 1_300
"""Octets of a MESSAGE where any hop may be UDP (RFC 3428 section 8). With ``sips:`` all are TLS."""


class Text(NamedTuple):
    """A message that somebody sent us."""

    peer: Peer
    text: str
    content_type: str
    subject: str = ""


async def send_text(
    desk: Desk,
    to: str,
    text: str,
    *,
    content_type: str = "text/plain; charset=utf-8",
    wish: Wish = NOTHING,
    headers: Iterable[tuple[str, str]] = (),
) -> None:
    """Send a text; returns when the other side has it, or a server that will pass it on.

    Raises:
        MessageError: with the answer that was not 2xx.
        LocalError: when the address is none, the text too long for it, or somebody's certificate has changed.
    """
    uri = desk.target(to)
    request = desk.request("MESSAGE", uri, headers)
    request.set_body(text.encode(), content_type)
    if len(request.to_bytes()) > MAX_MESSAGE and not uri.secure:
        raise LocalError(
            f"a text of {len(request.body)} octets can only be sent to a sips: address (RFC 3428 section 8)"
        )
    response = await _send(desk, request, wish)
    if response.status == 493 and wish.encrypt and desk.secure.learn(response, uri):
        response = await _send(
            desk, desk.again(request), wish
        )  # it has told us the certificate that it can read
    if response.status // 100 != 2:
        failed = RequestFailed.from_response(response)
        raise MessageError(failed.status, failed.reason, response)


async def _send(desk: Desk, request: Request, wish: Wish) -> Response:
    def prepare(sent: Request, _flow: Flow) -> None:
        if wish != NOTHING:
            desk.secure.protect(sent, wish)

    exchange = desk.exchange(request, prepare=prepare)
    exchange.grows = wish != NOTHING
    try:
        return await exchange.run()
    except RequestFailed as error:
        raise MessageError(error.status, error.reason, error.response) from None


def read_text(desk: Desk, request: Request, flow: Flow, protection: Protection | None = None) -> Text:
    """What a MESSAGE says. Raises PeerError when its body is malformed."""
    content_type, text = text_of(request)
    peer = judged(caller(request, trusted=desk.trusted(flow)), protection)
    return Text(peer, text, content_type, request.headers.get("Subject") or "")
