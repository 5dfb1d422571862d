"""Requests that the domain itself answers (RFC 3261 section 11, 16.3 step 3)."""

from __future__ import annotations

from typing import Final

from ringfence.message.fields import MAX_FORWARDS, REQUIRE
from ringfence.roles.call import Call
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict

METHODS = "INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER, PRACK, UPDATE, INFO, MESSAGE, SUBSCRIBE, NOTIFY, REFER, PUBLISH"
EXTENSIONS: Final = "path, outbound, gruu"

CAPABILITIES = (
    ("Allow", METHODS),
    ("Supported", EXTENSIONS),
    ("Accept", "application/sdp, */*"),
    ("Accept-Encoding", "identity"),
    ("Accept-Language", "en"),
)
"""RFC 3261 section 11.2: what a 200 to OPTIONS should tell. Bodies pass unread, so all of them are accepted."""


def answer_for_domain(call: Call) -> Verdict:
    """OPTIONS to the domain, or out of hops, gets what we can do; other methods have nobody to go to."""
    if not call.findings.for_us:
        return CONTINUE
    method = call.request.method
    if method == "OPTIONS" and (call.uri.user is None or call.request.headers.first(MAX_FORWARDS) == 0):
        unknown = unknown_extensions(call)
        return unknown if unknown is not None else Answer(200, headers=CAPABILITIES)
    if method == "REGISTER" or call.uri.user is not None:
        return CONTINUE
    return Answer(404, "Not Found (the domain itself takes no such request)")


KNOWN_EXTENSIONS = frozenset({"path", "outbound", "gruu"})
"""Option tags that a request to the domain itself, or to its registrar, may require."""


def unknown_extensions(call: Call) -> Answer | None:
    """The 420 for a request that requires of us what we do not know (RFC 3261 section 8.2.2.3), or None."""
    if not call.request.headers.has("Require"):
        return None
    unknown = [
        option for option in call.request.headers.every(REQUIRE) if option.lower() not in KNOWN_EXTENSIONS
    ]
    return Answer(420, headers=(("Unsupported", ", ".join(unknown)),)) if unknown else None
