"""Caller preferences: Accept-Contact, Reject-Contact, Request-Disposition (RFC 3841 section 10)."""

from __future__ import annotations

from typing import Final

from ringfence.message.errors import PeerError
from ringfence.message.fields.field import field
from ringfence.message.fields.valued import parse_star

DIRECTIVES = frozenset(
    {"proxy", "redirect", "cancel", "no-cancel", "fork", "no-fork", "recurse", "no-recurse", "parallel",
     "sequential", "queue", "no-queue"}
)  # fmt: skip


def parse_directive(text: str) -> str:
    """Read one directive of a Request-Disposition, in lower case.

    Raises:
        PeerError: 400 when it is none of those that RFC 3841 has.
    """
    directive = text.lower()
    if directive not in DIRECTIVES:
        raise PeerError(400, f"not a directive: {text[:40]!r}")
    return directive


ACCEPT_CONTACT: Final = field("Accept-Contact", parse_star, compact="a", many=True)
REJECT_CONTACT: Final = field("Reject-Contact", parse_star, compact="j", many=True)
REQUEST_DISPOSITION: Final = field("Request-Disposition", parse_directive, compact="d", many=True)
