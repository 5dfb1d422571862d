"""Where the user is now: the location service (RFC 3261 section 16.5)."""

from __future__ import annotations

from collections.abc import Awaitable
from inspect import isawaitable

from ringfence.message.grammar import unescape
from ringfence.roles.call import Call, Target
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict
from ringfence.roles.targets import targets_for
from ringfence.roles.warnings import sips_not_allowed
from ringfence.security.gruu import PREFIX, open_temporary_gruu
from ringfence.store.records import Account, Binding


def locate_user(call: Call) -> Verdict | Awaitable[Verdict]:
    """Replace an address of our domain by the contacts that are registered for it; others go where they say."""
    if not call.findings.for_us:
        call.targets = (Target(call.request.uri, flow=call.findings.flow, only_flow=True),)
        return CONTINUE
    services = call.services
    if "gr" in call.uri.params:
        return _by_gruu(call)
    found = services.bindings.lookup(services.policy.canonical(call.uri), services.clock())
    if isinstance(found, tuple):
        return _to_contacts(call, found) if found else _by_alias(call)
    return _later(call, found)


async def _later(call: Call, found: Awaitable[tuple[Binding, ...]]) -> Verdict:
    bindings = await found
    verdict = _to_contacts(call, bindings) if bindings else _by_alias(call)
    return await verdict if isawaitable(verdict) else verdict


def _to_contacts(call: Call, bindings: tuple[Binding, ...]) -> Verdict:
    """The contacts become the targets; without one that may be used: 480, and why."""
    call.targets = targets_for(bindings, secure=call.uri.secure)
    if call.targets:
        return CONTINUE
    return Answer(480, headers=(sips_not_allowed(call.services.policy),) if call.uri.secure else ())


# -- GRUUs ---------------------------------------------------------------------------------------------


def _by_gruu(call: Call) -> Verdict | Awaitable[Verdict]:
    """A GRUU leads to one phone, or nowhere: 404 when it is not valid, 480 when the phone is away (RFC 5627 6.1)."""
    services = call.services
    user = call.uri.user or ""
    if user.startswith(PREFIX):
        index = open_temporary_gruu(services.gruu_key, user)
        if index is None:
            return Answer(404)
        found = services.bindings.by_temporary_gruu(index, services.clock())
    else:
        found = services.bindings.lookup(services.policy.canonical(call.uri), services.clock())
    return _to_instance(call, found) if isinstance(found, tuple) else _by_gruu_later(call, found)


async def _by_gruu_later(call: Call, found: Awaitable[tuple[Binding, ...]]) -> Verdict:
    return _to_instance(call, await found)


def _to_instance(call: Call, bindings: tuple[Binding, ...]) -> Verdict:
    instance = call.uri.params.get("gr")
    if not instance:  # a temporary one is valid as long as it leads somewhere
        return _to_contacts(call, bindings) if bindings else Answer(404)
    wanted = unescape(instance)
    bindings = tuple(binding for binding in bindings if binding.public_gruu == wanted)
    return _to_contacts(call, bindings) if bindings else Answer(480)


# -- other addresses of an account ---------------------------------------------------------------------


def _by_alias(call: Call) -> Verdict | Awaitable[Verdict]:
    """No contact under this address: perhaps it is another address of an account."""
    services = call.services
    address = services.policy.canonical(call.uri)
    owners = services.accounts.by_alias(address)
    known = services.accounts.by_aor(address)
    if isawaitable(owners) or isawaitable(known):
        return _by_alias_later(call, owners, known)
    return _to_owners(call, owners, known)


async def _by_alias_later(
    call: Call,
    owners: Awaitable[tuple[Account, ...]] | tuple[Account, ...],
    known: Awaitable[Account | None] | Account | None,
) -> Verdict:
    owned = await owners if isawaitable(owners) else owners
    account = await known if isawaitable(known) else known
    verdict = _to_owners(call, owned, account)
    return await verdict if isawaitable(verdict) else verdict


def _to_owners(
    call: Call, owners: tuple[Account, ...], known: Account | None
) -> Verdict | Awaitable[Verdict]:
    services = call.services
    bindings: list[Binding] = []
    for owner in owners:
        found = services.bindings.lookup(owner.aor, services.clock())
        if isawaitable(found):
            return _to_owners_later(call, owners)
        bindings += found
    if bindings:
        return _to_contacts(call, tuple(bindings))
    # A stranger learns nothing about who exists: both answers are alike for one who has not authenticated.
    exists = known is not None or bool(owners)
    call.findings.nobody = not exists
    return Answer(480) if exists or call.findings.user is None else Answer(404)


async def _to_owners_later(call: Call, owners: tuple[Account, ...]) -> Verdict:
    services = call.services
    bindings: list[Binding] = []
    for owner in owners:
        found = services.bindings.lookup(owner.aor, services.clock())
        bindings += await found if isawaitable(found) else found
    return _to_contacts(call, tuple(bindings)) if bindings else Answer(480)
