"""A small certification authority for tests: any extension, any time, any key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ringfence.security.tnauth import JWT_CLAIM_CONSTRAINTS, TN_AUTHORIZATION_LIST

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC).timestamp()
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass
class Pair:
    """A certificate with its private key and who signed it."""

    certificate: x509.Certificate
    key: Key
    issuer: Pair | None = None

    @property
    def pem(self) -> bytes:
        """The chain without its root, as an ``info`` URL serves it."""
        data, pair = b"", self
        while pair.issuer is not None:
            data += pair.certificate.public_bytes(Encoding.PEM)
            pair = pair.issuer
        return data


def issue(
    name: str,
    issuer: Pair | None = None,
    *,
    key: Key | None = None,
    ca: bool = False,
    names: Sequence[x509.GeneralName] = (),
    numbers: bytes | None = None,
    constraints: bytes | None = None,
    extra: Sequence[x509.ExtensionType] = (),
    start: float = NOW - 86400,
    days: float = 30,
    usage: bool = True,
) -> Pair:
    """Make a certificate, signed by ``issuer`` or by itself."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    begin = datetime.fromtimestamp(start, UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    parent = issuer.certificate.subject if issuer else subject
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(parent)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if usage:
        builder = builder.add_extension(_key_usage(ca), critical=True)
    signer = issuer.key if issuer else key
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for oid, value in ((TN_AUTHORIZATION_LIST, numbers), (JWT_CLAIM_CONSTRAINTS, constraints)):
        if value is not None:
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    for extension in extra:
        builder = builder.add_extension(extension, critical=False)
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else SHA256()
    return Pair(builder.sign(signer, digest), key, issuer)


def _key_usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=not ca,
        data_encipherment=False,
        key_agreement=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def crl(
    issuer: Pair, revoked: Sequence[Pair] = (), *, signer: Key | None = None, days: float = 7
) -> x509.CertificateRevocationList:
    """A revocation list of this authority."""
    begin = datetime.fromtimestamp(NOW - 3600, UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(begin)
        .next_update(begin + timedelta(days=days))
    )
    for pair in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(pair.certificate.serial_number)
        builder = builder.add_revoked_certificate(entry.revocation_date(begin).build())
    return builder.sign(signer or issuer.key, SHA256())


def der(tag: int, *content: bytes) -> bytes:
    """One DER value."""
    body = b"".join(content)
    size = len(body)
    head = bytes([size]) if size < 128 else bytes([0x82, size >> 8, size & 255])
    return bytes([tag]) + head + body


def tn_list(
    *, spc: Sequence[str] = (), one: Sequence[str] = (), ranges: Sequence[tuple[str, int]] = ()
) -> bytes:
    """A TN Authorization List, written by hand from the ASN.1 of RFC 8226."""
    entries = [der(0xA0, der(0x16, code.encode())) for code in spc]
    for start, count in ranges:
        number = count.to_bytes(count.bit_length() // 8 + 1, "big")
        entries.append(der(0xA1, der(0x30, der(0x16, start.encode()), der(0x02, number))))
    entries += [der(0xA2, der(0x16, number.encode())) for number in one]
    return der(0x30, *entries)
