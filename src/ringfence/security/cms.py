"""Cryptographic Message Syntax (RFC 5652): what its parts share, and the algorithms that are accepted.

Structure is read and written by ``asn1crypto``; every primitive is one of ``cryptography``. Nothing of
either is re-done here. ``cms_signed`` signs and verifies, ``cms_enveloped`` encrypts and decrypts,
``cms_compressed`` unpacks; ``smime`` puts MIME around them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from asn1crypto import cms, core, parser  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.utils import CryptographyDeprecationWarning

from ringfence.message.errors import PeerError
from ringfence.security.unreadable import NO_EXTENSION, UNREADABLE

MAX_CMS = 1 << 18
"""Largest object in octets, four times the largest SIP message: it may come from a directory as well."""

MAX_SIGNERS = 8
"""Most signatures in one object; RFC 3261 section 23.3 wants one. Each costs a public key operation."""

MAX_RECIPIENTS = 64
"""Most recipients of one object: a callee has a few devices, each with a certificate."""

MAX_CERTIFICATES = 16
"""Most certificates in one object: the signers' and those above them."""

DATA = "1.2.840.113549.1.7.1"
SIGNED_DATA = "1.2.840.113549.1.7.2"
ENVELOPED_DATA = "1.2.840.113549.1.7.3"
AUTH_ENVELOPED_DATA = "1.2.840.113549.1.9.16.1.23"
COMPRESSED_DATA = "1.2.840.113549.1.9.16.1.9"

_TYPE_NAMES = {
    DATA: "plain data",
    "1.2.840.113549.1.7.5": "DigestedData, which proves nothing",
    "1.2.840.113549.1.7.6": "EncryptedData, for a secret that both sides have",
    "1.2.840.113549.1.9.16.1.2": "AuthenticatedData, for a secret that both sides have",
}
"""Content types that SIP has no use for (RFC 5652), so that a refusal names them."""


class Digest(NamedTuple):
    """A message digest. Weak ones are computed only to say what a signature is worth."""

    name: str
    oid: str
    algorithm: hashes.HashAlgorithm
    weak: bool = False


SHA256 = Digest("sha-256", "2.16.840.1.101.3.4.2.1", hashes.SHA256())
SHA384 = Digest("sha-384", "2.16.840.1.101.3.4.2.2", hashes.SHA384())
SHA512 = Digest("sha-512", "2.16.840.1.101.3.4.2.3", hashes.SHA512())
_SHA1 = Digest("sha-1", "1.3.14.3.2.26", hashes.SHA1(), weak=True)  # noqa: S303
_MD5 = Digest("md5", "1.2.840.113549.2.5", hashes.MD5(), weak=True)  # noqa: S303

DIGESTS = {digest.oid: digest for digest in (SHA256, SHA384, SHA512, _SHA1, _MD5)}

OTHER_DIGESTS = {
    "1.2.840.113549.2.2": "md2",
    "1.2.840.113549.2.4": "md4",
    "1.3.36.3.2.1": "ripemd-160",
    "2.16.840.1.101.3.4.2.4": "sha-224",
    "2.16.840.1.101.3.4.2.8": "sha3-256",
    "2.16.840.1.101.3.4.2.9": "sha3-384",
    "2.16.840.1.101.3.4.2.10": "sha3-512",
    "2.16.840.1.101.3.4.2.12": "shake256",
    "2.16.840.1.101.3.4.2.18": "shake256",
}
"""Those that are not computed, to be told by their names."""

RSA = "1.2.840.113549.1.1.1"
RSA_PSS = "1.2.840.113549.1.1.10"
ED25519 = "1.3.101.112"
# Signature algorithms that name their digest themselves (RFC 4055, RFC 5758, and SHA-1 and MD5 to refuse
# them).
RSA_WITH = {
    "1.2.840.113549.1.1.11": SHA256,
    "1.2.840.113549.1.1.12": SHA384,
    "1.2.840.113549.1.1.13": SHA512,
    "1.2.840.113549.1.1.5": _SHA1,
    "1.2.840.113549.1.1.4": _MD5,
}
ECDSA_WITH = {
    "1.2.840.10045.4.3.2": SHA256,
    "1.2.840.10045.4.3.3": SHA384,
    "1.2.840.10045.4.3.4": SHA512,
    "1.2.840.10045.4.1": _SHA1,
}


OLD_SIGNATURES = {
    "1.2.840.10040.4.1": "DSA",
    "1.2.840.10040.4.3": "DSA with SHA-1",
    "2.16.840.1.101.3.4.3.1": "DSA with SHA-224",
    "2.16.840.1.101.3.4.3.2": "DSA with SHA-256",
    "1.2.840.113549.1.1.2": "RSA with MD2",
}
"""Those of S/MIME up to version 3.1, to be told by their names (RFC 8551 appendix B)."""


