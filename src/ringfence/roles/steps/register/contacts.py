"""The Contacts of a REGISTER, read into bindings (RFC 3261 section 10.3 steps 6 and 7, RFC 5626 section 6)."""

from __future__ import annotations

from ringfence.engine.places import is_numeric
from ringfence.message import NameAddr, PeerError, SipUri, Uri
from ringfence.message.fields import CONTACT, EXPIRES, PATH, SUPPORTED
from ringfence.message.fields.contact import instance, reg_id, thousandths
from ringfence.message.fields.numbers import MAX_DELTA_SECONDS
from ringfence.roles.call import Call
from ringfence.roles.policy import FlowReuse, RegistrarPolicy
from ringfence.security.privacy import BRIDGED, NOTHING, Privacy, wish_of
from ringfence.store.records import Binding

KEPT_ELSEWHERE = ("expires", "q", "reg-id", "+sip.instance", "pub-gruu", "temp-gruu", "temp-gruu-cookie")
"""Contact parameters that are not kept as text: they have fields of their own, or are for us to say."""

NEVER_TOO_BRIEF = 3600
"""Seconds: a shorter wish may be refused, "if and only if" it is under an hour (RFC 3261 section 10.3 step 7)."""


class TooBrief(Exception):
    """A contact asks for less than the shortest registration."""


def read_contacts(call: Call, aor: str, now: float) -> list[Binding] | None:
    """The bindings that the Contacts ask for; those that are to end have ``expires_at`` now. None stands for ``*``.

    Raises:
        PeerError: 400 for what RFC 3261, 5626 or 5630 do not allow, 403 for a contact that leads back to its address.
        TooBrief: step 7, to be answered 423.
    """
    headers = call.request.headers
    contacts = headers.every(CONTACT)
    default = headers.first(EXPIRES)
    addresses = [contact for contact in contacts if isinstance(contact, NameAddr)]
    if len(addresses) < len(contacts):
        if len(contacts) > 1 or default != 0:
            raise PeerError(400, "* stands alone, with Expires: 0", header="Contact")
        return None
    path = tuple(str(entry) for entry in headers.every(PATH))
    outbound = "outbound" in headers.every(SUPPORTED)
    _check_schemes(call, [address.uri for address in addresses])
    bindings = [_binding(call, aor, each, default, path, outbound=outbound, now=now) for each in addresses]
    lasting = [binding for binding in bindings if binding.expires_at > now]
    if len(lasting) > 1 and any(binding.reg_id for binding in lasting):
        # RFC 5626 section 6: one REGISTER registers one instance over one flow.
        raise PeerError(400, "a contact with a reg-id is registered alone", header="Contact")
    return bindings


def _check_schemes(call: Call, contacts: list[Uri]) -> None:
    """RFC 5630 section 5.2: ``sips`` in a contact needs it in the Request-URI, all contacts and all of Path.

    And a ``sips`` Request-URI with another contact is "used inconsistently" (5.1.2).
    """
    uris: list[Uri] = [call.uri, *contacts]
    secure = [isinstance(uri, SipUri) and uri.secure for uri in uris]
    if any(secure):
        secure += [
            isinstance(entry.uri, SipUri) and entry.uri.secure for entry in call.request.headers.every(PATH)
        ]
        if not all(secure):
            raise PeerError(
                400, "sips in the Request-URI, every Contact and every Path, or in none", header="Contact"
            )


def _binding(
    call: Call,
    aor: str,
    contact: NameAddr,
    default: int | None,
    path: tuple[str, ...],
    *,
    outbound: bool,
    now: float,
) -> Binding:
    request, flow = call.request, call.flow
    policy = call.services.policy
    uri = contact.uri
    urn = instance(contact)
    if isinstance(uri, SipUri) and not uri.headers and policy.is_ours(uri) and policy.canonical(uri) == aor:
        raise PeerError(
            403, "the contact is the address itself: a loop (RFC 5627 section 5.1)", header="Contact"
        )
    if urn is not None and not isinstance(uri, SipUri):
        raise PeerError(403, "an instance has a SIP contact (RFC 5627 section 5.1)", header="Contact")
    number = (reg_id(contact) or 0) if outbound and urn is not None else 0
    by_flow = not path and (number > 0 or _only_by_flow(call, uri))
    return Binding(
        aor=aor,
        contact=str(uri),
        expires_at=now + lifetime(contact, default, policy.registrar),
        call_id=request.call_id,
        cseq=request.cseq.number,
        updated=now,
        q=thousandths(contact.params, "Contact") / 1000,
        params=str(contact.params.without(*KEPT_ELSEWHERE)),
        path=path,
        instance=f"<{urn}>" if urn is not None else "",
        reg_id=number,
        flow=flow.key if by_flow else "",
        received=f"{flow.transport} {flow.remote}",
        user_agent=request.headers.get("User-Agent") or "",
        privacy=privacy_of(call),
    )


def privacy_of(call: Call) -> tuple[str, ...]:
    """What is to be kept private of whoever answers at the contacts of a REGISTER: what that asks for, and what its
    account does (RFC 3323 section 4.4). Such calls pass the privacy service.

    Raises:
        PeerError: 400 when the Privacy can't be read; 500 when it is critical and can't be given.
    """
    user = call.findings.user
    default = user.account.rights.privacy if user is not None else NOTHING
    if not default and not call.request.headers.has("Privacy"):
        return ()
    wish = wish_of(call.request.headers, default)
    service = call.services.bridges
    unmet = [*wish.unknown, *(sorted(wish.values & BRIDGED) if service is None else ())]
    if service is not None and service.media is None and Privacy.SESSION in wish.values:
        unmet.append(Privacy.SESSION)
    if wish.critical and unmet:
        raise PeerError(500, f"privacy that can't be given: {', '.join(unmet)}", header="Privacy")
    return tuple(sorted(wish.values & BRIDGED))


def lifetime(contact: NameAddr, default: int | None, policy: RegistrarPolicy) -> int:
    """Seconds that a contact is to live: its own ``expires``, else Expires, else ours (step 7)."""
    text = contact.params.get("expires")
    wanted = policy.default_expires if default is None else default
    if text is not None:
        # "malformed values SHOULD be treated as equivalent to 3600" (section 10.2.1.1)
        wanted = (
            min(int(text), MAX_DELTA_SECONDS)
            if text.isascii() and text.isdecimal() and len(text) < 64
            else 3600
        )
    if 0 < wanted < min(policy.min_expires, NEVER_TOO_BRIEF):
        raise TooBrief
    return min(wanted, policy.max_expires)


def _only_by_flow(call: Call, contact: Uri) -> bool:
    """Whether this contact is reached over the flow of its REGISTER, not by its URI."""
    flow, policy = call.flow, call.services.policy
    if not isinstance(contact, SipUri) or policy.is_ours(contact):
        return False
    if contact.host.endswith(".invalid"):
        return True  # a browser or an anonymous phone: its Contact leads nowhere else (RFC 7118 section 5.2)
    if flow.reliable:
        return policy.registrar.flow_reuse is FlowReuse.ALWAYS
    # A NAT is between us when the phone is mistaken about its own address; then so is its Contact. A contact
    # elsewhere is no sign of that: a phone may register another one.
    own, told = flow.remote.host, call.request.via.host.strip("[]")
    return is_numeric(contact.address) and contact.address != own != told
