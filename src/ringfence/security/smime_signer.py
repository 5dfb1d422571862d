"""Whose signature an S/MIME body has: the person behind a certificate (RFC 3261 sections 23.1 and 23.2).

Three questions, each answered with reasons: is the signature good, does a trusted authority stand behind its
certificate, and does that certificate speak for the address that the message claims. For certificates that no
authority vouches for there is the fourth one: is it the one that this address had before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from ringfence.message.uri import SipUri, Uri
from ringfence.security.certificates import ID_KP_SIP_DOMAIN, domain_identities, user_identities
from ringfence.security.chains import fingerprint, judge_chain, subject_text
from ringfence.security.cms_signed import Signature
from ringfence.security.reasons import Reason, Reasons

USAGES = (ExtendedKeyUsageOID.EMAIL_PROTECTION, ID_KP_SIP_DOMAIN)
"""What a certificate that limits its usage must allow (RFC 8550 section 4.4.4; RFC 5924 for a domain)."""


class Speaks(StrEnum):
    """For whom a certificate speaks, compared with an address."""

    USER = "the user"
    DOMAIN = "the user's domain"
    NOBODY = "somebody else"


class Signer(NamedTuple):
    """A signature with the person behind it: proven when there are no reasons."""

    certificate: x509.Certificate | None
    speaks: Speaks
    addresses: tuple[str, ...]
    reasons: Reasons
    path: tuple[x509.Certificate, ...] = ()
    """From the certificate to an authority; as it came, where none stands behind it."""

    @property
    def text(self) -> str:
        """What RFC 3261 section 23.2 wants shown to a user: subject, issuer and fingerprint."""
        if self.certificate is None:
            return "unknown certificate"
        issuer = self.certificate.issuer.rfc4514_string()
        return (
            f"{subject_text(self.certificate)}, issued by {issuer}, SHA-256 {fingerprint(self.certificate)}"
        )


class SignerFlaw(StrEnum):
    """Why a good signature is not that of the expected person."""

    OTHER_ADDRESS = "other address"
    NO_ADDRESS = "no address"


def speaks_for(certificate: x509.Certificate, address: Uri) -> Speaks:
    """Compare the subjectAltName with an address (RFC 3261 section 23.1, RFC 8591 section 4.4.1, RFC 3893
    7)."""
    if not isinstance(address, SipUri):
        return Speaks.NOBODY
    if address.aor.lower() in {known.lower() for known in user_identities(certificate)}:
        return Speaks.USER
    # A user's certificate names its domain nowhere as a domain identity (RFC 5922 section 7.1).
    return Speaks.DOMAIN if address.host in domain_identities(certificate).domains else Speaks.NOBODY


def addresses_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The addresses of a user, or else of a domain, that a certificate is for."""
    return user_identities(certificate) or tuple(
        f"sip:{one}" for one in domain_identities(certificate).domains
    )


def signer_of(
    signature: Signature,
    address: Uri,
    anchors: Sequence[x509.Certificate],
    now: float,
    *,
    others: Sequence[x509.Certificate] = (),
    revocation: Iterable[x509.CertificateRevocationList] = (),
) -> Signer:
    """Whose signature this is: the signature itself, the chain of its certificate, and its address.

    ``address`` is the From of a request, or the To of a response. ``others`` are certificates that came
    along.
    """
    certificate = signature.certificate
    if certificate is None:
        return Signer(None, Speaks.NOBODY, (), signature.reasons)
    chain = [certificate, *(one for one in others if one != certificate)]
    judged = judge_chain(chain, anchors, now, revocation, usages=USAGES)
    reasons = signature.reasons + judged.reasons
    speaks = speaks_for(certificate, address)
    addresses = addresses_of(certificate)
    if speaks is Speaks.NOBODY:
        named = ", ".join(addresses[:3])
        code = SignerFlaw.OTHER_ADDRESS if addresses else SignerFlaw.NO_ADDRESS
        detail = f"the certificate is for {named or 'no SIP address'}, not for {address!s:.80}"
        reasons += (Reason(code, detail),)
    return Signer(certificate, speaks, addresses, reasons, judged.path)


# ---- pinning (RFC 3261 section 23.2) ----


class Pin(NamedTuple):
    """What a keyring remembers of a certificate: its fingerprint and that of its key."""

    certificate: str
    key: str


class Pinned(StrEnum):
    """How a certificate compares with those known for an address."""

    FIRST_CONTACT = "first contact"
    SAME = "same certificate"
    RENEWED = "same key, new certificate"
    CHANGED = "changed"


def pin_of(certificate: x509.Certificate) -> Pin:
    """What to remember of a certificate."""
    digest = Hash(SHA256())
    digest.update(certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return Pin(fingerprint(certificate), digest.finalize().hex())


def pinned(certificate: x509.Certificate, known: Iterable[Pin]) -> Pinned:
    """Compare with the pins of this address. ``CHANGED`` must be told to the user as a possible attack, and
    the new pin stored only when the user agrees, beside the old ones."""
    pins, own = tuple(known), pin_of(certificate)
    if not pins:
        return Pinned.FIRST_CONTACT
    if any(pin.certificate == own.certificate for pin in pins):
        return Pinned.SAME
    return Pinned.RENEWED if any(pin.key == own.key for pin in pins) else Pinned.CHANGED
