"""Which protection a phone and we agree on for its first hop (RFC 3329 section 2.3, the server's side).

Two steps with the digest between them. ``open_agreement`` answers what is not protected yet, with our list and what
is needed to turn on any mechanism of it. ``keep_agreement`` takes what comes back under protection, and refuses a list
that is not ours: somebody on the way has shortened it, or kept a shortened one from being noticed. Both answers keep no
state.
"""

from __future__ import annotations

import structlog

from ringfence.message.fields import SUPPORTED, VIA
from ringfence.message.fields.security_agreement import Mechanism
from ringfence.roles.call import Call, Trust
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict
from ringfence.roles.policy import AgreementMode
from ringfence.roles.steps.authenticate import challenge
from ringfence.security.agreement import (
    OPTION,
    Name,
    list_flaw,
    list_text,
    proof_flaw,
    requires,
    returned,
    strip,
)
from ringfence.security.digest import algorithm_of
from ringfence.security.reasons import Reason

log = structlog.get_logger("ringfence.roles")


def open_agreement(call: Call) -> Verdict:
    """Answer a request without protection that asks for it, or from whom we want it: 494 or 421 (2.3.1, 2.3.2)."""
    mode = call.services.policy.agreement
    if mode is AgreementMode.OFF or call.request.method == "ACK":
        return CONTINUE  # an ACK can't be answered, and carries no list (section 2.6)
    asked = requires(call.request)
    protected = _protected(call)
    if not asked and (protected or mode is AgreementMode.OFFER or call.findings.peer is not Trust.STRANGER):
        return CONTINUE
    if len(call.request.headers.every(VIA)) > 1:
        # Section 2.3.2: "the server is not the first-hop SIP entity, and it MUST NOT use this mechanism".
        return Answer(502, "Bad Gateway (a security agreement is for the first hop)")
    if protected:
        return CONTINUE
    if not asked:
        supported = any(option.lower() == OPTION for option in call.request.headers.every(SUPPORTED))
        return _demand(call, 494 if supported else 421)
    flaw = list_flaw(call.request, _listed(call))
    if flaw is not None:
        return _refuse(call, flaw) if call.request.headers.has("Security-Verify") else _demand(call, 494)
    if not _shows_credentials(call):
        return _demand(call, 494)
    # If the digest is right: ``authenticate`` sees to that, inside dialogs too.
    call.findings.agreement = Name.DIGEST
    return CONTINUE


def keep_agreement(call: Call) -> Verdict:
    """Compare the list that came back with ours, and take all of it off the request (section 2.3.1)."""
    request = call.request
    policy = call.services.policy
    if policy.agreement is AgreementMode.OFF or request.method == "ACK":
        return CONTINUE
    if requires(request):
        protected = _protected(call)
        flaw = list_flaw(request, _listed(call)) or (None if protected else _digest_flaw(call))
        if flaw is not None:
            return _refuse(call, flaw)
        if protected and call.services.hops is not None:
            call.services.hops.confirm(call.flow)
        call.findings.agreement = protected or Name.DIGEST
        if call.findings.in_dialog and not call.findings.watched:
            call.findings.user = None  # nothing further depends on who it is: the dialog was let in
    strip(request)
    return CONTINUE


def _protected(call: Call) -> str:
    """The mechanism that keeps others from changing what comes by this flow; empty when none does."""
    if call.flow.secure:
        return Name.TLS
    hops = call.services.hops
    return hops.mechanism(call.flow) if hops is not None else ""


def _listed(call: Call) -> tuple[Mechanism, ...]:
    """Our list, as this phone was given it."""
    hops, mechanisms = call.services.hops, call.services.policy.mechanisms
    return hops.listed(call.flow, mechanisms, returned(call.request)) if hops is not None else mechanisms


def _shows_credentials(call: Call) -> bool:
    names = call.request.headers.names
    return "Proxy-Authorization" in names or "Authorization" in names


def _digest_flaw(call: Call) -> Reason | None:
    """Without TLS the list is only as good as the digest over it (section 2.2, digest-verify)."""
    findings = call.findings
    credentials, user = findings.credentials, findings.user
    algorithm = algorithm_of(credentials) if credentials is not None else None
    ha1 = (
        user.account.credentials.get(algorithm.plain) if user is not None and algorithm is not None else None
    )
    return proof_flaw(call.request, _listed(call), credentials, ha1, call.request.method)


def _refuse(call: Call, flaw: Reason) -> Answer:
    """494 for a list that is not ours: what a man in the middle has left of it, or a phone that kept an old one."""
    call.services.driver.counts["agreements refused"] += 1
    log.warning("security agreement refused", reason=flaw.detail, remote=str(call.flow.remote))
    return _demand(call, 494, f"Security Agreement Required ({flaw.code})")


def _demand(call: Call, status: int, reason: str | None = None) -> Answer:
    """Our list, and a digest challenge for a client that will choose that."""
    policy, hops = call.services.policy, call.services.hops
    mechanisms = policy.mechanisms
    if hops is not None:
        subscriber = policy.address_of(call.request.from_.uri)
        mechanisms = hops.answer(call.request, subscriber, call.flow.remote.host, mechanisms)
    headers = [("Security-Server", list_text(mechanisms)), ("Require", OPTION)]
    if any(each.name == Name.DIGEST for each in mechanisms):
        headers += challenge(call).headers
    return Answer(status, reason, tuple(headers), once=True)
