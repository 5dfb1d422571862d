"""Bodies that a destination wants protected end to end (RFC 3261 section 23), and a line for those that are."""

from __future__ import annotations

import structlog

from ringfence.message.fields import WarningValue
from ringfence.roles.bodies import Body, Rule, body_kind, exposure_of
from ringfence.roles.call import Call
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict

log = structlog.get_logger("ringfence.roles")

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
    for rule in rules:
        if not rule.allows(kind):
            why = f"what is sent to {rule.to} must be {rule.require} end to end, and this is {kind}"
            log.info("body refused", to=rule.to, wanted=rule.require, found=kind)
            return Answer(403, headers=(("Warning", str(WarningValue(MISCELLANEOUS, "ringfence", why))),))
    if kind in (Body.SIGNED, Body.ENCRYPTED):
        exposure = exposure_of(request, call.uri, secure=call.flow.secure)
        log.info(
            "protected end to end",
            method=request.method,
            body=kind,
            read=exposure.readers,
            change=exposure.changers,
            limits=exposure.limits,
        )
    return CONTINUE


def _rules(call: Call) -> list[Rule]:
    policy = call.services.policy
    addresses = [policy.address_of(uri) for uri in (call.uri, call.request.to.uri)]
    return [rule for rule in policy.bodies if rule.covers(addresses)]


def _looks_secured(call: Call) -> bool:
    kind = (call.request.headers.get("Content-Type") or "").lower()
    return "pkcs7" in kind or kind.startswith("multipart/signed")