class ContentCipher(NamedTuple):
    """A content encryption algorithm: AES-CBC (RFC 3565) or AES-GCM (RFC 5084)."""

    name: str
    oid: str
    bits: int
    authenticated: bool


AES128_CBC = ContentCipher("aes-128-cbc", "2.16.840.1.101.3.4.1.2", 128, False)
AES192_CBC = ContentCipher("aes-192-cbc", "2.16.840.1.101.3.4.1.22", 192, False)
AES256_CBC = ContentCipher("aes-256-cbc", "2.16.840.1.101.3.4.1.42", 256, False)
AES128_GCM = ContentCipher("aes-128-gcm", "2.16.840.1.101.3.4.1.6", 128, True)
AES192_GCM = ContentCipher("aes-192-gcm", "2.16.840.1.101.3.4.1.26", 192, True)
AES256_GCM = ContentCipher("aes-256-gcm", "2.16.840.1.101.3.4.1.46", 256, True)

CIPHERS = {
    cipher.oid: cipher for cipher in (AES256_GCM, AES192_GCM, AES128_GCM, AES256_CBC, AES192_CBC, AES128_CBC)
}
"""The accepted ciphers, the preferred first."""


_MALFORMED: tuple[type[Exception], ...] = (
    AttributeError,  # asn1crypto, over a type of value that it does not write
    TypeError,
    KeyError,
    RecursionError,
    OverflowError,
    CryptographyDeprecationWarning,
    *UNREADABLE,
)


@contextmanager
def malformed(status: int = 400) -> Iterator[None]:
    """Turn what ``asn1crypto`` and ``cryptography`` raise over bad input into a PeerError, once, here.

    What ``cryptography`` still reads and will refuse soon, such as a negative serial number, is bad too.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", CryptographyDeprecationWarning)
            yield
    except _MALFORMED as error:
        if isinstance(error, PeerError):
            raise
        raise PeerError(status, f"malformed CMS object: {str(error)[:80]}") from None


def read(data: bytes) -> tuple[str, Any]:
    """The content type (an OID) and the content of a ContentInfo, DER or BER.

    A line end behind it is passed over: files and bodies that were text once have one. Anything else is refused.

    Raises:
        PeerError: 400 when it is malformed, 413 when it is too large.
    """
    if len(data) > MAX_CMS:
        raise PeerError(413, f"the CMS object is larger than {MAX_CMS} octets")
    with malformed():
        if data.endswith(b"\n"):
            used = parser.peek(data)
            data = data if data[used:].strip(b"\r\n") else data[:used]
        info = cms.ContentInfo.load(data, strict=True)
        return info["content_type"].dotted, info["content"]


def present(field: Any) -> bool:
    """Whether an optional field is there. Asking for its value would read all of it, also what nobody needs."""
    return not isinstance(field, core.Void)


def type_name(oid: str) -> str:
    """A content type as a person reads it."""
    return _TYPE_NAMES.get(oid, oid)


def wrap(content_type: str, content: Any) -> bytes:
    """A ContentInfo in DER."""
    made: bytes = cms.ContentInfo({"content_type": content_type, "content": content}).dump()
    return made


def identifies(choice: Any, certificate: x509.Certificate) -> bool:
    """Whether a SignerIdentifier or RecipientIdentifier names this certificate (RFC 5652 section 5.3)."""
    if choice.name == "issuer_and_serial_number":
        if not _same_name(choice.chosen["issuer"], certificate):
            return False
        serial: int = choice.chosen["serial_number"].native
        with warnings.catch_warnings():  # one of our own files may have the serial number 0, as old roots do
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            return serial == certificate.serial_number
    if choice.name not in ("subject_key_identifier", "r_key_id"):
        return False
    chosen = choice.chosen
    wanted = (
        chosen.native if choice.name == "subject_key_identifier" else chosen["subject_key_identifier"].native
    )
    return bool(wanted == key_identifier(certificate))


def _same_name(name: Any, certificate: x509.Certificate) -> bool:
    raw: bytes = name.chosen.untag().dump() if name.chosen.implicit else name.dump()
    return raw == certificate.issuer.public_bytes()


def key_identifier(certificate: x509.Certificate) -> bytes | None:
    """The subject key identifier extension, or None."""
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except NO_EXTENSION:
        return None


def issuer_and_serial(certificate: x509.Certificate) -> Any:
    """The usual way to name a certificate."""
    from_der = cms.Name.load(certificate.issuer.public_bytes())
    return cms.IssuerAndSerialNumber({"issuer": from_der, "serial_number": certificate.serial_number})
