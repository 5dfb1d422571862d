"""The registrar (RFC 3261 section 10.3, RFC 3327, RFC 3608): what a REGISTER does to the location service."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from dataclasses import replace

from ringfence.message import PeerError, SipUri
from ringfence.message.address import NameAddr
from ringfence.message.fields import CONTACT, EXPIRES, PATH, REQUIRE, Star
from ringfence.message.fields.numbers import MAX_DELTA_SECONDS
from ringfence.roles.call import Call
from ringfence.roles.pipeline import CONTINUE, Answer, Step, Verdict, run
from ringfence.roles.policy import ChallengeMode, FlowReuse, RegistrarPolicy
from ringfence.store.errors import StoreError
from ringfence.store.records import Binding

OPTIONS = frozenset({"path", "outbound", "gruu"})
"""Option tags that a REGISTER may require of us."""


def register(call: Call) -> Verdict | Awaitable[Verdict]:
    """Let the registrar's own steps decide on a REGISTER for our domain."""
    if call.request.method != "REGISTER" or not call.findings.for_us:
        return CONTINUE
    return run(STEPS, call)


def extensions_known(call: Call) -> Verdict:
    """Step 2: refuse a REGISTER that requires what we do not know."""
    if "Require" in call.request.headers:
        unknown = [option for option in call.request.headers.every(REQUIRE) if option not in OPTIONS]
        if unknown:
            return Answer(420, headers=(("Unsupported", ", ".join(unknown)),))
    return CONTINUE


def owner(call: Call) -> Verdict:
    """Steps 4 and 5: only the owner of an address may change where it leads."""
    policy = call.services.policy
    to = call.request.to.sip
    if to.host not in policy.domains or not to.user:
        return Answer(404, "Not Found (To is no address of this domain)")
    if policy.challenge is ChallengeMode.NONE:
        return CONTINUE
    user = call.findings.user
    if user is None or not user.account.owns(policy.canonical(to)):
        return Answer(403, "Forbidden (the address is another account's)")
    return CONTINUE


async def save(call: Call) -> Verdict:
    """Steps 6 to 8: change the bindings, all or none, and tell all that there are."""
    services = call.services
    aor = services.policy.canonical(call.request.to.sip)
    now = services.clock()
    contacts = call.request.headers.every(CONTACT)
    if not contacts:
        found = services.bindings.lookup(aor, now)
        return _told(call, found if isinstance(found, tuple) else await found, now)
    changes = _read(call, aor, contacts, now)
    limit = services.policy.registrar.max_contacts

    def decide(existing: tuple[Binding, ...]) -> Iterable[Binding]:
        return _merged(existing, changes, call.request.call_id, call.request.cseq.number, now, limit)

    try:
        return _told(call, await services.bindings.change(aor, decide, now), now)
    except StoreError as error:
        # The binding is not durable, so it is not acknowledged; the phone tries again (RFC 3261 section 21.5.4).
        return Answer(503, f"Service Unavailable ({error})", headers=(("Retry-After", "5"),))


STEPS: tuple[Step, ...] = (extensions_known, owner, save)


def _read(call: Call, aor: str, contacts: list[NameAddr | Star], now: float) -> list[Binding] | None:
    """The bindings that the Contacts ask for; those that end have ``expires_at`` now. None for ``*``."""
    headers = call.request.headers
    default = headers.first(EXPIRES)
    if any(isinstance(contact, Star) for contact in contacts):
        if len(contacts) > 1 or default != 0:
            raise PeerError(400, "* stands alone, with Expires: 0", header="Contact")
        return None
    policy = call.services.policy.registrar
    path = tuple(str(entry) for entry in headers.every(PATH))
    changes: list[Binding] = []
    for contact in contacts:
        assert isinstance(contact, NameAddr)
        lifetime = _lifetime(contact, default, policy)
        flow = call.flow
        changes.append(
            Binding(
                aor=aor,
                contact=str(contact.sip),
                expires_at=now + lifetime,
                call_id=call.request.call_id,
                cseq=call.request.cseq.number,
                updated=now,
                q=_q(contact),
                params=str(contact.params.without("expires", "q")),
                path=path,
                instance=contact.params.get("+sip.instance") or "",
                flow=flow.key if _by_flow(call, contact.sip, policy) and not path else "",
                received=f"{flow.transport} {flow.remote}",
                user_agent=headers.get("User-Agent") or "",
            )
        )
    return changes


def _lifetime(contact: NameAddr, default: int | None, policy: RegistrarPolicy) -> int:
    """Seconds. Step 7: the contact's own ``expires``, else Expires, else ours; a malformed one is our default."""
    text = contact.params.get("expires")
    wanted = policy.default_expires if default is None else default
    if text is not None:
        # "malformed values SHOULD be treated as equivalent to 3600" (section 10.2.1.1)
        wanted = min(int(text), MAX_DELTA_SECONDS) if text.isdecimal() and len(text) < 64 else 3600
    if 0 < wanted < policy.min_expires:
        raise TooBrief(policy.min_expires)
    return min(wanted, policy.max_expires)


class TooBrief(PeerError):
    """423 with the Min-Expires that would be accepted (RFC 3261 section 10.3 step 7)."""

    def __init__(self, minimum: int) -> None:
        super().__init__(423, f"the shortest registration is {minimum} seconds", header="Contact")
        self.minimum = minimum


def _q(contact: NameAddr) -> float:
    text = contact.params.get("q")
    if text is None:
        return 1.0
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise PeerError(400, f"q={text[:20]} is not between 0 and 1", header="Contact")
    return value


def _by_flow(call: Call, contact: SipUri, policy: RegistrarPolicy) -> bool:
    """Whether this contact is reached over the flow of its REGISTER, not by its URI."""
    flow = call.flow
    if contact.host.endswith(".invalid"):
        return True  # a browser or an anonymous phone: its Contact leads nowhere else (RFC 7118 section 5.2)
    if flow.reliable:
        return policy.flow_reuse is FlowReuse.ALWAYS
    return contact.address != flow.remote.host  # a NAT is between us


def _merged(
    existing: tuple[Binding, ...],
    changes: list[Binding] | None,
    call_id: str,
    cseq: int,
    now: float,
    limit: int,
) -> list[Binding]:
    """RFC 3261 section 10.3 steps 6 and 7 on the bindings that there are."""
    kept = {_key(binding): binding for binding in existing}
    touched = existing if changes is None else [kept[_key(new)] for new in changes if _key(new) in kept]
    for old in touched:
        if old.call_id == call_id and old.cseq >= cseq:
            raise PeerError(500, "a later REGISTER of this Call-ID has been served", header="CSeq")
    if changes is None:
        return []
    for new in changes:
        if new.expires_at <= now:
            kept.pop(_key(new), None)
        else:
            kept[_key(new)] = replace(new)
    if len(kept) > limit:
        raise PeerError(403, f"the address has {limit} contacts already", header="Contact")
    return list(kept.values())


def _key(binding: Binding) -> object:
    """Contacts are compared as URIs (RFC 3261 section 10.3 step 7); instances with a reg-id as such (RFC 5626)."""
    if binding.instance and binding.reg_id:
        return binding.instance, binding.reg_id
    return binding.contact


def _told(call: Call, bindings: tuple[Binding, ...], now: float) -> Verdict:
    headers: list[tuple[str, str]] = []
    for binding in bindings:
        q = f";q={binding.q:g}" if binding.q != 1.0 else ""
        headers.append(
            (
                "Contact",
                f"<{binding.contact}>{q}{binding.params};expires={max(0, round(binding.expires_at - now))}",
            )
        )
    return Answer(200, headers=tuple(headers))
