"""Requests that the domain itself answers (RFC 3261 section 11, 16.3 step 3)."""

from __future__ import annotations

from ringfence.roles.call import Call
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict

METHODS = "INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER, PRACK, UPDATE, INFO, MESSAGE, SUBSCRIBE, NOTIFY, REFER, PUBLISH"
EXTENSIONS = "path, outbound, gruu"


def answer_for_domain(call: Call) -> Verdict:
    """OPTIONS to the domain, or out of hops, gets what we can do; other methods have nobody to go to."""
    if not call.findings.for_us:
        return CONTINUE
    method = call.request.method
    if method == "OPTIONS" and (call.uri.user is None or call.request.headers.get("Max-Forwards") == "0"):
        return Answer(
            200, headers=(("Allow", METHODS), ("Supported", EXTENSIONS), ("Accept", "application/sdp, */*"))
        )
    if method == "REGISTER" or call.uri.user is not None:
        return CONTINUE
    return Answer(404, "Not Found (the domain itself takes no such request)")
