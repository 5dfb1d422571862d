"""Who sends this? Digest (RFC 3261 section 22, RFC 8760), or the flow that has authenticated before."""

from __future__ import annotations

from collections.abc import Awaitable
from inspect import isawaitable

from ringfence.message import SipUri
from ringfence.roles.call import Authenticated, Call, Trust
from ringfence.roles.pipeline import CONTINUE, Answer, Drop, Verdict
from ringfence.roles.policy import ChallengeMode, nonce_binding
from ringfence.security.credentials import Challenge, Credentials
from ringfence.security.digest import Outcome, algorithm_of, credentials_for, verify
from ringfence.store.records import Account

PROVING_TRANSPORTS = frozenset({"TLS", "WSS"})
"""Transports on which a flow proves who it is for as long as it lives."""


def authenticate(call: Call) -> Verdict | Awaitable[Verdict]:
    """Find out the user, or challenge. What may pass without is in ``_without_credentials``."""
    request = call.request
    policy = call.services.policy
    if request.method == "ACK":
        # An ACK can't be challenged (RFC 3261 section 22.1), so only one inside a dialog of ours goes on.
        return CONTINUE if call.findings.in_dialog else Drop("ACK outside any dialog of ours")
    bound = call.flow.user
    if isinstance(bound, Authenticated) and policy.challenge is ChallengeMode.FIRST:
        call.findings.user = bound
        return CONTINUE
    header = "Authorization" if request.method == "REGISTER" else "Proxy-Authorization"
    if header in request.headers:
        given = credentials_for(policy.realm, request.headers.all(header), header)
        if given:
            return _try(call, given)
    return _without_credentials(call)


def _try(call: Call, given: list[Credentials]) -> Verdict | Awaitable[Verdict]:
    """Judge each of the credentials for our realm (RFC 3261 section 22.3); the first that is right decides."""
    verdict: Verdict = CONTINUE
    for place, credentials in enumerate(given):
        found = call.services.accounts.find(credentials.username, call.services.policy.realm)
        if isawaitable(found):
            return _try_later(call, given[place:], found)
        verdict = _judge(call, credentials, found)
        if call.findings.user is not None:
            break
    return verdict


async def _try_later(call: Call, given: list[Credentials], found: Awaitable[Account | None]) -> Verdict:
    verdict = _judge(call, given[0], await found)
    if call.findings.user is not None or len(given) == 1:
        return verdict
    rest = _try(call, given[1:])
    return await rest if isawaitable(rest) else rest


def _judge(call: Call, credentials: Credentials, account: Account | None) -> Verdict:
    services = call.services
    policy = services.policy
    algorithm = algorithm_of(credentials)
    ha1 = account.credentials.get(algorithm.plain) if account is not None and algorithm is not None else None
    outcome = verify(
        credentials,
        ha1,
        method=call.request.method,
        request_uri=call.received_uri,
        freshness=services.nonces.check(credentials.nonce, services.clock(), nonce_binding(call.flow)),
        body=call.request.body,
        window=services.nonce_counts,
        algorithms=policy.algorithms,
        uri_check=policy.uri_check,
    )
    services.driver.counts[f"authentication {outcome}"] += 1
    if outcome is not Outcome.OK or account is None:
        if policy.challenge is ChallengeMode.NONE:
            return CONTINUE
        return challenge(call, stale=outcome.stale)
    if account.disabled:
        return Answer(403, "Forbidden (the account is disabled)")
    call.findings.user = Authenticated(account, f"digest {algorithm}")
    call.findings.credentials = credentials
    if call.flow.transport in PROVING_TRANSPORTS:
        call.flow.user = call.findings.user  # type: ignore[misc]  # a plain attribute of every flow
    return CONTINUE


def _without_credentials(call: Call) -> Verdict:
    """A request that proves nothing: challenge it, unless it may pass.

    Passes: what a trusted peer sends; what belongs to a dialog that was set up through us; and what a stranger
    of another domain sends to a user of ours (a call to us, never through us). A stranger who names an address
    of ours in From is none.
    """
    findings = call.findings
    if findings.in_dialog or findings.peer is Trust.PEER:
        return CONTINUE
    if call.services.policy.challenge is ChallengeMode.NONE:
        return CONTINUE
    if findings.for_us and call.request.method != "REGISTER" and not _claims_our_domain(call):
        return CONTINUE
    return challenge(call)


def _claims_our_domain(call: Call) -> bool:
    uri = call.request.from_.uri
    return not isinstance(uri, SipUri) or uri.host in call.services.policy.domains


def challenge(call: Call, *, stale: bool = False) -> Answer:
    """A 401 or 407 with one challenge for each algorithm, best first (RFC 8760 section 2.3); sent once."""
    services = call.services
    policy = services.policy
    nonce = services.new_nonce(call.flow)
    register = call.request.method == "REGISTER"
    name = "WWW-Authenticate" if register else "Proxy-Authenticate"
    services.driver.counts["challenges"] += 1
    headers = tuple(
        (name, str(Challenge(policy.realm, nonce, stale=stale, algorithm=algorithm)))
        for algorithm in policy.algorithms
    )
    return Answer(401 if register else 407, headers=headers, once=True)
