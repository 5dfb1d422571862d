"""Bounds on how far and how wide a request travels (RFC 3261 section 16.3 steps 3 and 4, RFC 5393)."""

from __future__ import annotations

from itertools import groupby

from ringfence.message.fields import MAX_BREADTH, MAX_FORWARDS, VIA
from ringfence.roles.call import Call
from ringfence.roles.outgoing import is_first_hop, loop_value
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict
from ringfence.roles.policy import Fork

ANSWERED_HERE = frozenset({"OPTIONS", "REGISTER"})
"""Methods that may end at our domain, so that they need no hop more."""


def within_hops(call: Call) -> Verdict:
    """Max-Forwards (RFC 3261 section 16.3 step 3): at zero the request goes no further."""
    if call.request.headers.first(MAX_FORWARDS) != 0:
        return CONTINUE
    if call.findings.for_us and call.request.method in ANSWERED_HERE:
        return CONTINUE
    return Answer(483)


def not_looping(call: Call) -> Verdict:
    """Loop detection (RFC 3261 section 16.3 step 4, RFC 5393 section 4.2).

    A Via of ours whose branch ends with the hash that this request would get again means that it came back
    unchanged. One that came back changed is a spiral, and may go on.
    """
    if is_first_hop(call):
        return CONTINUE
    addresses = call.services.policy.addresses
    own = [
        via
        for via in call.request.headers.every(VIA)
        if "." in via.branch and addresses.is_own_host(via.host)
    ]
    if own:
        value = loop_value(call)
        if any(via.branch.rpartition(".")[2] == value for via in own):
            return Answer(482)
    return CONTINUE


def within_breadth(call: Call) -> Verdict:
    """Max-Breadth (RFC 5393 section 5.3.3): how many branches may exist at one time, here and further down.

    With less than one for each target that is tried at the same time: 440.
    """
    limit = call.services.policy.max_breadth
    headers = call.request.headers
    asked = headers.first(MAX_BREADTH) if headers.has("Max-Breadth") else None
    call.findings.breadth = limit if asked is None else min(asked, limit)
    targets = call.targets
    if len(targets) > call.findings.breadth and _at_a_time(call) > call.findings.breadth:
        return Answer(440)
    return CONTINUE


def _at_a_time(call: Call) -> int:
    if call.services.policy.fork is Fork.PARALLEL:
        return len(call.targets)
    groups = groupby(call.targets, key=lambda target: target.q)
    return max(len(list(group)) for _, group in groups)
