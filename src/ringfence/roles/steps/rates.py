"""Does somebody ask for more than one may? The limits of accounts, destinations and prefixes (``guard.gate``)."""

from __future__ import annotations

from typing import Final

import structlog

from ringfence.guard.guesses import name_of, source_of
from ringfence.roles.call import Call, Trust
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict

log = structlog.get_logger("ringfence.guard")

RETRY_AFTER: Final = (("Retry-After", "5"),)

TO_PEOPLE: Final = frozenset({"INVITE", "MESSAGE", "SUBSCRIBE", "REFER", "OPTIONS", "PUBLISH", "INFO"})
"""Methods by which a stranger can bother a user of ours."""


def within_rates(call: Call) -> Verdict:
    """Refuse what is over a limit; note that whoever authenticated is there and welcome.

    An account over its own limit, or over that of a prefix, is answered 403, as one with too many calls is; the owner
    looks into it. For a destination it is 480: that one is not to be had now, and everybody else is.
    """
    services, findings = call.services, call.findings
    guard = services.guard
    if guard is None or findings.in_dialog:
        return CONTINUE
    user = findings.user
    now = services.driver.time()
    if user is None:
        return _stranger(call, now) if findings.peer is Trust.STRANGER else CONTINUE
    aor = user.account.aor
    if not guard.account_may(aor, now) and not guard.spares(call.flow, now):
        guard.counts["refused account"] += 1
        return Answer(403, "Forbidden (too many requests of this account)", RETRY_AFTER)
    guard.succeeded(call.flow, aor, now)
    if services.guesses is not None:
        services.guesses.proved(name_of(user.account.user), source_of(call.flow.remote.host))
    if guard.has_prefixes and call.request.method == "INVITE":
        prefix = guard.prefix_may(aor, services.policy.address_of(call.uri), now)
        if prefix:
            guard.counts["refused prefix"] += 1
            log.warning("too many calls to a prefix", account=aor, prefix=prefix)
            return Answer(403, "Forbidden (too many calls to such numbers)", RETRY_AFTER)
    return CONTINUE


def _stranger(call: Call, now: float) -> Verdict:
    guard, policy = call.services.guard, call.services.policy
    if guard is None or not call.findings.for_us or call.request.method not in TO_PEOPLE:
        return CONTINUE
    if guard.destination_may(policy.address_of(call.uri), now) or guard.spares(call.flow, now):
        return CONTINUE
    guard.counts["refused destination"] += 1
    return Answer(480, "Temporarily Unavailable (too many calls)", RETRY_AFTER)
