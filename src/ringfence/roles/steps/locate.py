"""Where the user is now: the location service (RFC 3261 section 16.5)."""

from __future__ import annotations

from collections.abc import Awaitable
from inspect import isawaitable

from ringfence.message import SipUri, parse_uri
from ringfence.message.grammar import unescape
from ringfence.roles.call import Call, Target
from ringfence.roles.pipeline import CONTINUE, Answer, Verdict
from ringfence.security.gruu import PREFIX, open_temporary_gruu
from ringfence.store.records import Account, Binding

NOT_SECURE = ("Warning", '380 {realm} "SIPS Not Allowed"')
"""RFC 5630 section 5.3: the callee has no contact that a sips request may go to."""


def locate_user(call: Call) -> Verdict | Awaitable[Verdict]:
    """Replace an address of our domain by the contacts that are registered for it; others go where they say."""
    if not call.findings.for_us:
        call.targets = (Target(call.request.uri, flow=call.findings.flow, only_flow=True),)
        return CONTINUE
    services = call.services
    if "gr" in call.uri.params:
        return _by_gruu(call)
    found = services.bindings.lookup(services.policy.canonical(call.uri), services.clock())
    if isawaitable(found):
        return _later(call, found)
    return _to_contacts(call, found) if found else _by_alias(call)


def _by_gruu(call: Call) -> Verdict | Awaitable[Verdict]:
    """A GRUU leads to one instance, or nowhere: 404 when we did not make it, 480 when it is away (RFC 5627 5.3)."""
    services = call.services
    user = call.uri.user or ""
    if user.startswith(PREFIX):
        index = open_temporary_gruu(services.gruu_key, user)
        if index is None:
            return Answer(404)
        found = services.bindings.by_temporary_gruu(index, services.clock())
    else:
        found = services.bindings.lookup(services.policy.canonical(call.uri), services.clock())
    if isawaitable(found):
        return _by_gruu_later(call, found)
    return _to_instance(call, found)


async def _by_gruu_later(call: Call, found: Awaitable[tuple[Binding, ...]]) -> Verdict:
    return _to_instance(call, await found)


def _to_instance(call: Call, bindings: tuple[Binding, ...]) -> Verdict:
    wanted = call.uri.params.get("gr") or ""
    if wanted:  # a public GRUU names the instance
        bindings = tuple(binding for binding in bindings if binding.public_gruu == unescape(wanted))
    return _to_contacts(call, bindings) if bindings else Answer(480)


async def _later(call: Call, found: Awaitable[tuple[Binding, ...]]) -> Verdict:
    bindings = await found
    verdict = _to_contacts(call, bindings) if bindings else _by_alias(call)
    return await verdict if isawaitable(verdict) else verdict


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
    exists = known is not None or bool(owners) or call.findings.user is None
    return Answer(480) if exists else Answer(404)


async def _to_owners_later(call: Call, owners: tuple[Account, ...]) -> Verdict:
    services = call.services
    bindings: list[Binding] = []
    for owner in owners:
        found = services.bindings.lookup(owner.aor, services.clock())
        bindings += await found if isawaitable(found) else found
    return _to_contacts(call, tuple(bindings)) if bindings else Answer(480)


def _to_contacts(call: Call, bindings: tuple[Binding, ...]) -> Verdict:
    secure = call.uri.secure
    targets: list[Target] = []
    reached: set[str] = set()
    for binding in bindings:
        uri = parse_uri(binding.contact)
        if not isinstance(uri, SipUri) or (secure and not uri.secure):
            continue
        if binding.instance and binding.reg_id:
            # RFC 5626 section 7: of several flows to one instance only one is tried, the latest first.
            if binding.instance in reached:
                continue
            reached.add(binding.instance)
        contact = binding.contact
        if uri.secure and not secure:
            # RFC 5630 section 5.3: sip stays sip, but the hop is TLS.
            contact = str(uri.replace(scheme="sip", params=uri.params.with_("transport", "tls")))
        only_flow = binding.reg_id > 0 or uri.host.endswith(".invalid")
        targets.append(Target(contact, binding.path, binding.flow, only_flow, binding.q))
    if not targets:
        name, value = NOT_SECURE
        return Answer(480, headers=((name, value.format(realm=call.services.policy.realm)),))
    call.targets = tuple(targets)
    return CONTINUE
