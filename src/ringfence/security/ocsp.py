"""OCSP: what the issuer of a certificate says of it now (RFC 6960), as far as a relying party needs it.

A question is about one certificate, and one URL (RFC 6960 appendix A.1). It has a nonce (RFC 9654): an answer with
another one was made for another question, and somebody plays it again. Many responders sign their answers beforehand,
without a nonce (RFC 5019 section 4); how old an answer may be is said by the answer itself. It is believed when the
issuer has signed it, or whom the issuer has made a responder by a certificate for that. Nothing is fetched here.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import quote

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from ringfence.security.unreadable import NO_EXTENSION, UNREADABLE

MAX_ANSWER = 65_536
"""Octets of an answer: one status and a few certificates are four thousand."""

MAX_CERTIFICATES = 4
"""Certificates of an answer that are looked at. A responder needs one."""

SKEW = timedelta(minutes=5)
"""How far the responder's clock may be from ours."""

UNSAID = timedelta(days=1)
"""How long an answer holds that does not say when the next one comes (RFC 6960 section 2.4: newer is always there)."""

NONCE_OCTETS = 32
"""Octets of a nonce of ours: the least that RFC 9654 section 2.1 lets one who asks send, and short enough for a URL."""

_BAD: tuple[type[Exception], ...] = (TypeError, *UNREADABLE)
_STRONG = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


class Status(StrEnum):
    """What is known of a certificate."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


class Told(NamedTuple):
    """The status, why it is not known, and until when this holds, in seconds since 1970."""

    status: Status
    why: str = ""
    until: float = 0.0


def responders(certificate: x509.Certificate) -> list[str]:
    """The URLs of the responders that a certificate names (RFC 5280 section 4.2.2.1), in its order."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except NO_EXTENSION:
        return []
    return [
        each.access_location.value
        for each in access
        if each.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(each.access_location, x509.UniformResourceIdentifier)
    ]


def question_url(
    responder: str, certificate: x509.Certificate, issuer: x509.Certificate, nonce: bytes = b""
) -> str:
    """The question as one URL to GET (RFC 6960 appendix A.1). ``nonce``: NONCE_OCTETS at random, or none."""
    encoded = b64encode(_question(certificate, issuer, nonce).public_bytes(Encoding.DER)).decode()
    return f"{responder.rstrip('/')}/{quote(encoded, safe='')}"


def _question(
    certificate: x509.Certificate, issuer: x509.Certificate, nonce: bytes = b""
) -> ocsp.OCSPRequest:
    # SHA-1 only names the issuer here; RFC 5019 section 2.1.1 wants it, and some responders know no other.
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1())  # noqa: S303
    if nonce:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build()


def judge_answer(
    data: bytes,
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    now: float,
    revoked: Iterable[x509.Certificate] = (),
    *,
    nonce: bytes = b"",
) -> Told:
    """What an answer says of a certificate (RFC 6960 section 3.2).

    ``revoked`` are responders known to be so. ``nonce`` is that of the question; an answer without one will do.
    """
    if len(data) > MAX_ANSWER:
        return Told(Status.UNKNOWN, f"the answer is longer than {MAX_ANSWER} octets")
    try:
        answer = ocsp.load_der_ocsp_response(data)
        if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return Told(Status.UNKNOWN, f"the responder says {answer.response_status.name.lower()}")
        moment = datetime.fromtimestamp(now, UTC)
        if why := _signature_flaw(answer, issuer, moment, tuple(revoked)):
            return Told(Status.UNKNOWN, why)
        if any(each.critical and not isinstance(each.value, x509.OCSPNonce) for each in answer.extensions):
            return Told(Status.UNKNOWN, "the answer has a critical extension that is not understood")
        if any(
            isinstance(each.value, x509.OCSPNonce) and each.value.nonce != nonce for each in answer.extensions
        ):
            return Told(Status.UNKNOWN, "the answer has the nonce of another question")
        return _status(answer, _question(certificate, issuer), moment)
    except _BAD as error:
        return Told(Status.UNKNOWN, f"the answer can't be read: {str(error)[:80]}")


def _status(answer: ocsp.OCSPResponse, asked: ocsp.OCSPRequest, moment: datetime) -> Told:
    found = next((one for one in answer.responses if _about(one, asked)), None)
    if found is None:
        return Told(Status.UNKNOWN, "the answer is about another certificate")
    begin = found.this_update_utc
    end = found.next_update_utc or begin + UNSAID
    if begin - SKEW > moment:
        return Told(Status.UNKNOWN, "the answer is from the future")
    if end + SKEW < moment:
        return Told(Status.UNKNOWN, f"the answer ended on {end:%Y-%m-%d %H:%M}")
    if found.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
        return Told(Status.UNKNOWN, "the responder does not know the certificate")
    revoked = found.certificate_status is ocsp.OCSPCertStatus.REVOKED
    return Told(Status.REVOKED if revoked else Status.GOOD, "", end.timestamp())


def _about(one: ocsp.OCSPSingleResponse, asked: ocsp.OCSPRequest) -> bool:
    return (
        one.serial_number == asked.serial_number
        and one.hash_algorithm.name == asked.hash_algorithm.name
        and one.issuer_name_hash == asked.issuer_name_hash
        and one.issuer_key_hash == asked.issuer_key_hash
    )


# ---- who has signed it (RFC 6960 section 4.2.2.2) ----


def _signature_flaw(
    answer: ocsp.OCSPResponse,
    issuer: x509.Certificate,
    moment: datetime,
    revoked: Sequence[x509.Certificate],
) -> str:
    digest = answer.signature_hash_algorithm
    if digest is not None and not isinstance(digest, _STRONG):
        return f"the answer is signed with {digest.name}, which can be forged"
    signers = [issuer, *answer.certificates[:MAX_CERTIFICATES]]
    signer = next((each for each in signers if _is_responder(answer, each)), None)
    if signer is None:
        return "the certificate of the responder is not in the answer"
    if signer != issuer and (why := _delegation_flaw(signer, issuer, moment, revoked)):
        return f"the responder {why}"
    return "" if _signed_by(answer, signer.public_key()) else "the signature of the answer does not match"


def _is_responder(answer: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    if answer.responder_name is not None:
        return answer.responder_name == certificate.subject
    # KeyHash is the SHA-1 of the key (section 4.2.1), which is how subject key identifiers are made, too.
    made = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
    return answer.responder_key_hash == made.digest


def _delegation_flaw(
    signer: x509.Certificate,
    issuer: x509.Certificate,
    moment: datetime,
    revoked: Sequence[x509.Certificate],
) -> str:
    try:
        signer.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return "is not one of the certificate's issuer"
    if not signer.not_valid_before_utc <= moment <= signer.not_valid_after_utc:
        return "has a certificate that is not valid now"
    try:
        usages = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return "has no certificate for OCSP"
    if ExtendedKeyUsageOID.OCSP_SIGNING not in usages:
        return "has a certificate for another use"
    return "has been revoked" if signer in revoked else ""


def _signed_by(answer: ocsp.OCSPResponse, key: object) -> bool:
    signature, data, digest = answer.signature, answer.tbs_response_bytes, answer.signature_hash_algorithm
    try:
        if isinstance(key, rsa.RSAPublicKey) and digest is not None:
            key.verify(signature, data, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and digest is not None:
            key.verify(signature, data, ec.ECDSA(digest))
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, data)
        else:
            return False
    except InvalidSignature:
        return False
    return True
