"""Ask whoever knows the password: RADIUS (RFC 5090) or Diameter (RFC 4740). Part of the step ``authenticate``.

What can be told without it is told first: algorithm, qop, uri and a nonce that was never ours cost nobody a question.
When nobody answers the request is neither let in nor refused for its password: 503 or 504, and the phone tries again.

Where the authority makes the nonces it is asked for one before each challenge (`demanded`). Such a challenge is sent
once too and leaves nothing behind: what has to be known of the nonce is in the challenge (`security.foreign_nonces`).
"""

from __future__ import annotations

from inspect import isawaitable

import structlog

from ringfence.message import SipUri
from ringfence.roles.bound import bind
from ringfence.roles.call import Authenticated, Call
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict
from ringfence.roles.policy import nonce_binding
from ringfence.roles.remote import Remote, TheirNonces, account_of, address_of_user
from ringfence.roles.steps.claims import is_anonymous
from ringfence.security.credentials import Challenge, Credentials
from ringfence.security.digest import (
    AUTH,
    AUTH_INT,
    OF_COUNT,
    QOPS,
    Outcome,
    algorithm_of,
    body_hash,
    unfit,
    used,
)
from ringfence.security.foreign_nonces import Known
from ringfence.security.nonces import Freshness
from ringfence.store.authority import Demand, Grant, NoJudgement, Question, Wanted

log = structlog.get_logger("ringfence.accounts")

RETRY_AFTER = ("Retry-After", "5")


async def ask(call: Call, remote: Remote, given: list[Credentials]) -> tuple[Outcome, Verdict, Demand | None]:
    """Judge the first credentials that can be right: a RADIUS server is sent one, never two (RFC 5090 2.1.1).

    Gives the outcome, the verdict where that is no challenge, and what the authority wants in a challenge.
    """
    policy = call.services.policy
    outcome = Outcome.BAD_ALGORITHM
    for credentials in given:
        flaw = unfit(credentials, call.received_uri, policy.algorithms_for(call.flow), policy.uri_check)
        if flaw is None:
            break
        outcome = flaw
    else:
        return outcome, CONTINUE, None
    known = recognize(call, credentials)
    if (
        known.freshness is Freshness.FORGED
    ):  # RFC 5090 section 2.1.2: "if the RADIUS client recognizes the nonce"
        return Outcome.UNANSWERED, CONTINUE, None
    stored = remote.accounts.find(credentials.username, policy.realm)
    account = await stored if isawaitable(stored) else stored
    aor = (
        address_of_user(credentials.username, policy.domain, policy.domains)
        if account is None
        else account.aor
    )
    ticket = known.ticket if remote.nonces is not None else None
    try:
        judgement = await remote.authority.judge(_question(call, credentials, aor, ticket))
    except NoJudgement as gap:
        return Outcome.UNANSWERED, _unanswered(call, gap), None
    outcome = judgement.outcome
    if outcome is Outcome.OK:
        outcome = _use(call, remote, credentials, known) if aor else Outcome.WRONG
    if outcome is not Outcome.OK:
        return outcome, CONTINUE, judgement.demand
    if credentials.qop is not None and credentials.qop.lower() != AUTH_INT:  # RFC 5090 section 2.1.3
        call.findings.rspauth = judgement.rspauth
    if remote.nonces is not None and judgement.nextnonce is not None and _registers(call):
        _follow(call, remote.nonces, judgement.nextnonce)
    return Outcome.OK, await _admit(call, remote, credentials, aor, judgement.grant), None


def recognize(call: Call, credentials: Credentials) -> Known:
    """What is known of the nonce of credentials: whether it was given to this peer, by us or by the authority."""
    services = call.services
    now, bound = services.clock(), nonce_binding(call.flow)
    if services.remote is not None and services.remote.nonces is not None:
        return services.remote.nonces.known.known(credentials, now, bound)
    return Known(services.nonces.check(credentials.nonce, now, bound))


