"""The private certificate authority of a domain: one EC P-256 root that issues directly to servers and users.

It has no state. A certificate is all that an issue leaves behind; the revocation list is made from the last
one and what is added to it. Time is an argument, and so are the octets that a serial number is made of.

Every server name is issued twice, as `URI:sip:name` and as `DNS:name`: by RFC 5922 section 7.1 a SIP peer
that sees any `sip:` URI looks at no DNS name, while a browser or a WebSocket client looks at nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ringfence.message import LocalError, PeerError, SipUri, parse_uri
from ringfence.security.certificates import ID_KP_SIP_DOMAIN, dns_name, is_dns_name
from ringfence.security.tnauth import TN_AUTHORIZATION_LIST, number_list_of, write_numbers

DAY = 86_400.0
AUTHORITY_LIFETIME = 3650 * DAY
"""Seconds. A root that phones have been given by hand is not changed often."""

CERTIFICATE_LIFETIME = 397 * DAY
"""Seconds. The longest that platforms accept of a server's certificate; renewal needs no hands."""

CRL_LIFETIME = 7 * DAY
"""Seconds until a revocation list must be replaced: how long an old one can be passed off as the newest."""

BACKDATED = 300.0
"""Seconds that a certificate is valid before its issue, for peers whose clock is slow."""

SERIAL_OCTETS = 20
"""Random octets for a serial number. RFC 5280 section 4.1.2.2 allows 20, of which the top bit is zero."""

