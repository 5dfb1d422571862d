"""The ways between the nodes of one network: edges, a core, a border proxy (docs/roles.md).

An edge has judged what it passes on, and says who calls by P-Asserted-Identity. The core believes that, since nobody
else can reach it: whoever has not proved by a certificate to be a node of the network is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace

from ringfence.message import NameAddr, parse_uri
from ringfence.roles.call import Call, Target
from ringfence.roles.pipeline import CONTINUE, Answer, Drop, Verdict
from ringfence.roles.steps.claims import strip_realm
from ringfence.roles.steps.register.owner import owner

# -- who may come --------------------------------------------------------------------------------------


def from_network(call: Call) -> Verdict:
    """Refuse whoever is no node of our network, before anything else is said."""
    if call.findings.role and call.flow.secure:
        return CONTINUE
    return _refused(call, "Forbidden (only nodes of this network are served here)")


def from_network_or_dialog(call: Call) -> Verdict:
    """The same at the border, where the other side of a call that went out may answer inside its dialog."""
    if call.findings.in_dialog or (call.findings.role and call.flow.secure):
        return CONTINUE
    return _refused(call, "Forbidden (calls to this domain do not come this way)")


def _refused(call: Call, reason: str) -> Verdict:
    call.services.driver.counts["refused outside the network"] += 1
    if call.request.method == "ACK":
        return Drop("an ACK from outside the network")
    return Answer(403, reason, once=True)


# -- an edge in front of a core ------------------------------------------------------------------------


def admit_registration(call: Call) -> Verdict | Awaitable[Verdict]:
    """Let a user register its own address, and vouch for it: the registrar at the core sees no password."""
    request = call.request
    if request.method != "REGISTER" or not call.findings.for_us:
        return CONTINUE
    verdict = owner(call)
    if verdict is not CONTINUE:
        return verdict
    address = call.services.policy.canonical(request.to.sip)
    call.findings.asserted = (NameAddr(parse_uri(address)),)
    strip_realm(call, "Authorization")
    return CONTINUE


def to_core(call: Call) -> Verdict:
    """What comes from outside goes to the core, and what the core sends to the phone whose flow it names."""
    findings = call.findings
    if findings.flow or (findings.in_dialog and not findings.for_us):
        call.targets = (Target(call.request.uri, flow=findings.flow, only_flow=True),)
        return CONTINUE
    if findings.role and not findings.in_dialog:
        return Answer(404, "Not Found (the request names no flow of this edge)")
    call.targets = (Target(call.request.uri, (call.services.policy.core,), inside=True),)
    return CONTINUE


# -- what leaves ---------------------------------------------------------------------------------------


def by_border(call: Call) -> Verdict:
    """What leaves the domain goes through the border proxy, where there is one."""
    border = call.services.policy.border
    if border and not call.findings.in_dialog and any(map(_leaves, call.targets)):
        call.targets = tuple(
            replace(target, route=(border,)) if _leaves(target) else target for target in call.targets
        )
    return CONTINUE


def _leaves(target: Target) -> bool:
    return not (target.registered or target.flow or target.route)


def to_next(call: Call) -> Verdict:
    """At a privacy service of its own: to the core what is for the domain, everything else where it says."""
    findings, core = call.findings, call.services.policy.core
    if findings.for_us and not findings.in_dialog:
        if not core:
            return Answer(404, "Not Found (the privacy service has no users of its own)")
        call.targets = (Target(call.request.uri, (core,), inside=True),)
    else:
        call.targets = (Target(call.request.uri, flow=findings.flow, only_flow=True),)
    return CONTINUE


def to_destination(call: Call) -> Verdict:
    """At the border: where the request says. It has no users of its own."""
    if call.findings.for_us and not call.findings.in_dialog:
        return Answer(404, "Not Found (the border takes what leaves the domain)")
    call.targets = (Target(call.request.uri, flow=call.findings.flow, only_flow=True),)
    return CONTINUE
