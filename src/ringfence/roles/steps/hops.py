"""Bounds on how far and how wide a request travels (RFC 3261 section 16.3 steps 3 and 4, RFC 5393)."""

from __future__ import annotations

from ringfence.message.fields import MAX_BREADTH, MAX_FORWARDS, VIA
from ringfence.roles.call import Call
from ringfence.roles.outgoing import loop_value
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict


def within_hops(call: Call) -> Verdict:
    """Max-Forwards (RFC 3261 section 16.3 step 3): at zero the request goes no further."""
    hops = call.request.headers.first(MAX_FORWARDS)
    if hops == 0 and not call.findings.for_us:
        return Answer(483)
    return CONTINUE


def not_looping(call: Call) -> Verdict:
    """Loop detection (RFC 3261 section 16.3 step 4, RFC 5393 section 4.2).

    A Via of ours whose branch ends with the hash that this request would get again means that it came back
    unchanged. One that came back changed is a spiral, and may go on.
    """
    vias = call.request.headers.every(VIA)
    if len(vias) < 2:
        return CONTINUE
    addresses = call.services.policy.addresses
    own = [via for via in vias if "." in via.branch and addresses.is_own_host(via.host)]
    if own:
        value = loop_value(call)
        if any(via.branch.rpartition(".")[2] == value for via in own):
            return Answer(482)
    return CONTINUE


def within_breadth(call: Call) -> Verdict:
    """Max-Breadth (RFC 5393 section 5.3): how many branches may exist at one time, shared among ours.

    The budget of the request is split over its targets; with less than one for each, 440.
    """
    budget = call.request.headers.first(MAX_BREADTH)
    limit = call.services.policy.max_breadth
    if budget is None and len(call.targets) <= 1:
        return CONTINUE
    allowed = limit if budget is None else min(budget, limit)
    if allowed < len(call.targets):
        return Answer(440)
    call.request.headers.set("Max-Breadth", allowed // len(call.targets))
    return CONTINUE
