"""Ask whoever knows the password: RADIUS (RFC 5090) or Diameter (RFC 4740). Part of the step ``authenticate``.

What can be told without it is told first: algorithm, qop, uri and a nonce that was never ours cost nobody a question.
When nobody answers the request is neither let in nor refused for its password: 503 or 504, and the phone tries again.
"""

from __future__ import annotations

from inspect import isawaitable

import structlog

from ringfence.roles.bound import bind
from ringfence.roles.call import Authenticated, Call
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict
from ringfence.roles.policy import nonce_binding
from ringfence.roles.remote import Remote, account_of, address_of_user
from ringfence.roles.steps.claims import is_anonymous
from ringfence.security.credentials import Credentials
from ringfence.security.digest import AUTH_INT, Outcome, algorithm_of, body_hash, unfit, used
from ringfence.security.nonces import Freshness
from ringfence.store.authority import Grant, NoJudgement, Question

log = structlog.get_logger("ringfence.accounts")

RETRY_AFTER = ("Retry-After", "5")


async def ask(call: Call, remote: Remote, given: list[Credentials]) -> tuple[Outcome, Verdict]:
    """Judge the first credentials that can be right: a RADIUS server is sent one, never two (RFC 5090 2.1.1).

    Gives the outcome, and the verdict where that is no challenge.
    """
    services, policy = call.services, call.services.policy
    outcome = Outcome.BAD_ALGORITHM
    for credentials in given:
        flaw = unfit(credentials, call.received_uri, policy.algorithms_for(call.flow), policy.uri_check)
        if flaw is None:
            break
        outcome = flaw
    else:
        return outcome, CONTINUE
    freshness = services.nonces.check(credentials.nonce, services.clock(), nonce_binding(call.flow))
    if freshness is Freshness.FORGED:  # RFC 5090 section 2.1.2: "if the RADIUS client recognizes the nonce"
        return Outcome.UNANSWERED, CONTINUE
    stored = remote.accounts.find(credentials.username, policy.realm)
    account = await stored if isawaitable(stored) else stored
    aor = (
        address_of_user(credentials.username, policy.domain, policy.domains)
        if account is None
        else account.aor
    )
    try:
        judgement = await remote.authority.judge(_question(call, credentials, aor))
    except NoJudgement as gap:  # the authority has told the log
        services.driver.counts["authentication unjudged"] += 1
        reason = "Service Unavailable" if gap.status == 503 else "Server Time-out"
        answer = Answer(gap.status, f"{reason} (accounts can't be checked)", (RETRY_AFTER,))
        return Outcome.UNANSWERED, answer
    outcome = judgement.outcome
    if outcome is Outcome.OK:
        outcome = used(credentials, freshness, services.nonce_counts) if aor else Outcome.WRONG
    if outcome is not Outcome.OK:
        return outcome, CONTINUE
    if credentials.qop is not None and credentials.qop.lower() != AUTH_INT:  # RFC 5090 section 2.1.3
        call.findings.rspauth = judgement.rspauth
    return Outcome.OK, await _admit(call, remote, credentials, aor, judgement.grant)


def _question(call: Call, credentials: Credentials, aor: str) -> Question:
    request = call.request
    from_ = request.from_.uri
    registers = request.method == "REGISTER" and call.findings.for_us
    covers_body = credentials.qop is not None and credentials.qop.lower() == AUTH_INT
    return Question(
        credentials,
        request.method,
        str(request.to.uri if registers else aor if is_anonymous(from_) else from_),
        call.received_uri,
        registers,
        body_hash(credentials, request.body) if covers_body else "",
    )


async def _admit(call: Call, remote: Remote, credentials: Credentials, aor: str, grant: Grant) -> Verdict:
    found = remote.accounts.stored(aor)
    stored = await found if isawaitable(found) else found
    account = account_of(remote, aor, credentials.username, credentials.realm, stored, grant)
    if account is None:
        log.error(
            "the authority names a profile that [[profile]] has not", profile=grant.profile, account=aor
        )
        return Answer(403, "Forbidden (the rights of the account are not known here)")
    if account.disabled:
        return Answer(403, "Forbidden (the account is disabled)")
    account = remote.accounts.vouch(account)
    call.findings.user = Authenticated(account, f"digest {algorithm_of(credentials)}")
    call.findings.credentials = credentials
    bind(call.flow, call.findings.user)
    return CONTINUE
