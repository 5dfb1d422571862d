"""Who sends this? The flow that has authenticated before, its certificate, or digest (RFC 3261 22, RFC 8760)."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import lru_cache
from inspect import isawaitable
from typing import Final

from ringfence.message import NameAddr, SipUri
from ringfence.roles.bound import bind, bound_user, certified_address, unbind
from ringfence.roles.call import Authenticated, Call, Trust
from ringfence.roles.outgoing import is_first_hop
from ringfence.roles.pipeline import CONTINUE, ONCE_TAG, Answer, Drop, Verdict
from ringfence.roles.policy import ChallengeMode, nonce_binding
from ringfence.roles.remote import Remote
from ringfence.roles.steps.claims import is_anonymous
from ringfence.roles.steps.remote import ask, demanded
from ringfence.roles.watch import SLOWED, may_try
from ringfence.security.credentials import Challenge, Credentials
from ringfence.security.digest import Algorithm, Outcome, algorithm_of, credentials_for, verify
from ringfence.store.records import Account


def authenticate(call: Call) -> Verdict | Awaitable[Verdict]:
    """Find out the user, or challenge. What may pass without is in ``_without_credentials``."""
    findings = call.findings
    method = call.request.method
    if findings.in_dialog and not findings.agreement and not findings.watched:
        if method == "INVITE":
            return _in_dialog(call)
        return CONTINUE  # the token proves that the dialog was let in
    return _ack(call) if method == "ACK" else _prove(call)


def _in_dialog(call: Call) -> Verdict | Awaitable[Verdict]:
    """An INVITE in a dialog that was let in. When we know its call no more, the node was started anew: the bill has
    ended, and what goes on needs another one, which whoever called has to pay.

    So a user of ours who goes on calling proves who it is; and when the other side goes on with a call that a user of
    ours has made, nobody can say that it may: 481 ends it (RFC 3261 section 12.2.1.2).
    """
    findings, charging, policy = call.findings, call.services.charging, call.services.policy
    if charging is None or charging.knows(call) or findings.peer is Trust.TRUSTED:
        return CONTINUE
    caller = call.request.to.uri if findings.of_callee else call.request.from_.uri
    if isinstance(caller, SipUri) and not policy.is_ours(caller):
        return CONTINUE
    if findings.of_callee and policy.challenge is not ChallengeMode.NONE:
        return Answer(481, "Call Does Not Exist (the node has been started anew)")
    return _prove(call)


def _prove(call: Call) -> Verdict | Awaitable[Verdict]:
    if call.flow.secure and call.services.policy.challenge is ChallengeMode.FIRST:
        user = bound_user(call, _claimed(call))
        if user is not None:
            return _still_valid(call, user)
        if address := certified_address(call):
            return _by_certificate(call, address)
    return _by_credentials(call)


def _by_credentials(call: Call) -> Verdict | Awaitable[Verdict]:
    request = call.request
    header = "Authorization" if _is_registration(call) else "Proxy-Authorization"
    if request.headers.has(header):
        given = credentials_for(call.services.policy.realm, request.headers.all(header), header)
        if given:
            return _try(call, given)
    return _without_credentials(call)


def _is_registration(call: Call) -> bool:
    """Whether we are the registrar, so that we challenge as a user agent server does: 401, not 407."""
    return call.request.method == "REGISTER" and call.findings.for_us


def _ack(call: Call) -> Verdict:
    """An ACK can't be challenged (RFC 3261 section 22.1). It goes where an INVITE could have gone unchallenged."""
    findings = call.findings
    tag = call.request.to.tag
    if tag is not None and tag.startswith(ONCE_TAG):
        return Drop("the ACK for a response that was sent once")
    known = findings.peer is Trust.TRUSTED or call.flow.user is not None
    if known or findings.for_us or call.services.policy.challenge is ChallengeMode.NONE:
        return CONTINUE
    return Drop("an ACK outside any dialog of ours")


# -- the flow ------------------------------------------------------------------------------------------


def _claimed(call: Call) -> NameAddr:
    return call.request.to if _is_registration(call) else call.request.from_


def _still_valid(call: Call, user: Authenticated) -> Verdict | Awaitable[Verdict]:
    """An account that has been disabled, changed or removed since takes its flows with it."""
    found = call.services.accounts.by_aor(user.account.aor)
    if found is user.account:
        call.findings.user = user
        return CONTINUE
    return _still_valid_later(call, found) if isawaitable(found) else _bind_anew(call, found)


async def _still_valid_later(call: Call, found: Awaitable[Account | None]) -> Verdict:
    verdict = _bind_anew(call, await found)
    return await verdict if isawaitable(verdict) else verdict


def _bind_anew(call: Call, account: Account | None) -> Verdict | Awaitable[Verdict]:
    if account is None or account.disabled or call.services.remote is not None:
        unbind(call.flow)  # where the passwords are elsewhere, what is stored here proves nobody
        return _by_credentials(call)
    call.findings.user = Authenticated(account, "flow")
    bind(call.flow, call.findings.user)
    return CONTINUE


def _by_certificate(call: Call, address: str) -> Verdict | Awaitable[Verdict]:
    found = call.services.accounts.by_aor(address)
    return _by_certificate_later(call, found) if isawaitable(found) else _bind_certified(call, found)


async def _by_certificate_later(call: Call, found: Awaitable[Account | None]) -> Verdict:
    verdict = _bind_certified(call, await found)
    return await verdict if isawaitable(verdict) else verdict


