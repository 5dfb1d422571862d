"""The words in which a call tells how it is doing."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from ringfence.message import PeerError, Request
from ringfence.message.fields import REASON


class CallState(StrEnum):
    """How far a call is."""

    CALLING = "calling"
    """Nobody has been told yet."""
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"


class Ending(NamedTuple):
    """How a call ended: by ``us``, the ``peer`` or the ``network``, with a status where there was one."""

    by: str
    status: int | None
    reason: str


class CallEvent(NamedTuple):
    """Something that happened in a call. ``kind`` is one word, ``facts`` are what there is to tell."""

    kind: str
    facts: Mapping[str, object]


def reason_of(request: Request, default: str) -> str:
    """Why the peer ends a call: the text of a Reason (RFC 3326), such as "Call completed elsewhere"."""
    try:
        reason = request.headers.first(REASON)
        return default if reason is None else reason.text or str(reason)
    except PeerError:
        return default
