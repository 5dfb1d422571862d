"""Text messages outside calls (MESSAGE, RFC 3428)."""

from __future__ import annotations

from typing import NamedTuple

from ringfence.client.body import text_of
from ringfence.client.desk import Desk
from ringfence.client.errors import MessageError, RequestFailed
from ringfence.client.peer import Peer, caller
from ringfence.message import LocalError, Request
from ringfence.transport.flow import Flow

MAX_MESSAGE = 1_300
"""Octets of a MESSAGE where any hop may be UDP (RFC 3428 section 8). With ``sips:`` all are TLS."""


class Text(NamedTuple):
    """A message that somebody sent us."""

    peer: Peer
    text: str
    content_type: str


async def send_text(
    desk: Desk, to: str, text: str, *, content_type: str = "text/plain; charset=utf-8"
) -> None:
    """Send a text; returns when the other side has it, or a server that will pass it on.

    Raises:
        MessageError: with the answer that was not 2xx.
        LocalError: when the address is none, or the text too long for it.
    """
    uri = desk.target(to)
    request = desk.request("MESSAGE", uri)
    request.set_body(text.encode(), content_type)
    if len(request.to_bytes()) > MAX_MESSAGE and not uri.secure:
        raise LocalError(
            f"a text of {len(request.body)} octets can only be sent to a sips: address (RFC 3428 section 8)"
        )
    try:
        response = await desk.exchange(request).run()
    except RequestFailed as error:
        raise MessageError(error.status, error.reason, error.response) from None
    if response.status // 100 != 2:
        failed = RequestFailed.from_response(response)
        raise MessageError(failed.status, failed.reason, response)


def read_text(desk: Desk, request: Request, flow: Flow) -> Text:
    """What a MESSAGE says. Raises PeerError when its body is malformed."""
    content_type, text = text_of(request)
    return Text(caller(request, trusted=desk.trusted(flow)), text, content_type)
