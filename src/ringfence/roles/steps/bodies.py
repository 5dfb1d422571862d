"""Bodies that a destination wants protected end to end (RFC 3261 section 23), and a line for those that are."""

from __future__ import annotations

import structlog

from ringfence.message.fields import WarningValue
from ringfence.roles.bodies import Body, Rule, body_kind, exposure_of
from ringfence.roles.call import Call
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict
from ringfence.roles.signatures import judge_signature

log = structlog.get_logger("ringfence.roles")

MAX_WHY = 300
"""Characters of a warning: names in it come from a certificate."""

MISCELLANEOUS = 399
"""warn-code: Miscellaneous warning, a text for people (RFC 3261 section 20.43)."""


def protected_bodies(call: Call) -> Verdict:
    """Refuse a body that its destination wants signed or encrypted and that is not; log who could read the others.

    By the Request-URI, and by the To, which later requests of a dialog have too. Only S/MIME is worth a line of the
    log: everything else could be read and changed by every server, and ``ringfence trace`` says that of each message.
    """
    request = call.request
    if not request.body:
        return CONTINUE
    rules = _rules(call) if call.services.policy.bodies else []
    kind = body_kind(request) if rules or _looks_secured(call) else Body.OPEN
    call.findings.body = kind
    signature = ""
    for rule in rules:
        if not rule.allows(kind):
            return _refuse(rule, kind, f"this is {kind}")
        if rule.verify and kind is Body.SIGNED:
            judged = judge_signature(request, call.services.policy.authorities, call.services.clock())
            if not judged.good:
                return _refuse(rule, kind, f"its signature is not good: {judged.text}")
            signature = judged.text
    if kind in (Body.SIGNED, Body.ENCRYPTED):
        exposure = exposure_of(request, call.uri, secure=call.flow.secure)
        log.info(
            "protected end to end",
            method=request.method,
            body=kind,
            signature=signature or ("hidden" if kind is Body.ENCRYPTED else "not looked at"),
            read=exposure.readers,
            change=exposure.changers,
            limits=exposure.limits,
        )
    return CONTINUE


def _refuse(rule: Rule, kind: Body, found: str) -> Answer:
    why = f"what is sent to {rule.to} must be {rule.require} end to end, and {found}"
    why = "".join(each if each.isprintable() else "?" for each in why)[:MAX_WHY]
    log.info("body refused", to=rule.to, wanted=rule.require, found=kind, reason=found)
    return Answer(403, headers=(("Warning", str(WarningValue(MISCELLANEOUS, "ringfence", why))),))


def _rules(call: Call) -> list[Rule]:
    policy = call.services.policy
    addresses = [policy.address_of(uri) for uri in (call.uri, call.request.to.uri)]
    return [rule for rule in policy.bodies if rule.covers(addresses)]


def _looks_secured(call: Call) -> bool:
    kind = (call.request.headers.get("Content-Type") or "").lower()
    return "pkcs7" in kind or kind.startswith("multipart/signed")
