"""The Contacts of a REGISTER, read into bindings (RFC 3261 section 10.3 steps 6 and 7, RFC 5626 section 6)."""

from __future__ import annotations

from ringfence.message import NameAddr, PeerError, SipUri
from ringfence.message.fields import CONTACT, EXPIRES, PATH, SUPPORTED, Star
from ringfence.message.fields.numbers import MAX_DELTA_SECONDS
from ringfence.roles.call import Call
from ringfence.roles.policy import FlowReuse, RegistrarPolicy
from ringfence.store.records import Binding

KEPT_ELSEWHERE = ("expires", "q", "reg-id", "+sip.instance", "pub-gruu", "temp-gruu", "temp-gruu-cookie")
"""Contact parameters that are not kept as text: they have fields of their own, or are for us to say."""


class TooBrief(Exception):
    """A contact asks for less than the shortest registration."""


def read_contacts(call: Call, aor: str, now: float) -> list[Binding] | None:
    """The bindings that the Contacts ask for; those that are to end have ``expires_at`` now. None stands for ``*``.

    Raises:
        PeerError: 400 for what RFC 3261 or 5626 do not allow.
        TooBrief: step 7, to be answered 423.
    """
    headers = call.request.headers
    contacts = headers.every(CONTACT)
    default = headers.first(EXPIRES)
    if any(isinstance(contact, Star) for contact in contacts):
        if len(contacts) > 1 or default != 0:
            raise PeerError(400, "* stands alone, with Expires: 0", header="Contact")
        return None
    outbound = "outbound" in headers.every(SUPPORTED)
    bindings = [
        _binding(call, aor, contact, default, outbound=outbound, now=now)
        for contact in contacts
        if isinstance(contact, NameAddr)
    ]
    if sum(binding.reg_id > 0 for binding in bindings) > 1:
        raise PeerError(400, "only one contact of a REGISTER has a reg-id", header="Contact")
    return bindings


def _binding(
    call: Call, aor: str, contact: NameAddr, default: int | None, *, outbound: bool, now: float
) -> Binding:
    request, flow = call.request, call.flow
    policy = call.services.policy.registrar
    uri = contact.sip
    if call.uri.secure and not uri.secure:
        # RFC 5630 section 5.1.1.1: a sips address is only reached by sips contacts.
        raise PeerError(400, "a sips registration needs sips contacts", header="Contact")
    path = tuple(str(entry) for entry in request.headers.every(PATH))
    instance = contact.params.get("+sip.instance") or ""
    reg_id = _reg_id(contact) if outbound and instance else 0
    by_flow = not path and (reg_id > 0 or _only_by_flow(call, uri, policy))
    return Binding(
        aor=aor,
        contact=str(uri),
        expires_at=now + lifetime(contact, default, policy),
        call_id=request.call_id,
        cseq=request.cseq.number,
        updated=now,
        q=_q(contact),
        params=str(contact.params.without(*KEPT_ELSEWHERE)),
        path=path,
        instance=instance,
        reg_id=reg_id,
        flow=flow.key if by_flow else "",
        received=f"{flow.transport} {flow.remote}",
        user_agent=request.headers.get("User-Agent") or "",
    )


def lifetime(contact: NameAddr, default: int | None, policy: RegistrarPolicy) -> int:
    """Seconds that a contact is to live: its own ``expires``, else Expires, else ours (step 7)."""
    text = contact.params.get("expires")
    wanted = policy.default_expires if default is None else default
    if text is not None:
        # "malformed values SHOULD be treated as equivalent to 3600" (section 10.2.1.1)
        wanted = min(int(text), MAX_DELTA_SECONDS) if text.isdecimal() and len(text) < 64 else 3600
    if 0 < wanted < policy.min_expires:
        raise TooBrief
    return min(wanted, policy.max_expires)


def _q(contact: NameAddr) -> float:
    """qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ) (RFC 3261 section 25.1)"""
    text = contact.params.get("q")
    if text is None:
        return 1.0
    whole, _, part = text.partition(".")
    digits = whole in {"0", "1"} and len(part) <= 3 and (not part or (part.isascii() and part.isdecimal()))
    if not digits or float(text) > 1:
        raise PeerError(400, f"q={text[:20]} is not between 0 and 1", header="Contact")
    return float(text)


def _reg_id(contact: NameAddr) -> int:
    text = contact.params.get("reg-id")
    if text is None:
        return 0
    if not text.isdecimal() or not 0 < len(text) < 11 or not 0 < int(text) < 2**31:
        raise PeerError(400, f"reg-id={text[:20]} is not between 1 and 2**31 - 1", header="Contact")
    return int(text)


def _only_by_flow(call: Call, contact: SipUri, policy: RegistrarPolicy) -> bool:
    """Whether this contact is reached over the flow of its REGISTER, not by its URI."""
    flow = call.flow
    if contact.host.endswith(".invalid"):
        return True  # a browser or an anonymous phone: its Contact leads nowhere else (RFC 7118 section 5.2)
    if flow.reliable:
        return policy.flow_reuse is FlowReuse.ALWAYS
    return contact.address != flow.remote.host  # a NAT is between us
