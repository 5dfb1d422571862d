"""Whether one signature of a SignedData object fits its signer's key (RFC 5652 section 5.6), by which algorithms.

Old ones are checked like the others and then not believed: so one that was changed is told from one that is only weak.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa

from ringfence.security import cms as syntax
from ringfence.security.cms import DIGESTS, ECDSA_WITH, RSA_WITH, SHA512, Digest
from ringfence.security.reasons import Reason

MIN_RSA_BITS = 2048
"""Shortest RSA key that is believed (RFC 8551 section 4.3: shorter ones only for old mail)."""


class SignatureFlaw(StrEnum):
    """What can be wrong with a signature."""

    NO_CERTIFICATE = "no certificate"
    NO_CONTENT = "no content"
    DIGEST = "content changed"
    SIGNATURE = "signature"
    WEAK_DIGEST = "weak digest"
    WEAK_KEY = "weak key"
    OLD_ALGORITHM = "old algorithm"
    ALGORITHM = "algorithm"
    ATTRIBUTES = "attributes"
    MALFORMED = "malformed"


WEAK = frozenset({SignatureFlaw.WEAK_DIGEST, SignatureFlaw.WEAK_KEY, SignatureFlaw.OLD_ALGORITHM})
"""What is wrong with a signature that fits, and that somebody else could have made."""

UNCHECKED = frozenset({SignatureFlaw.NO_CERTIFICATE, SignatureFlaw.NO_CONTENT, SignatureFlaw.ALGORITHM})
"""Why nobody can tell whether it fits."""


def fit_flaws(
    info: Any, certificate: x509.Certificate, digest: Digest, covered: Sequence[bytes]
) -> list[Reason]:
    """Why the signature of a SignerInfo does not fit, or fits and proves nothing.

    ``covered``: what it may be over, the likelier first.
    """
    algorithm, signature = info["signature_algorithm"], info["signature"].native
    try:
        fits = _fits(certificate.public_key(), algorithm, signature, covered, digest)
    except InvalidSignature:
        return [Reason(SignatureFlaw.SIGNATURE, "the signature does not match")]
    except (UnsupportedAlgorithm, ValueError) as error:
        return [Reason(SignatureFlaw.ALGORITHM, f"the signature can't be checked: {str(error)[:60]}")]
    oid = algorithm["algorithm"].dotted
    if oid in syntax.OLD_SIGNATURES:
        code = SignatureFlaw.OLD_ALGORITHM if fits else SignatureFlaw.ALGORITHM
        return [Reason(code, f"{syntax.OLD_SIGNATURES[oid]} is no longer believed")]
    if not fits:
        return [Reason(SignatureFlaw.ALGORITHM, f"the algorithm {oid} does not fit the key or the digest")]
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        return [Reason(SignatureFlaw.WEAK_KEY, f"an RSA key of {key.key_size} bits is too short")]
    return []


def _fits(key: object, algorithm: Any, signature: bytes, covered: Sequence[bytes], digest: Digest) -> bool:
    for data in covered[:-1]:
        with suppress(InvalidSignature):
            return _check(key, algorithm, signature, data, digest)
    return _check(key, algorithm, signature, covered[-1], digest)


def _check(key: object, algorithm: Any, signature: bytes, data: bytes, digest: Digest) -> bool:
    """Check the signature; False when algorithm, key and digest do not belong together."""
    oid = algorithm["algorithm"].dotted
    if isinstance(key, rsa.RSAPublicKey) and (oid == syntax.RSA or RSA_WITH.get(oid) is digest):
        key.verify(signature, data, padding.PKCS1v15(), digest.algorithm)
    elif isinstance(key, rsa.RSAPublicKey) and oid == syntax.RSA_PSS:
        parameters = algorithm["parameters"]
        mask = DIGESTS.get(parameters["mask_gen_algorithm"]["parameters"]["algorithm"].dotted)
        if parameters["hash_algorithm"]["algorithm"].dotted != digest.oid or mask is None:
            return False
        # The mask needs no resistance against collisions: SHA-1, its default (RFC 4055 section 2.2), is good there.
        pss = padding.PSS(padding.MGF1(mask.algorithm), parameters["salt_length"].native)
        key.verify(signature, data, pss, digest.algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey) and ECDSA_WITH.get(oid) is digest:
        key.verify(signature, data, ec.ECDSA(digest.algorithm))
    elif isinstance(key, ed25519.Ed25519PublicKey) and oid == syntax.ED25519 and digest is SHA512:
        key.verify(signature, data)
    elif isinstance(key, dsa.DSAPublicKey) and oid in syntax.OLD_SIGNATURES:
        key.verify(signature, data, digest.algorithm)  # only to tell an old one from a changed one
    else:
        return False
    return True