MAX_COMMON_NAME = 64
"""ub-common-name (RFC 5280 appendix A.1)."""


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh EC P-256 key, from the randomness of the system."""
    return ec.generate_private_key(ec.SECP256R1())


def serial_number(octets: bytes) -> int:
    """A positive serial number from SERIAL_OCTETS random octets. Raises ValueError for another length."""
    if len(octets) != SERIAL_OCTETS:
        raise ValueError(f"a serial number takes {SERIAL_OCTETS} random octets")
    return (int.from_bytes(octets) >> 1) or 1


@dataclass(frozen=True, slots=True)
class Authority:
    """A root certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def create(
        cls,
        name: str,
        *,
        now: float,
        serial: int,
        domains: Sequence[str] = (),
        lifetime: float = AUTHORITY_LIFETIME,
    ) -> Authority:
        """A new root with a new key.

        With `domains`, the root can speak only for DNS names and mail addresses in these (name constraints,
        RFC 5280 section 4.2.1.10), so that a peer who trusts it trusts it for nothing else. SIP URIs are not
        constrained:
        they have no authority part, and that section has a verifier refuse every such URI under a URI
        constraint.
        """
        key = new_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:MAX_COMMON_NAME])])
        usage = _key_usage(digital_signature=True, key_cert_sign=True, crl_sign=True)
        builder = _builder(subject, subject, key.public_key(), now, serial, lifetime)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(usage, critical=True)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
        if domains:
            permitted = [kind(domain) for domain in domains for kind in (x509.DNSName, x509.RFC822Name)]
            builder = builder.add_extension(x509.NameConstraints(permitted, None), critical=True)
        return cls(builder.sign(key, SHA256()), key)

    def issue_server(
        self,
        key: CertificatePublicKeyTypes,
        names: Sequence[str],
        *,
        now: float,
        serial: int,
        lifetime: float = CERTIFICATE_LIFETIME,
        numbers: Sequence[str] = (),
    ) -> x509.Certificate:
        """A certificate for `names`, which are SIP domains, hosts and IP addresses, the main domain first.

        With `numbers` it signs calls of these telephone numbers too (RFC 8226); see `tnauth.write_numbers`.

        Raises:
            LocalError: for no name at all, or one that is no DNS name or IP address; for what is no number.
        """
        general = [entry for name in dict.fromkeys(names) for entry in _server_names(name)]
        if not general:
            raise LocalError("a server certificate needs a name")
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH, ID_KP_SIP_DOMAIN]
        listed = write_numbers(numbers) if numbers else None
        return self._issue(key, _subject(names[0]), general, usages, now, serial, lifetime, listed)

    def issue_user(
        self,
        key: CertificatePublicKeyTypes,
        aor: str,
        *,
        now: float,
        serial: int,
        emails: Sequence[str] = (),
        lifetime: float = CERTIFICATE_LIFETIME,
    ) -> x509.Certificate:
        """A certificate for the user `aor` (`sip:user@domain`): for S/MIME, and for TLS as a client.

        Raises:
            LocalError: when `aor` is not the SIP URI of a user.
        """
        try:
            uri = parse_uri(aor)
        except PeerError as error:
            raise LocalError(f"{aor} is no SIP address: {error.reason}") from None
        if not isinstance(uri, SipUri) or not uri.user:
            raise LocalError(f"{aor} is not the SIP address of a user")
        general = [x509.UniformResourceIdentifier(uri.aor), *map(x509.RFC822Name, emails)]
        usages = [ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.CLIENT_AUTH]
        return self._issue(
            key, _subject(uri.aor.removeprefix("sip:")), general, usages, now, serial, lifetime
        )

    def renew(
        self,
        certificate: x509.Certificate,
        *,
        now: float,
        serial: int,
        key: CertificatePublicKeyTypes | None = None,
    ) -> x509.Certificate:
        """The same names and uses for as long again from now; for the same key, or for `key`.

        Raises:
            LocalError: for a certificate of another authority.
        """
        if certificate.issuer != self.certificate.subject:
            raise LocalError("only the authority that issued a certificate renews it")
        extensions = certificate.extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        usages = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        lived = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        return self._issue(
            key or certificate.public_key(),
            certificate.subject,
            list(names),
            list(usages),
            now,
            serial,
            lived.total_seconds() - BACKDATED,
            number_list_of(certificate),
        )

    def revoke(
        self,
        certificates: Iterable[x509.Certificate | int],
        *,
        now: float,
        last: x509.CertificateRevocationList | None = None,
        reason: x509.ReasonFlags = x509.ReasonFlags.unspecified,
        lifetime: float = CRL_LIFETIME,
    ) -> x509.CertificateRevocationList:
        """The next revocation list: what `last` holds, and these certificates or serial numbers.

        With no certificates it only renews the list. One that was revoked before keeps its date and reason.
        """
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        builder = builder.last_update(_moment(now)).next_update(_moment(now + lifetime))
        entries = {entry.serial_number: entry for entry in last or ()}
        for each in certificates:
            serial = each if isinstance(each, int) else each.serial_number
            entries.setdefault(serial, _revoked(serial, now, reason))
        for entry in entries.values():
            builder = builder.add_revoked_certificate(entry)
        number = 1 if last is None else _crl_number(last) + 1
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
        )
        return builder.sign(self.key, SHA256())

    def _issue(
        self,
        key: CertificatePublicKeyTypes,
        subject: x509.Name,
        names: Sequence[x509.GeneralName],
        usages: Sequence[x509.ObjectIdentifier],
        now: float,
        serial: int,
        lifetime: float,
        numbers: bytes | None = None,
    ) -> x509.Certificate:
        # Nothing that we issue outlives us: a path with an expired root is no path.
        lifetime = min(lifetime, self.certificate.not_valid_after_utc.timestamp() - now)
        if lifetime <= 0:
            raise LocalError("the certificate authority has expired")
        builder = _builder(subject, self.certificate.subject, key, now, serial, lifetime)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(
            _key_usage(
                digital_signature=True,
                key_encipherment=isinstance(key, rsa.RSAPublicKey),
                key_agreement=isinstance(key, ec.EllipticCurvePublicKey),
            ),
            critical=True,
        )
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        # Critical where there is no subject (RFC 5280 section 4.1.2.6).
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not list(subject))
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
        )
        if numbers is not None:
            listed = x509.UnrecognizedExtension(TN_AUTHORIZATION_LIST, numbers)
            builder = builder.add_extension(listed, critical=False)
        return builder.sign(self.key, SHA256())


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: CertificatePublicKeyTypes,
    now: float,
    serial: int,
    lifetime: float,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(_moment(now - BACKDATED))
        .not_valid_after(_moment(now + lifetime))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _subject(common_name: str) -> x509.Name:
    # A name that is too long is left out: it stands in the subjectAltName, which is what counts.
    fits = len(common_name) <= MAX_COMMON_NAME
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if fits else [])


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def _key_usage(
    *,
    digital_signature: bool,
    key_encipherment: bool = False,
    key_agreement: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=key_agreement,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _server_names(name: str) -> tuple[x509.GeneralName, ...]:
    try:
        address = ip_address(name)
    except ValueError:
        plain = dns_name(name)
        if plain is None or not is_dns_name(plain):
            raise LocalError(f"{name!r} is neither a DNS name nor an IP address") from None
        return x509.UniformResourceIdentifier(f"sip:{plain}"), x509.DNSName(plain)
    host = f"[{address}]" if address.version == 6 else str(address)
    return x509.UniformResourceIdentifier(f"sip:{host}"), x509.IPAddress(address)


def _revoked(serial: int, now: float, reason: x509.ReasonFlags) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(_moment(now))
    # "unspecified" is said by leaving the reason out (RFC 5280 section 5.3.1).
    if reason is not x509.ReasonFlags.unspecified:
        builder = builder.add_extension(x509.CRLReason(reason), critical=False)
    return builder.build()


def _crl_number(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
