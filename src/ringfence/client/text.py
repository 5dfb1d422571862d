"""Text messages outside calls (MESSAGE, RFC 3428)."""

from __future__ import annotations

from typing import NamedTuple

from ringfence.client.body import text_of
from ringfence.client.desk import Desk
from ringfence.client.errors import MessageError, RequestFailed
from ringfence.client.peer import Peer, caller
from ringfence.message import Request
from ringfence.transport.flow import Flow

MAX_TEXT = 1_300
"""Octets of a text: a MESSAGE outside a session must not be larger than that in all where a hop may be UDP (RFC 3428
section 8)."""


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
        LocalError: when the address is none.
    """
    request = desk.request("MESSAGE", desk.target(to))
    request.set_body(text.encode(), content_type)
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
