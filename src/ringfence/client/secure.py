"""End to end: protect what an agent sends, open what it gets, and say what that proves (RFC 3261 section 23).

Signed first, then encrypted. With a copy of the whole message inside (``message/sip``) the header fields are protected
too, and those that only tell something to people are left out outside when the copy is encrypted. What arrives is
opened layer by layer to what a phone without any of this would have got; the findings go along as a ``Protection``.
A bad signature is told, never refused: whether to talk is up to people. What can't be decrypted is a 493.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar

from cryptography import x509

from ringfence.client.certificates import Certificates
from ringfence.client.peer import Evidence, Peer, plain
from ringfence.client.protection import Protection, Wish
from ringfence.message import LocalError, Message, NameAddr, PeerError, Request, Response, SipUri, Uri
from ringfence.message.fields import FROM, TO
from ringfence.message.fields.date import format_date
from ringfence.message.multipart import Entity, join, make_entity
from ringfence.message.sipfrag import Fragment, StatusLine
from ringfence.security import agreement
from ringfence.security.aib import DISPOSITION as AIB
from ringfence.security.aib import (
    AibVerdict,
    aib_for_request,
    aib_for_response,
    find_aibs,
    judge_request,
    judge_response,
)
from ringfence.security.chains import ChainFlaw, fingerprint
from ringfence.security.cms import malformed
from ringfence.security.replay import ReplayWindow
from ringfence.security.smime import (
    Secured,
    best_cipher,
    body_of,
    certificates_body,
    encrypted_body,
    entity_of,
    is_secured,
    open_body,
    put_body,
    signed_body,
)
from ringfence.security.smime_signer import Pinned, Signer, SignerFlaw, Speaks, signer_of
from ringfence.security.tunnel import (
    CONFIDENTIAL,
    MAX_AGE,
    Compared,
    age_flaw,
    compare,
    read_tunnelled,
    tunnelled,
)

CERTIFICATES = "application/pkcs7-mime"
"""What an OPTIONS accepts that asks for certificates."""

PRIVATE = ("Subject", "Organization", "Reply-To", "In-Reply-To", "User-Agent")
"""Left out outside when an encrypted copy holds them. The rest of what may be hidden (RFC 3261 section 23.4.1.2), such
as Supported, is read by proxies too."""

# An unknown authority does not make a signature bad: the certificate may be known by itself.
_UNKNOWN_AUTHORITY = frozenset({ChainFlaw.SELF_SIGNED, ChainFlaw.UNTRUSTED})

AnyMessage = TypeVar("AnyMessage", Request, Response)


class Secure:
    """The end-to-end security of one agent."""

    def __init__(self, certificates: Certificates, token: Callable[[], str]) -> None:
        self.certificates = certificates
        self._token = token
        self._replay = ReplayWindow(MAX_AGE)
        self._aib_replay = ReplayWindow(MAX_AGE)
        self._capabilities: dict[str, tuple[str, ...]] = {}

    # -- sending ---------------------------------------------------------------------------------------

    def lacks(self, wish: Wish, address: Uri) -> str:
        """What is missing to protect a message to this address; empty when nothing is."""
        if (wish.signs or wish.aib) and self.certificates.own is None:
            return "a certificate of our own is needed to sign: see ringfence cert issue --user"
        if wish.encrypt and not self.certificates.recipients(address, time.time()):
            return f"no certificate of {plain(address)} is known to encrypt to"
        return ""

    def possible(self, wish: Wish, address: Uri) -> Wish:
        """As much of it as can be done, for an answer to somebody who protected their request."""
        can_sign = self.certificates.own is not None
        encrypt = wish.encrypt and bool(self.certificates.recipients(address, time.time()))
        return Wish(wish.sign and can_sign, encrypt, wish.tunnel and can_sign, wish.aib and can_sign)

    def protect(self, message: Request | Response, wish: Wish, request: Request | None = None) -> None:
        """Protect a message that is complete but for its credentials. ``request`` is what a response answers.

        Raises:
            LocalError: when a certificate is missing.
        """
        to = message.to.uri if isinstance(message, Request) else message.from_.uri
        if lacking := self.lacks(wish, to):
            raise LocalError(lacking)
        now = time.time()
        if wish.signs or wish.aib:
            message.headers.set("Date", format_date(datetime.fromtimestamp(int(now), UTC)))
        entity = entity_of(message)
        if wish.aib:
            entity = self._with_aib(entity, message, request, now)
        if wish.tunnel:
            entity = self._tunnelled(entity, message, encrypt=wish.encrypt)
        own = self.certificates.own
        if wish.signs and own is not None:
            entity = signed_body(entity, [own], now, self._token())
        if wish.encrypt:
            recipients = self.certificates.recipients(to, now)
            entity = encrypted_body(entity, recipients, best_cipher(self._capabilities.get(plain(to), ())))
        put_body(message, entity)

    def _with_aib(
        self, entity: Entity, message: Request | Response, request: Request | None, now: float
    ) -> Entity:
        own = self.certificates.own
        assert own is not None  # ``lacks`` has seen to it
        if isinstance(message, Request):
            statement = aib_for_request(message)
        elif request is not None:
            statement = aib_for_response(request, message, message.to, now)
        else:
            raise LocalError("the identity body of a response needs its request")
        signed = signed_body(statement, [own], now, self._token())
        # Who knows no S/MIME may pass it over, and take the session description.
        signed = make_entity(signed.headers.get("Content-Type") or "", signed.body, AIB)
        return join([entity, signed] if entity.body else [signed], self._token(), "mixed")

    @staticmethod
    def _tunnelled(entity: Entity, message: Request | Response, *, encrypt: bool) -> Entity:
        copy = message.copy()
        put_body(copy, entity)
        for name in ("Proxy-Authorization", "Authorization"):
            copy.headers.remove(name)
        agreement.strip(copy)
        if encrypt:
            for name in PRIVATE:
                message.headers.remove(name)
        return tunnelled(copy)

    def show_certificates(self, response: Response) -> None:
        """Put our certificates on a 493, or on the answer to an OPTIONS that asks for them (RFC 3261 section 23.2)."""
        if shown := self.certificates.shown():
            put_body(response, certificates_body(shown))

    # -- receiving -------------------------------------------------------------------------------------

    def open(self, message: AnyMessage, now: float | None = None) -> tuple[AnyMessage, Protection | None]:
        """What is inside a message, and what its protection proves; a message without any comes back as it is.

        ``now``: the moment to judge it at, seconds since 1970, if not the present one.

        Raises:
            PeerError: 493 when it is encrypted to others, 400 when it is malformed, 413 over a limit.
        """
        if not message.body:
            return message, None
        body = body_of(message)
        secured = Secured(body, ())
        if is_secured(body):
            secured = open_body(body, self.certificates.keyrings, self.certificates.every())
        elif body.media_type.essence != "multipart/mixed":
            return message, None
        opened, protection = self._judge(message, secured, time.time() if now is None else now)
        if not secured.layers and protection.aib is None:
            return message, None
        return opened, protection

    def _judge(self, message: AnyMessage, secured: Secured, now: float) -> tuple[AnyMessage, Protection]:
        entity = secured.entity
        warnings: list[str] = []
        comparison, sender = None, message.from_ if isinstance(message, Request) else message.to
        opened = message.copy()
        tunnel = read_tunnelled(entity) if entity is not None and secured.layers else None
        if tunnel is not None and not tunnel[1] and _reports(message, tunnel[0]):
            tunnel = None
        if tunnel is not None:
            fragment, whole = tunnel
            comparison = compare(fragment, message, encrypted=secured.encrypted, whole=whole)
            warnings += [f"{line.name} {line.reason}" for line in comparison.violations]
            warnings += self._old(fragment, message, now)
            with suppress(PeerError):  # one that can't be read is a changed one, and counts as that
                sender = fragment.headers.first(FROM if isinstance(message, Request) else TO) or sender
            entity = Entity(fragment.headers, fragment.body)
            for line in comparison.lines:
                if line.compared is Compared.HIDDEN and line.name in CONFIDENTIAL:
                    opened.headers.remove(line.name)
                    for value in line.inner:
                        opened.headers.add(line.name, value)
        protection = self._signature(secured, sender, now, warnings)
        aib = self._aib(entity, message, now)
        if aib is not None and entity is not None:
            entity = _without_secured_parts(entity)
        put_body(opened, entity if entity is not None else Entity(opened.headers, b""))
        cipher = next((layer.cipher.name for layer in secured.layers if layer.cipher is not None), "")
        return opened, protection._replace(
            encrypted=cipher, comparison=comparison, aib=aib, warnings=tuple(warnings), sender=sender
        )

    def _old(self, fragment: Fragment, message: Request | Response, now: float) -> list[str]:
        """Whether the signed copy may have been sent before (RFC 3261 section 23.4.2)."""
        flaw = age_flaw(fragment.headers, now)
        if flaw is not None:
            return [flaw]
        if isinstance(message, Response):
            return []  # it answers our own request: its Via and CSeq are ours
        key = f"{message.call_id} {message.cseq}".encode("utf-8", "surrogateescape")
        call = f"{message.via.branch}"
        if self._replay.replayed(key, call, now):
            return ["this message has come before: somebody sends it again"]
        self._replay.remember(key, call, now)
        return []

    def _signature(self, secured: Secured, sender: NameAddr, now: float, warnings: list[str]) -> Protection:
        layer = secured.signature_layer
        if layer is None or not layer.signatures:
            return Protection()
        signature, known = layer.signatures[0], self.certificates
        signer = signer_of(
            signature, sender.uri, known.anchors, now, others=layer.certificates, revocation=known.revocation
        )
        serious = [reason for reason in signer.reasons if reason.code not in _UNKNOWN_AUTHORITY]
        warnings += [f"the signature does not count: {reason.detail}" for reason in serious]
        if serious or signer.certificate is None:
            return Protection(signer=signer, intact=layer.intact)
        self._capabilities[plain(sender.uri)] = signature.capabilities
        met = known.meet(sender.uri, signer.certificate, now, layer.certificates)
        if met is None:
            return Protection(signer=signer, intact=layer.intact, vouched=not signer.reasons)
        if met.pinned is Pinned.CHANGED:
            warnings.append(changed_warning(sender.uri, signer.certificate, vouched=met.vouched))
        return Protection(signer=signer, intact=layer.intact, pinned=met.pinned, vouched=met.vouched)

    def _aib(self, entity: Entity | None, message: Request | Response, now: float) -> AibVerdict | None:
        if entity is None or not entity.body:
            return None
        found = find_aibs(entity, self.certificates.keyrings, self.certificates.every())
        if not found:
            return None
        known = self.certificates
        if isinstance(message, Response):
            return judge_response(found[0], message, known.anchors, now, revocation=known.revocation)
        return judge_request(
            found[0], message, known.anchors, now, revocation=known.revocation, replay=self._aib_replay
        )

    # -- certificates of others ------------------------------------------------------------------------

    def learn(self, response: Response, address: SipUri) -> bool:
        """Take the certificates that somebody sent of themselves; gives whether one is new and believed.

        Raises:
            LocalError: when they are others than before, and nobody vouches for them.
        """
        now = time.time()
        try:
            body = body_of(response)
            layers = open_body(body).layers if response.body and is_secured(body) else ()
        except PeerError:
            return False
        sent = [each for layer in layers for each in layer.certificates]
        new = False
        for certificate in sent:
            met = self.certificates.meet(address, certificate, now, sent)
            if met is not None and not met.accepted:
                raise LocalError(changed_warning(address, certificate, vouched=False))
            new = new or (met is not None and met.pinned is not Pinned.SAME)
        return new

    def take(self, data: bytes, address: SipUri, *, sure: bool) -> bool:
        """A certificate (DER) that the domain of an address has told us; gives whether it is believed.

        ``sure``: it came so that nobody between our own server and us can have changed it.

        Raises:
            LocalError: when it is another one than before, and nobody vouches for it.
        """
        certificate, now = _certificate(data), time.time()
        if certificate is None or not (sure or self.certificates.vouched_for([certificate], now)):
            return False
        met = self.certificates.meet(address, certificate, now)
        if met is not None and not met.accepted:
            raise LocalError(changed_warning(address, certificate, vouched=False))
        return met is not None


def _reports(message: Message, fragment: Fragment) -> bool:
    """Whether a fragment is what a NOTIFY tells of another message (RFC 3515 section 2.4.5), and no copy of its own."""
    return (
        isinstance(message, Request) and message.method == "NOTIFY" and isinstance(fragment.start, StatusLine)
    )


def _certificate(data: bytes) -> x509.Certificate | None:
    try:
        with malformed():
            return x509.load_der_x509_certificate(data)
    except PeerError:
        return None


def _without_secured_parts(entity: Entity) -> Entity | None:
    """What is left of a body once its identity body has been judged."""
    if is_secured(entity):
        return None
    left = [part for part in entity.parts() if not is_secured(part)]
    if len(left) == len(entity.parts()):
        return entity
    return (
        left[0]
        if len(left) == 1
        else join(left, entity.media_type.params.get("boundary") or "")
        if left
        else None
    )


def changed_warning(address: Uri, certificate: x509.Certificate, *, vouched: bool) -> str:
    """What a user is told when an address suddenly has another certificate."""
    mark = fingerprint(certificate)
    if vouched:
        return f"{plain(address)} has a new certificate, which an authority vouches for (SHA-256 {mark})"
    return (
        f"{plain(address)} has another certificate than before, and nobody vouches for it: somebody may be between "
        f"you. Compare its SHA-256 fingerprint with them on another way before you accept it: {mark}"
    )


def judged(peer: Peer, protection: Protection | None) -> Peer:
    """Who the peer is, with what end-to-end security adds to what the network says."""
    if protection is None:
        return peer
    identity, evidence = _proved(protection)
    if identity is None or _strength(evidence) <= _strength(peer.evidence):
        return peer._replace(protection=protection)
    return Peer(plain(identity.uri), identity.display, evidence, protection)


def _proved(protection: Protection) -> tuple[NameAddr | None, Evidence]:
    found: list[tuple[NameAddr | None, Evidence]] = [(None, Evidence.CLAIMED)]
    if (evidence := _of_signer(protection)) is not None:
        found.append((protection.sender, evidence))
    aib = protection.aib
    if aib is not None and not aib.reasons and aib.signer is not None:
        by_user = aib.signer.speaks is Speaks.USER
        found.append((aib.identity, Evidence.SIGNED if by_user else Evidence.DOMAIN))
    return max(found, key=lambda each: _strength(each[1]))


def _of_signer(protection: Protection) -> Evidence | None:
    signer: Signer | None = protection.signer
    if signer is None or not protection.intact or _named_otherwise(signer):
        return None
    if any(line.name == "From" for line in protection.changed):
        return None  # what was signed is not what the network carried: neither is believed
    if protection.vouched:
        return Evidence.SIGNED if signer.speaks is Speaks.USER else Evidence.DOMAIN
    if protection.pinned in {Pinned.SAME, Pinned.RENEWED}:
        return Evidence.PINNED
    return Evidence.FIRST_CONTACT if protection.pinned is Pinned.FIRST_CONTACT else None


def _named_otherwise(signer: Signer) -> bool:
    return any(isinstance(reason.code, SignerFlaw) for reason in signer.reasons)


_ORDER = list(Evidence)


def _strength(evidence: Evidence) -> int:
    return _ORDER.index(evidence)
