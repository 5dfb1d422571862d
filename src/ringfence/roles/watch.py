"""What the guard is told of a request that was refused: what it tried, and whether it is certain who did."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import structlog

from ringfence.guard.gate import Guard
from ringfence.guard.guesses import TRY_SECONDS, Guesses, name_of, source_of
from ringfence.guard.scores import Offence
from ringfence.message import PeerError
from ringfence.roles.call import Call
from ringfence.roles.pipeline import Answer
from ringfence.roles.steps.remote import recognize
from ringfence.security.credentials import Credentials, parse_credentials
from ringfence.security.digest import Outcome, credentials_for
from ringfence.security.nonces import Freshness

log = structlog.get_logger("ringfence.guard")

SLOWED = (("Retry-After", str(int(TRY_SECONDS))),)
"""Of the answer to credentials that were not looked at."""

OFFENCES = {Outcome.WRONG: Offence.WRONG_PASSWORD, Outcome.UNKNOWN_USER: Offence.UNKNOWN_USER}
"""Only these: whoever is told that a nonce is stale knows the password."""


def note_answer(guard: Guard, call: Call, answer: Answer) -> None:
    """A request was answered by ourselves."""
    findings = call.findings
    status = answer.status
    if findings.user is not None or findings.in_dialog:
        return
    now = call.services.driver.time()
    if status in (401, 407):
        offence = OFFENCES.get(findings.failed) if findings.failed is not None else None
        if offence is not None:
            guard.guessed(_user(call), now)
            _count_guess(call, now)
            guard.offend(call.flow, offence, now, proven=call.flow.reliable or _has_our_nonce(call))
        elif findings.failed is None:
            guard.challenged(call.flow, _user(call), now)
    elif findings.nobody:
        guard.offend(call.flow, Offence.UNKNOWN_DESTINATION, now, proven=call.flow.reliable)


def _count_guess(call: Call, now: float) -> None:
    """By the name that the credentials are for: From says whatever its sender likes."""
    guesses, request = call.services.guesses, call.request
    if guesses is None:
        return
    for header in ("Authorization", "Proxy-Authorization"):
        if request.headers.has(header):
            for each in credentials_for(call.services.policy.realm, request.headers.all(header), header):
                if guesses.failed(name_of(each.username), now):
                    log.warning("guesses at an account are slowed down", user=each.username[:64])


def may_try(call: Call, guesses: Guesses, given: Sequence[Credentials]) -> bool:
    """Whether credentials are looked at, while somebody guesses at some account."""
    guard, now = call.services.guard, call.services.driver.time()
    if guard is not None and guard.spares(call.flow, now):
        return True
    source = source_of(call.flow.remote.host)
    if all(guesses.may_try(name_of(each.username), source, now) for each in given):
        return True
    if guard is not None:  # or one who guesses alone would never be banned; who waits as he is told is not
        proven = call.flow.reliable or _has_our_nonce(call)
        guard.offend(call.flow, Offence.WRONG_PASSWORD, now, proven=proven)
    return False


def _user(call: Call) -> str:
    """Whom the request claims to be; what can't be read is one name for all."""
    policy, request = call.services.policy, call.request
    try:
        return policy.address_of((request.to if request.method == "REGISTER" else request.from_).uri)
    except PeerError:
        return ""


def _has_our_nonce(call: Call) -> bool:
    """Whether the credentials are over a nonce that we gave to this very address: then it has received it."""
    headers = call.request.headers
    for name in ("Authorization", "Proxy-Authorization"):
        for value in headers.all(name):
            with suppress(PeerError):
                credentials = parse_credentials(value, name)
                known = None if credentials is None else recognize(call, credentials)
                if known is not None and known.freshness is not Freshness.FORGED:
                    return True  # mypyc has no ``continue`` in a ``with``
    return False
