"""Whether a call from outside may have the priority that it asks for (RFC 8443).

Anybody can write a Resource-Priority. One from a user of ours or a trusted peer is their affair; of a stranger, only
the values count that an ``rph`` token covers, signed by who gives priority in that namespace.
"""

from __future__ import annotations

import structlog

from ringfence.message import PeerError
from ringfence.message.fields import RESOURCE_PRIORITY
from ringfence.message.fields.resource_priority import ResourcePriority
from ringfence.roles.call import Call, Trust
from ringfence.roles.identity import Unproven
from ringfence.roles.pipeline import CONTINUE, Verdict

log = structlog.get_logger("ringfence.identity")

NAME = "Resource-Priority"


def judge_priority(call: Call) -> Verdict:
    """Take off, or mark, what a stranger asks for and nobody has signed. The call goes on in any case.

    Inside a dialog nothing is changed: who may be in it has been decided.
    """
    if NAME not in call.request.headers.names:
        return CONTINUE
    findings, service = call.findings, call.services.verification
    if service is None or service.unproven_priority is Unproven.KEEP:
        return CONTINUE
    if findings.in_dialog or findings.role or findings.user is not None or findings.peer is Trust.TRUSTED:
        return CONTINUE
    if findings.caller is None:
        return CONTINUE  # it goes through us, or its caller is taken for a user of ours
    headers = call.request.headers
    asked = _asked(call)
    signed = findings.passport.priorities if findings.passport is not None else frozenset()
    proven = [each for each in asked if each in signed and call.request.method == "INVITE"]
    unproven = [each for each in asked if each not in proven]
    if unproven or not asked:
        if service.unproven_priority is Unproven.MARK:
            findings.unproven = " ".join(map(str, unproven)) or "malformed"
        else:
            headers.remove(NAME)
            for each in proven:
                headers.add(NAME, str(each))
    _tell(call, proven, unproven, service.unproven_priority)
    return CONTINUE


def _asked(call: Call) -> list[ResourcePriority]:
    try:
        return list(call.request.headers.every(RESOURCE_PRIORITY))
    except PeerError:
        return []  # malformed: none of it counts


def _tell(
    call: Call, proven: list[ResourcePriority], unproven: list[ResourcePriority], then: Unproven
) -> None:
    passport = call.findings.passport
    found = () if passport is None else passport.findings
    reasons = [str(reason) for each in found if each.of_priority for reason in each.reasons]
    if passport is not None and (signed := passport.priorities):
        reasons.append("signed for " + " ".join(sorted(map(str, signed))))
    call.services.driver.counts["priority proven" if proven else "priority unproven"] += 1
    log.info(
        "priority",
        proven=" ".join(map(str, proven)),
        unproven=" ".join(map(str, unproven)),
        evidence="; ".join(reasons) or "unsigned",
        unproven_is={Unproven.REMOVE: "removed", Unproven.MARK: "marked"}[then],
        call_id=call.request.call_id,
    )
