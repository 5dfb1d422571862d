"""Change the bindings of an address, all or none, and tell all that there are (RFC 3261 section 10.3 steps 6 to 8)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import structlog

from ringfence.message import PeerError, SipUri, parse_uri
from ringfence.roles.call import Call
from ringfence.roles.pipeline import Answer, Verdict
from ringfence.roles.steps.register.contacts import TooBrief, read_contacts
from ringfence.roles.steps.register.told import told
from ringfence.security.gruu import INDEX_OCTETS
from ringfence.store.errors import StoreBusy, StoreError
from ringfence.store.records import Binding

log = structlog.get_logger("ringfence.registrar")

TRY_AGAIN = (("Retry-After", "5"),)
"""Seconds until a phone may try again whose binding could not be stored."""


async def save(call: Call) -> Verdict:
    """Save what the Contacts ask for; a REGISTER without Contact only asks."""
    services = call.services
    aor = services.policy.canonical(call.request.to.sip)
    now = services.clock()
    if not call.request.headers.has("Contact"):
        found = services.bindings.lookup(aor, now)
        return told(call, found if isinstance(found, tuple) else await found, now)
    try:
        changes = read_contacts(call, aor, now)
    except TooBrief:
        return Answer(423, headers=(("Min-Expires", str(services.policy.registrar.min_expires)),))
    limit = services.policy.registrar.max_contacts
    if call.findings.user is not None:
        limit = min(limit, call.findings.user.account.rights.max_registrations)
    fresh = {
        binding.instance: services.driver.token()[: 2 * INDEX_OCTETS]
        for binding in changes or ()
        if binding.instance
    }

    def decide(existing: tuple[Binding, ...]) -> Iterable[Binding]:
        return _with_gruus(_merged(call, existing, changes, now, limit), existing, changes or [], fresh)

    try:
        return told(call, await services.bindings.change(aor, decide, now), now)
    except StoreError as error:
        # The binding is not durable, so it is not acknowledged: "the request MUST fail with a 500" (step 7).
        log.error("registration not stored", aor=aor, reason=str(error))
        return Answer(503 if isinstance(error, StoreBusy) else 500, headers=TRY_AGAIN)


def _merged(
    call: Call, existing: tuple[Binding, ...], changes: list[Binding] | None, now: float, limit: int
) -> list[Binding]:
    """The bindings after this REGISTER. Raises PeerError when the whole of it must fail."""
    call_id, cseq = call.request.call_id, call.request.cseq.number
    touched = [old for old in existing if changes is None or any(_same(old, new) for new in changes)]
    for old in touched:
        if old.call_id == call_id and old.cseq >= cseq:
            raise PeerError(500, "a later REGISTER of this Call-ID has been served", header="CSeq")
    kept = [old for old in existing if old not in touched]
    for new in changes or ():
        kept = [
            other for other in kept if not _same(other, new)
        ]  # the same contact twice: the last one counts
        if new.expires_at > now:
            kept.append(new)
    if len(kept) > max(limit, len(existing)):
        raise PeerError(403, f"the address may have {limit} contacts", header="Contact")
    return kept


def _same(a: Binding, b: Binding) -> bool:
    """Whether two bindings are one: by instance and reg-id (RFC 5626 section 6), else by equal URIs (RFC 3261).

    The ``sip`` and the ``sips`` version of a contact are one, too (RFC 5630 section 5.1.1.1).
    """
    if a.reg_id and b.reg_id:
        return (a.instance, a.reg_id) == (b.instance, b.reg_id)
    if a.contact == b.contact:
        return True
    one, other = parse_uri(a.contact), parse_uri(b.contact)
    if isinstance(one, SipUri) and isinstance(other, SipUri) and one.scheme != other.scheme:
        one = one.replace(scheme=other.scheme)
    return one == other


# -- GRUUs ---------------------------------------------------------------------------------------------


def _with_gruus(
    kept: list[Binding], existing: tuple[Binding, ...], changes: list[Binding], fresh: dict[str, str]
) -> list[Binding]:
    """Give every contact of an instance its GRUUs (RFC 5627 section 5.1).

    ``fresh`` has a new index for each instance. The index belongs to the address and the instance: all flows of a
    phone share it, and a registration with another Call-ID ends the old one for all of them.
    """
    indices = {new.instance: _index(existing, new, fresh[new.instance]) for new in changes if new.instance}
    return [
        replace(binding, public_gruu=binding.instance.strip("<>"), temporary_gruu=indices[binding.instance])
        if binding.instance in indices
        else binding
        for binding in kept
    ]


def _index(existing: tuple[Binding, ...], new: Binding, fresh: str) -> str:
    same = [old for old in existing if old.instance == new.instance and old.temporary_gruu]
    compared = [old for old in same if not new.reg_id or old.reg_id == new.reg_id]
    if compared and max(compared, key=lambda old: old.updated).call_id != new.call_id:
        return fresh
    return same[0].temporary_gruu if same else fresh
