"""Change the bindings of an address, all or none, and tell all that there are (RFC 3261 section 10.3 steps 6 to 8)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from email.utils import formatdate
from inspect import isawaitable

from ringfence.message import PeerError, parse_uri
from ringfence.message.fields import SUPPORTED
from ringfence.message.grammar import quote
from ringfence.roles.call import Call
from ringfence.roles.pipeline import Answer, Verdict
from ringfence.roles.steps.register.contacts import TooBrief, read_contacts
from ringfence.security.digest import algorithm_of, authentication_info
from ringfence.security.gruu import make_temporary_gruu
from ringfence.store.errors import StoreError
from ringfence.store.records import Binding


async def save(call: Call) -> Verdict:
    """Save what the Contacts ask for; a REGISTER without Contact only asks."""
    services = call.services
    aor = services.policy.canonical(call.request.to.sip)
    now = services.clock()
    if "Contact" not in call.request.headers:
        found = services.bindings.lookup(aor, now)
        return _told(call, await found if isawaitable(found) else found, now)
    try:
        changes = read_contacts(call, aor, now)
    except TooBrief:
        return Answer(423, headers=(("Min-Expires", str(services.policy.registrar.min_expires)),))
    limit = services.policy.registrar.max_contacts
    if call.findings.user is not None:
        limit = min(limit, call.findings.user.account.rights.max_registrations)
    gruu = "gruu" in call.request.headers.every(SUPPORTED)
    index = services.driver.token()

    def decide(existing: tuple[Binding, ...]) -> Iterable[Binding]:
        merged = _merged(call, existing, changes, now, limit)
        return [_with_gruu(binding, index) for binding in merged] if gruu else merged

    try:
        return _told(call, await services.bindings.change(aor, decide, now), now)
    except StoreError as error:
        # The binding is not durable, so it is not acknowledged; the phone tries again (RFC 3261 section 21.5.4).
        return Answer(503, f"Service Unavailable ({error})", headers=(("Retry-After", "5"),))


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
        if new.expires_at > now:
            before = next((old for old in touched if _same(old, new)), None)
            kept.append(new if before is None else _carried_over(before, new))
    if len(kept) > max(limit, len(existing)):
        raise PeerError(403, f"the address may have {limit} contacts", header="Contact")
    return kept


def _same(a: Binding, b: Binding) -> bool:
    """Whether two bindings are one: by instance and reg-id (RFC 5626 section 6), else by equal URIs (RFC 3261)."""
    if a.reg_id and b.reg_id:
        return (a.instance, a.reg_id) == (b.instance, b.reg_id)
    return a.contact == b.contact or parse_uri(a.contact) == parse_uri(b.contact)


def _carried_over(old: Binding, new: Binding) -> Binding:
    """Temporary GRUUs stay valid while the Call-ID of the registration does (RFC 5627 section 5.1)."""
    if old.temporary_gruu and old.call_id == new.call_id:
        return replace(new, temporary_gruu=old.temporary_gruu, public_gruu=old.public_gruu)
    return new


def _with_gruu(binding: Binding, index: str) -> Binding:
    if not binding.instance or binding.temporary_gruu:
        return binding
    return replace(binding, public_gruu=binding.instance.strip("<>"), temporary_gruu=index)


def _told(call: Call, bindings: tuple[Binding, ...], now: float) -> Answer:
    """Step 8: 200 with every binding, and what else a phone wants to hear."""
    supported = call.request.headers.every(SUPPORTED)
    headers: list[tuple[str, str]] = [
        ("Contact", _contact(call, binding, now, gruu="gruu" in supported)) for binding in bindings
    ]
    if "path" in supported:
        headers += (("Path", value) for value in call.request.headers.all("Path"))
    headers += (("Service-Route", f"<{uri}>") for uri in call.services.policy.registrar.service_route)
    if any(binding.reg_id and binding.call_id == call.request.call_id for binding in bindings):
        headers += (("Supported", "path, outbound, gruu"), ("Require", "outbound"))  # RFC 5626 section 6
    headers.append(("Date", formatdate(now, usegmt=True)))
    if (info := _authentication_info(call, now)) is not None:
        headers.append(("Authentication-Info", info))
    return Answer(200, headers=tuple(headers))


def _contact(call: Call, binding: Binding, now: float, *, gruu: bool) -> str:
    parts = [f"<{binding.contact}>"]
    if binding.q != 1.0:
        parts.append(f";q={binding.q:g}")
    if binding.instance:
        parts.append(f";+sip.instance={quote(binding.instance)}")
    if binding.reg_id:
        parts.append(f";reg-id={binding.reg_id}")
    parts.append(f"{binding.params};expires={max(0, round(binding.expires_at - now))}")
    if gruu and binding.temporary_gruu:
        domain = call.services.policy.domain
        scheme = "sips" if binding.contact.startswith("sips:") else "sip"
        user = binding.aor.removeprefix("sip:")
        alias = make_temporary_gruu(call.services.gruu_key, binding.temporary_gruu, int(now * 1e6))
        parts.append(f';pub-gruu="{scheme}:{user};gr={binding.public_gruu}"')
        parts.append(f';temp-gruu="{scheme}:{alias}@{domain};gr"')
    return "".join(parts)


def _authentication_info(call: Call, now: float) -> str | None:
    """RFC 7616 section 3.5: our proof that we know the password too, and a fresh nonce before the old one ends."""
    user, credentials = call.findings.user, call.findings.credentials
    algorithm = algorithm_of(credentials) if credentials is not None else None
    if user is None or credentials is None or algorithm is None:
        return None
    services = call.services
    ha1 = user.account.credentials[algorithm.plain]
    ageing = services.nonces.ageing(credentials.nonce, now)
    return str(
        authentication_info(credentials, ha1, nextnonce=services.new_nonce(call.flow) if ageing else None)
    )