async def demanded(
    call: Call, nonces: TheirNonces, *, stale: bool = False, demand: Demand | None = None
) -> Verdict:
    """A 401 or 407 over a nonce of the authority (RFC 5090 section 2.1.5), sent once like our own."""
    if demand is None:
        try:
            demand = await nonces.maker.demand(_wanted(call))
        except NoJudgement as gap:
            return _unanswered(call, gap)
    qop = tuple(each for each in demand.qop if each in QOPS) if demand.qop else (AUTH,)
    if (flaw := _unusable(call, demand, qop)) is not None:
        log.error("the challenge of the authority can't be passed on", reason=flaw)
        return _unanswered(call, NoJudgement(503, flaw))
    services, registers = call.services, _registers(call)
    opaque = nonces.known.opaque(demand.nonce, demand.ticket, services.clock(), nonce_binding(call.flow))
    domain = demand.domain if registers and demand.domain else None  # RFC 7616 section 3.3: never for a proxy
    value = Challenge(demand.realm, demand.nonce, demand.algorithm, qop, opaque, stale, domain)
    name = "WWW-Authenticate" if registers else "Proxy-Authenticate"
    services.driver.counts["challenges"] += 1
    return Answer(401 if registers else 407, headers=((name, str(value)),), once=not call.findings.in_dialog)


def _unusable(call: Call, demand: Demand, qop: tuple[str, ...]) -> str | None:
    """Why no credentials over it would be taken; None when they would be."""
    policy = call.services.policy
    if demand.realm != policy.realm:
        return f"its realm is {demand.realm!r} and ours is {policy.realm!r}: write domain.realm"
    if demand.algorithm not in policy.algorithms_for(call.flow):
        return f"its algorithm {demand.algorithm} is not allowed here: see security.algorithms"
    return None if qop else "it offers neither auth nor auth-int"


def _unanswered(call: Call, gap: NoJudgement) -> Answer:
    """Nobody has judged, or given a nonce; the authority has told the log."""
    call.services.driver.counts["authentication unjudged"] += 1
    reason = "Service Unavailable" if gap.status == 503 else "Server Time-out"
    once = call.findings.quiet  # nothing was sent yet, as before a challenge
    return Answer(gap.status, f"{reason} (accounts can't be checked)", (RETRY_AFTER,), once=once)


def _use(call: Call, remote: Remote, credentials: Credentials, known: Known) -> Outcome:
    """What the nonce says of credentials whose response is right; it is used up by that."""
    if remote.nonces is None:
        return used(credentials, known.freshness, call.services.nonce_counts)
    if known.freshness is not Freshness.FRESH:
        return Outcome.STALE
    return OF_COUNT[remote.nonces.known.accept(credentials, known)]


def _follow(call: Call, nonces: TheirNonces, following: Demand) -> None:
    """RFC 5090 section 3.5: the phone is told the next nonce of the server."""
    call.findings.nextnonce = following.nonce
    nonces.known.follow(following.nonce, following.ticket, call.services.clock(), nonce_binding(call.flow))


def _registers(call: Call) -> bool:
    return call.request.method == "REGISTER" and call.findings.for_us


def _wanted(call: Call) -> Wanted:
    request = call.request
    uri = (request.to if request.method == "REGISTER" else request.from_).uri
    user = uri.user if isinstance(uri, SipUri) else None
    realm = call.services.policy.realm
    if is_anonymous(uri):
        return Wanted(request.method, call.received_uri, realm)
    return Wanted(request.method, call.received_uri, realm, str(uri), user or "", _registers(call))


def _question(call: Call, credentials: Credentials, aor: str, ticket: str | None) -> Question:
    request = call.request
    from_ = request.from_.uri
    registers = _registers(call)
    covers_body = credentials.qop is not None and credentials.qop.lower() == AUTH_INT
    return Question(
        credentials,
        request.method,
        str(request.to.uri if registers else aor if is_anonymous(from_) else from_),
        call.received_uri,
        registers,
        body_hash(credentials, request.body) if covers_body else "",
        ticket,
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
