"""How callers from outside are received: by what callees have said of them, else by the rule for strangers."""

from __future__ import annotations

from ringfence.guard.reputation import Standing
from ringfence.message import SipUri
from ringfence.message.fields import REASON
from ringfence.roles.call import Call, Trust
from ringfence.roles.callers import handle_of
from ringfence.roles.identity import Strangers, Treatment
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict
from ringfence.roles.reports import UNWANTED, callee_of, keep_report

RECEIVED = frozenset({"INVITE", "MESSAGE", "SUBSCRIBE", "REFER"})
"""Methods that reach out to a user."""


def known_caller(call: Call) -> Verdict:
    """Refuse who has been reported; treat who is not known as the configuration says.

    A report that comes with the BYE of a call is taken here, too.
    """
    strangers = call.services.strangers
    if strangers is None:
        return CONTINUE
    findings = call.findings
    if findings.in_dialog:
        return _hear_farewell(call) if call.request.method == "BYE" else CONTINUE
    if findings.caller is None or findings.user is not None or call.request.method not in RECEIVED:
        return CONTINUE
    callee = callee_of(call)
    now = call.services.clock()
    handle = handle_of(findings.caller, call.flow)
    standing = strangers.reputation.judge(handle, callee, now)
    if standing in {Standing.REPORTED, Standing.NOTORIOUS}:
        call.services.driver.counts["reported callers refused"] += 1
        return Answer(603, "Decline (the caller has been reported)")
    if call.request.method == "INVITE":
        strangers.reputation.remember(call.request.call_id, handle, callee, now)
    if standing is Standing.WANTED or findings.peer is Trust.TRUSTED:
        return CONTINUE
    return _treat(call, strangers)


def _treat(call: Call, strangers: Strangers) -> Verdict:
    caller = call.findings.caller
    assert caller is not None  # the step has looked
    treatment = strangers.verified if caller.proven else strangers.unverified
    call.findings.marked = caller.proven or treatment is Treatment.MARK
    if treatment is Treatment.CHALLENGE:
        # RFC 5360 section 5.9.2: the header field names for whom permission is missing.
        missing = ("Permission-Missing", f"<{call.request.uri}>")
        return Answer(470, "Consent Needed", headers=(missing,))
    if treatment is Treatment.REFUSE:
        passport = call.findings.passport
        if caller.proven or passport is None or passport.status is None:
            return Answer(403, "Forbidden (the callee does not know the caller)")
        return Answer(passport.status, passport.phrase)
    return CONTINUE


def _hear_farewell(call: Call) -> Verdict:
    """A callee who hangs up may say by a Reason that the call was unwanted (RFC 8197, RFC 3326)."""
    strangers = call.services.strangers
    if strangers is None or not call.request.headers.has("Reason"):
        return CONTINUE
    causes = {
        reason.cause for reason in call.request.headers.every(REASON) if reason.protocol.upper() == "SIP"
    }
    found = strangers.reputation.remembered(call.request.call_id) if UNWANTED in causes else None
    source = call.request.from_.uri
    if (
        found is not None
        and isinstance(source, SipUri)
        and call.services.policy.canonical(source) == found[1]
    ):
        keep_report(call.services, found[0], found[1], "BYE with 607")
    return CONTINUE
