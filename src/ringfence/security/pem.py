"""Keys and certificates as PEM text, and what makes a key file unfit for use.

The caller reads and writes the files. They are our own, so that a fault in them is a LocalError, found when
they are loaded and not in the first handshake.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519

from ringfence.message import LocalError
from ringfence.security.unreadable import UNREADABLE

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

MAX_PEM = 1 << 20
"""Bytes of one file. The bundle of every public web CA is a fifth of this."""

MIN_RSA_BITS = 2048
"""RFC 8301 and the verifier of `cryptography` refuse less."""


def read_chain(data: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM file in its order; a chain starts with the leaf.

    Raises:
        LocalError: when the file is too large or has no certificate, or one that can't be read.
    """
    if len(data) > MAX_PEM:
        raise LocalError(f"the certificate file is larger than {MAX_PEM} bytes")
    try:
        return x509.load_pem_x509_certificates(data)
    except UNREADABLE as error:
        raise LocalError(f"not a PEM file of certificates: {error}") from None


def read_crl(data: bytes) -> x509.CertificateRevocationList:
    """One revocation list in PEM.

    Raises:
        LocalError: when it can't be read.
    """
    try:
        return x509.load_pem_x509_crl(data)
    except UNREADABLE as error:
        raise LocalError(f"not a PEM revocation list: {error}") from None


def read_key(data: bytes, password: bytes | None = None) -> PrivateKey:
    """The private key of a PEM file.

    Raises:
        LocalError: when it can't be read or decrypted, or is of a kind or size that we refuse.
    """
    key = _load_key(data, password)
    if not isinstance(key, PrivateKey):
        raise LocalError("a private key is EC, RSA or Ed25519")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < MIN_RSA_BITS:
        raise LocalError(f"an RSA key has at least {MIN_RSA_BITS} bits, this one {key.key_size}")
    return key


def read_key_or_agreement(data: bytes) -> PrivateKey | x25519.X25519PrivateKey:
    """The same, where one that can only agree on keys will do: to decrypt, not to sign. Raises LocalError."""
    key = _load_key(data, None)
    return key if isinstance(key, x25519.X25519PrivateKey) else read_key(data)


def _load_key(data: bytes, password: bytes | None) -> object:
    try:
        return serialization.load_pem_private_key(data, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise LocalError(f"not a private key that can be read: {error}") from None


def read_public_key(data: bytes) -> object:
    """The public key of a PEM file; what it is used for checks its kind.

    Raises:
        LocalError: when it can't be read.
    """
    try:
        return serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise LocalError(f"not a public key that can be read: {error}") from None


def chain_pem(chain: Iterable[x509.Certificate]) -> bytes:
    """The certificates one after another in PEM."""
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in chain)


def crl_pem(crl: x509.CertificateRevocationList) -> bytes:
    """The revocation list in PEM."""
    return crl.public_bytes(serialization.Encoding.PEM)


def key_pem(key: PrivateKey, password: bytes | None = None) -> bytes:
    """The key in PEM (PKCS #8), encrypted where a password is given. Goes into a file of mode 0600."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def check_pair(certificate: x509.Certificate, key: PrivateKey | x25519.X25519PrivateKey) -> None:
    """Whether the key is that of the certificate.

    Raises:
        LocalError: when it is another one.
    """
    if certificate.public_key() != key.public_key():
        raise LocalError(
            f"the private key is not that of the certificate {certificate.subject.rfc4514_string()}"
        )


def key_file_flaw(mode: int) -> str | None:
    """Why a key file with these mode bits (`st_mode`) must not be used, or None.

    A group may read it, as on systems where a group of services shares a certificate; nobody else may.
    """
    if mode & stat.S_IRWXO:
        return f"every user of this machine has access to it (mode {stat.S_IMODE(mode):04o}): chmod 600"
    if mode & (stat.S_IWGRP | stat.S_IXGRP):
        return f"its group may change it (mode {stat.S_IMODE(mode):04o}): chmod 600"
    return None
