"""Privacy at the edge: what is asked for, and who gives it (RFC 3323 section 5, RFC 3325 section 7, RFC 5079).

Four steps. ``within_private`` takes the requests of a private call to its other side; ``to_anonymous`` finds who stands
behind an anonymous Contact; ``ask_privacy`` sees what is wanted of a new request, and refuses what can't be given where
that is critical; ``keep_private``, the last before it is forwarded, hands it to the back-to-back user agent. A request
that asks for nothing costs a look at its header names.
"""

from __future__ import annotations

from collections.abc import Awaitable
from inspect import isawaitable
from typing import Final

from ringfence.message import PeerError
from ringfence.roles.bridge.legs import NAME
from ringfence.roles.bridge.names import translate_in_place
from ringfence.roles.bridge.opening import open_bridge
from ringfence.roles.bridge.registration import open_registration, to_registered
from ringfence.roles.bridge.within import call_back, cross
from ringfence.roles.call import Call
from ringfence.roles.callers import PRIVATE
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict
from ringfence.roles.steps.claims import is_anonymous
from ringfence.security.privacy import (
    BRIDGED,
    NOTHING,
    Privacy,
    Wish,
    failure,
    private_entries,
    settle,
    wish_of,
    without_history,
)
from ringfence.store.records import Account

UNASKED: Final = frozenset({"ACK", "CANCEL"})
"""Methods that ask for nothing of their own: they go the way of their INVITE."""


def within_private(call: Call) -> Verdict | Awaitable[Verdict]:
    """A request of a private call goes to the other dialog of it."""
    bridges = call.services.bridges
    if not bridges:
        return CONTINUE
    if call.request.to.tag is not None:
        return cross(call)
    translate_in_place(call.request, bridges)
    return CONTINUE


def to_anonymous(call: Call) -> Verdict:
    """A request to an anonymous Contact of ours goes to whoever stands behind it."""
    user = call.uri.user
    if user is None or not user.startswith(NAME) or call.services.bridges is None or not call.findings.for_us:
        return CONTINUE
    if not call_back(call) and not to_registered(call):
        return Answer(404, "Not Found (nobody is behind this address any more)")
    return CONTINUE


def ask_privacy(call: Call) -> Verdict | Awaitable[Verdict]:
    """See what is to be kept private of the caller, and of the callee."""
    request, findings = call.request, call.findings
    user = findings.user
    default = user.account.rights.privacy if user is not None else NOTHING
    for target in call.targets:
        if target.privacy:
            findings.hides |= target.privacy & BRIDGED
    headers = request.headers
    if not headers.has("Privacy") and not default and not headers.has("History-Info"):
        return _reject_anonymous(call) if _is_nobody(call) else CONTINUE
    if request.method in UNASKED:
        return CONTINUE
    within = request.to.tag is not None
    wish = wish_of(request.headers, NOTHING if within else default)
    if wish.none:
        return _reject_anonymous(call) if _is_nobody(call) else CONTINUE
    unmet = _unmet(call, wish, within=within)
    service = call.services.bridges
    if unmet and (wish.critical or (service is not None and service.policy.refuse_unmet)):
        call.services.driver.counts["privacy refused"] += 1
        return Answer(500, failure(unmet))
    _keep_history(call, wish)
    if wish.bridged and service is not None and not within:
        findings.private = wish._replace(values=wish.values - frozenset(unmet))
    anonymous = not PRIVATE.isdisjoint(wish.values) or _is_nobody(call)
    return _reject_anonymous(call) if anonymous else CONTINUE


def _unmet(call: Call, wish: Wish, *, within: bool) -> list[str]:
    """The values that can't be given: unknown ones; those of a service that is off; media without a relay."""
    service = call.services.bridges
    unmet = list(wish.unknown)
    if service is None or within:  # the other side knows the dialog already
        unmet += sorted(wish.values & BRIDGED)
    elif Privacy.SESSION in wish.values and service.media is None and call.request.method == "INVITE":
        unmet.append(Privacy.SESSION)
    return unmet


def _keep_history(call: Call, wish: Wish) -> None:
    """``history``, for all entries or for those that ask for it themselves."""
    headers = call.request.headers
    if not headers.has("History-Info"):
        settle(headers, (Privacy.HISTORY,))
    elif Privacy.HISTORY in wish.values or private_entries(headers):
        without_history(headers, all_of_it=Privacy.HISTORY in wish.values)
        settle(headers, (Privacy.HISTORY,))


def keep_private(call: Call) -> Verdict:
    """Hand a private request to the back-to-back user agent. The last step before a request is forwarded."""
    findings = call.findings
    if findings.private is None and not findings.hides:
        return CONTINUE
    if call.services.bridges is None or call.request.method in UNASKED:
        return CONTINUE
    if findings.private is None and call.request.to.tag is not None:
        return CONTINUE
    if call.request.method == "REGISTER":
        return open_registration(call)
    return _opened(call)


def _opened(call: Call) -> Verdict:
    try:
        verdict = open_bridge(call)
    except PeerError as error:
        if call.charge is not None:
            call.charge.dropped("it can't be kept private", error.status)
        raise
    if isinstance(verdict, Answer) and call.charge is not None:
        call.charge.dropped("it can't be kept private", verdict.status)
    return verdict


# -- anonymous callers who are not wanted --------------------------------------------------------------


def _is_nobody(call: Call) -> bool:
    """Whether neither the caller nor the network says who calls: an anonymous From may have an asserted identity."""
    if not is_anonymous(call.request.from_.uri):
        return False
    return call.findings.user is None and not call.findings.asserted


def _reject_anonymous(call: Call) -> Verdict | Awaitable[Verdict]:
    """433 for an anonymous caller, from a callee who takes no calls of such (RFC 5079 section 4)."""
    if call.request.to.tag is not None or call.request.method in UNASKED:
        return CONTINUE
    if not any(target.registered for target in call.targets):
        return CONTINUE
    services = call.services
    address = services.policy.canonical(call.uri)
    account = services.accounts.by_aor(address)
    owners = services.accounts.by_alias(address)
    if isawaitable(account) or isawaitable(owners):
        return _reject_later(account, owners)
    return _verdict_of(account, owners)


async def _reject_later(
    account: Awaitable[Account | None] | Account | None,
    owners: Awaitable[tuple[Account, ...]] | tuple[Account, ...],
) -> Verdict:
    known = await account if isawaitable(account) else account
    return _verdict_of(known, await owners if isawaitable(owners) else owners)


def _verdict_of(account: Account | None, owners: tuple[Account, ...]) -> Verdict:
    callees = (account,) if account is not None else owners
    if any(callee.rights.reject_anonymous for callee in callees):
        return Answer(433)
    return CONTINUE
