"""Connected identity (RFC 4916): who is at the other end now, when the From changes inside a dialog.

Responses can't be signed by RFC 8224. Instead the callee sends a request back (UPDATE or re-INVITE) with its own
From, which its domain signs like any other. So the identity of an answer is the proven From of that request.
"""

from __future__ import annotations

from typing import NamedTuple

from ringfence.message.fields import SUPPORTED
from ringfence.message.headers import Headers
from ringfence.message.message import Request
from ringfence.security.canonical import NO_PLAN, NumberPlan, Party, identity_of
from ringfence.security.verification import Verdict

FROM_CHANGE = "from-change"
"""The option tag that says that a UA understands a changed From (RFC 4916 section 4.1)."""

NO_IDENTITY_ANSWERS = frozenset({428, 436, 437, 438})
"""Answers to a mid-dialog request that end only that request: the dialog goes on (RFC 4916 section 4.4.1)."""


class Connected(NamedTuple):
    """Who sent a request inside a dialog, whether that is somebody new, and whether it is proven."""

    party: Party
    changed: bool
    proven: bool
    evidence: str


def takes_from_change(headers: Headers) -> bool:
    """Whether the sender of a message understands that the From may change inside the dialog."""
    return any(str(option).lower() == FROM_CHANGE for option in headers.every(SUPPORTED))


def connected_identity(
    request: Request, known: Party, verdict: Verdict | None = None, plan: NumberPlan = NO_PLAN
) -> Connected:
    """Who is at the other end, by a request inside the dialog (RFC 4916 section 4.4.2).

    ``known`` is the identity of the peer so far: its From, or the To of the INVITE that it was called by.
    ``verdict`` is what its Identity header fields prove. The remote URI of the dialog follows only a request
    that is answered with a 2xx; that is the dialog's business.

    Raises:
        PeerError: 400 when the From is malformed.
    """
    party = identity_of(request.from_.uri, plan)
    proven = verdict is not None and verdict.who == party
    return Connected(party, party != known, proven, verdict.evidence if verdict is not None else "unsigned")
