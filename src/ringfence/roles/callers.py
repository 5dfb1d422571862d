"""Who calls, on what evidence, and who checked it: the verdict on one caller, and how it is told and kept.

The evidence has an order. A signature speaks for one caller; the certificate of a connection speaks for a domain, and
so for whoever that domain lets call in its name (RFC 3261 section 26.3.2.2); a trusted peer is believed (RFC 3325);
and what a stranger writes into From is only what it writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ringfence.guard.reputation import PLACE, Handle
from ringfence.message import Headers, PeerError, Request, SipUri, parse_uri
from ringfence.security.asserted import privacy_values
from ringfence.security.canonical import Party, identity_of
from ringfence.security.told import NAME as MARK
from ringfence.security.told import Told, Word
from ringfence.transport.flow import Flow
from ringfence.transport.limits import source_of

if TYPE_CHECKING:
    from ringfence.roles.call import Call

MAX_NAME = 300
"""Characters of a caller's name that tell it from another one."""

PRIVATE = frozenset({"id", "user", "header"})
"""What a caller asks for who does not want to be named (RFC 3323 section 4.2, RFC 3325 section 9.3)."""


class Proof(StrEnum):
    """What speaks for a caller."""

    ACCOUNT = "account"
    """It is a user of ours, who has authenticated."""
    PASSPORT = "signature"
    """A PASSporT, signed by the caller's domain or number holder (RFC 8224)."""
    BODY = "signed body"
    """An authenticated identity body, signed by the caller (RFC 3893)."""
    ASSERTED = "trusted peer"
    """A trusted peer asserts it (RFC 3325)."""
    CONNECTION = "connection"
    """The certificate of the connection is for the caller's domain (RFC 5922)."""
    FAILED = "failed"
    """It was signed, and the signature is not for this call."""
    NONE = "none"
    """Nothing."""


@dataclass(slots=True, init=False)
class Caller:
    """The verdict. ``who`` is canonical, and what it claims to be when there is no proof."""

    who: Party
    proof: Proof
    evidence: str
    """One phrase for a person."""
    checked_by: str
    """The domain or peer that has looked at the proof."""

    def __init__(self, who: Party, proof: Proof, evidence: str, checked_by: str) -> None:
        self.who = who  # spelt out, so that it is compiled
        self.proof = proof
        self.evidence = evidence
        self.checked_by = checked_by

    @property
    def proven(self) -> bool:
        """Whether it is who it says."""
        return self.proof not in {Proof.FAILED, Proof.NONE}

    @property
    def told(self) -> Told:
        """The word for a phone."""
        if self.proven:
            return Told.VERIFIED
        return Told.FAILED if self.proof is Proof.FAILED else Told.UNVERIFIED


def mark(request: Request, caller: Caller, *, anonymous: bool = False, unproven: str = "") -> None:
    """Tell a phone of ours who calls, unless the caller wants not to be named."""
    named = caller.proven and not anonymous and not wants_privacy(request.headers)
    who = str(caller.who) if named else ""
    request.headers.set(MARK, Word(caller.told, caller.evidence, caller.checked_by, who, unproven))


def wants_privacy(headers: Headers) -> bool:
    """Whether the sender does not want to be named. When its wish can't be read it is taken for that."""
    if not headers.has("Privacy"):
        return False
    try:
        return not PRIVATE.isdisjoint(privacy_values(headers))
    except PeerError:
        return True


def in_private(call: Call) -> bool:
    """Whether nothing that names the sender of a request may be logged: it asks for that, or its account does."""
    user = call.findings.user
    return (user is not None and bool(user.account.rights.privacy)) or wants_privacy(call.request.headers)


def handle_of(caller: Caller, flow: Flow) -> Handle:
    """How the caller is known again."""
    domain = caller.who.value.rpartition("@")[2] if caller.who.kind == "uri" else ""
    if caller.proven:
        return Handle((name_of(caller.who),), True, (f"domain:{domain}",) if "@" in caller.who.value else ())
    claim = f"claim:{domain or caller.who.value}"[:MAX_NAME]
    groups = (name_of(caller.who), *((f"domain:{domain}",) if domain else ()))
    return Handle((f"{PLACE}{source_of(flow.remote.host)}", claim), False, groups)


def name_of(party: Party) -> str:
    """The name of a proven caller in what people say of it. ``sip`` and ``sips`` are one (RFC 5630 section 3.3)."""
    value = party.value
    if value.startswith("sips:"):
        value = f"sip:{value[5:]}"
    return f"{party.kind}:{value}"[:MAX_NAME]


def handle_named(text: str) -> Handle:
    """The handle for a name as a person or a list writes it, such as ``tn:12155551212`` or ``sip:bob@example.com``.

    Raises:
        ValueError: when it is none.
    """
    kind, colon, rest = text.strip().partition(":")
    if kind in {"sip", "sips", "tel"}:
        try:
            uri = parse_uri(text.strip())
        except PeerError as error:
            raise ValueError(error.reason) from None
        if isinstance(uri, SipUri) and not uri.user:
            return Handle((f"domain:{uri.host}",), True)
        return Handle((name_of(identity_of(uri)),), True)
    if kind not in {"tn", "uri", "domain", "address", "claim"} or not colon or not rest:
        raise ValueError("expected sip:USER@DOMAIN, tel:+NUMBER, domain:NAME or address:ADDRESS")
    return Handle((text.strip()[:MAX_NAME],), kind in {"tn", "uri", "domain"})
