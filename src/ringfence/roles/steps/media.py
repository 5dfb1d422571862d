"""Media that are led through our relay (`roles.anchors`). What it costs a call that needs none is one look."""

from __future__ import annotations

from typing import Final

from ringfence.roles.call import Call
from ringfence.roles.pipeline import CONTINUE, Verdict

METHODS: Final = frozenset({"INVITE", "ACK", "PRACK", "UPDATE", "BYE"})
"""What carries descriptions, and what ends a call."""


def anchor_media(call: Call) -> Verdict:
    """See that the descriptions of a call pass the media plane, where its media need the relay."""
    anchors = call.services.anchors
    if anchors is not None and call.request.method in METHODS:
        call.media = anchors.of(call)
    return CONTINUE