def _bind_certified(call: Call, account: Account | None) -> Verdict | Awaitable[Verdict]:
    """The certificate is as good as a password, for the addresses of its account and for no other."""
    claimed = _claimed(call).uri
    if account is None or account.disabled:
        return _by_credentials(call)
    if not is_anonymous(claimed) and not account.owns(call.services.policy.address_of(claimed)):
        return _by_credentials(call)
    call.findings.user = Authenticated(account, "certificate")
    bind(call.flow, call.findings.user)
    return CONTINUE


# -- digest --------------------------------------------------------------------------------------------


def _try(call: Call, given: list[Credentials]) -> Verdict | Awaitable[Verdict]:
    """Judge each of the credentials for our realm (RFC 3261 section 22.3); the first that is right decides."""
    guesses = call.services.guesses
    if guesses is not None and guesses.any_slowed and not may_try(call, guesses, given):
        return Answer(503, "Service Unavailable (this user is being guessed at)", SLOWED, once=True)
    if call.services.remote is not None:
        return _ask(call, call.services.remote, given)
    verdict: Verdict = CONTINUE
    for place, credentials in enumerate(given):
        found = call.services.accounts.find(credentials.username, call.services.policy.realm)
        if found is not None and not isinstance(found, Account) and isawaitable(found):
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


async def _ask(call: Call, remote: Remote, given: list[Credentials]) -> Verdict:
    outcome, verdict, demand = await ask(call, remote, given)
    if verdict is not CONTINUE or call.findings.user is not None:
        return verdict
    if remote.nonces is None or call.services.policy.challenge is ChallengeMode.NONE:
        return _settle(call, outcome)
    _note(call, outcome)
    return await demanded(call, remote.nonces, stale=outcome.stale, demand=demand)


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
        algorithms=policy.algorithms_for(call.flow),
        uri_check=policy.uri_check,
    )
    if outcome is not Outcome.OK or account is None:
        return _settle(call, outcome)
    services.driver.counts["authentication ok"] += 1
    if account.disabled:
        return Answer(403, "Forbidden (the account is disabled)")
    call.findings.user = Authenticated(account, f"digest {algorithm}")
    call.findings.credentials = credentials
    bind(call.flow, call.findings.user)
    return CONTINUE


def _note(call: Call, outcome: Outcome) -> None:
    call.services.driver.counts[f"authentication {outcome}"] += 1
    call.findings.failed = outcome


def _settle(call: Call, outcome: Outcome) -> Verdict:
    """Credentials that are not right: another challenge."""
    _note(call, outcome)
    if call.services.policy.challenge is ChallengeMode.NONE:
        return CONTINUE
    return challenge(call, stale=outcome.stale)


# -- neither -------------------------------------------------------------------------------------------


def _without_credentials(call: Call) -> Verdict | Awaitable[Verdict]:
    """A request that proves nothing: challenge it, unless it may pass.

    Passes: what a trusted peer sends; and what a stranger of another domain sends to a user of ours, or down a
    flow that we gave out a route for (a call to us, never through us). A stranger who names an address of ours in
    From is none. Nobody registers without credentials.
    """
    findings = call.findings
    policy = call.services.policy
    if policy.challenge is ChallengeMode.NONE:
        return CONTINUE
    method = call.request.method
    if method == "REGISTER":
        return _first_challenge(call)
    if findings.peer is Trust.TRUSTED:
        return CONTINUE
    to_us = bool(findings.for_us or findings.flow)
    unclaimed = not (_claims_our_domain(call) or _wants_our_privacy(call))
    if to_us and (method in policy.unauthenticated_methods or unclaimed):
        return CONTINUE
    return _first_challenge(call)


def _first_challenge(call: Call) -> Verdict | Awaitable[Verdict]:
    """By our nonce, or by one that whoever knows the passwords has to be asked for."""
    remote = call.services.remote
    if remote is None or remote.nonces is None:
        return challenge(call)
    call.findings.quiet = True
    return demanded(call, remote.nonces)


def _claims_our_domain(call: Call) -> bool:
    """Whether From may be somebody of ours. A telephone number may be, whoever writes it."""
    uri = call.request.from_.uri
    return not isinstance(uri, SipUri) or call.services.policy.is_ours(uri)


def _wants_our_privacy(call: Call) -> bool:
    """Whether a user agent that names nobody asks us to keep it so: to us it has to say who it is.

    What comes from another domain has been made anonymous there, or has a proxy between.
    """
    return call.request.headers.has("Privacy") and is_anonymous(call.request.from_.uri) and is_first_hop(call)


def challenge(call: Call, *, stale: bool = False) -> Answer:
    """A 401 or 407 with one challenge for each algorithm, best first (RFC 8760 section 2.3); sent once."""
    services = call.services
    policy = services.policy
    nonce = services.new_nonce(call.flow)
    registrar = _is_registration(call)
    name = "WWW-Authenticate" if registrar else "Proxy-Authenticate"
    services.driver.counts["challenges"] += 1
    headers = [
        (name, nonce.join(_around_nonce(policy.realm, algorithm, stale)))
        for algorithm in policy.algorithms_for(call.flow)
    ]
    # The ACK for a response inside a dialog has the tag of that dialog: only its transaction tells it from others.
    once = not call.findings.in_dialog
    return Answer(401 if registrar else 407, headers=tuple(headers), once=once)


@lru_cache(64)
def _around_nonce(realm: str, algorithm: Algorithm, stale: bool) -> list[str]:
    """A challenge cut where its nonce goes: all else is the same each time."""
    return str(Challenge(realm, _NONCE_GOES_HERE, stale=stale, algorithm=algorithm)).split(_NONCE_GOES_HERE)


_NONCE_GOES_HERE: Final = "-nonce-goes-here-"
