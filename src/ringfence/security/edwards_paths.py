"""Certificate paths with Ed25519 keys in them (RFC 8410), which the verifier of ``cryptography`` refuses: its rules are
those of the web. S/MIME has such certificates (RFC 8551 section 2.5; RFC 9216 has samples).

Each step up is a signature that ``cryptography`` checks. Beside it stands as much of RFC 5280 section 6.1 as these
paths need: times, who may issue, how far down, strength of keys and digests. Anything further that a certificate
demands of who verifies it, such as name constraints, is refused and not passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from ringfence.security.unreadable import UNREADABLE

MAX_STEPS = 10
"""From the first certificate to a trusted one; as many as the verifier of the library goes."""

MIN_RSA_BITS = 2048
"""As the verifier of the library has it."""

_DIGESTS = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_UNDERSTOOD = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectAlternativeName)
"""Extensions that may be critical: these are judged, here or where the certificate is used."""


def has_edwards_key(certificates: Sequence[x509.Certificate]) -> bool:
    """Whether one of these has an Ed25519 key."""
    return any(isinstance(_key(each), ed25519.Ed25519PublicKey) for each in certificates)


def build_path(
    chain: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate], now: float
) -> list[x509.Certificate]:
    """A path from the first certificate of ``chain`` to an anchor, by way of the others.

    Raises:
        ValueError: when there is none; it says why.
    """
    moment = datetime.fromtimestamp(now, UTC)
    path, left = [chain[0]], list(chain[1:MAX_STEPS])
    if flaw := _flaw(chain[0], moment):
        raise ValueError(flaw)
    while len(path) <= MAX_STEPS:
        below = len(path) - 1
        why = "no certificate of its issuer is here"
        for each in [*anchors, *left]:
            if each.subject != path[-1].issuer or not _issued(path[-1], each):
                continue
            why = _flaw(each, moment) or _issuer_flaw(each, below)
            if not why:
                path.append(each)
                break
        if why:
            raise ValueError(why)
        if path[-1] in anchors:
            return path
        left.remove(path[-1])  # each is used once, so a loop ends
    raise ValueError(f"more than {MAX_STEPS} certificates")


def _key(certificate: x509.Certificate) -> object:
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _flaw(certificate: x509.Certificate, moment: datetime) -> str:
    """What speaks against any certificate of a path."""
    if not certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc:
        return "an issuer's certificate is not valid now"
    key, digest = _key(certificate), certificate.signature_hash_algorithm
    strong = isinstance(key, ed25519.Ed25519PublicKey)
    strong = strong or (isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS)
    strong = strong or (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES))
    if not strong or not (digest is None or isinstance(digest, _DIGESTS)):
        return "a key or digest in the path is too weak"
    try:
        extensions = list(certificate.extensions)
    except UNREADABLE:
        return "its extensions can't be read"
    for each in extensions:
        if isinstance(each.value, x509.NameConstraints):
            return "name constraints are not judged over Ed25519 keys"
        if each.critical and not isinstance(each.value, _UNDERSTOOD):
            return f"the critical extension {each.oid.dotted_string} is not understood"
    return ""


def _issuer_flaw(certificate: x509.Certificate, below: int) -> str:
    """What speaks against who issues; ``below`` issuers follow it (RFC 5280 section 6.1.4 steps k to n)."""
    constraints = usage = None
    for each in certificate.extensions:
        if isinstance(each.value, x509.BasicConstraints):
            constraints = each.value
        elif isinstance(each.value, x509.KeyUsage):
            usage = each.value
    if constraints is None or not constraints.ca or (usage is not None and not usage.key_cert_sign):
        return "an issuer is no authority"
    if constraints.path_length is not None and constraints.path_length < below:
        return "an issuer may not issue so far down"
    return ""
