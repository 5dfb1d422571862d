"""Which SIP domain or user a certificate speaks for (RFC 5922, RFC 5924, RFC 3261 section 23.1).

TLS proves that the peer has the key of a certificate; `chains` tells whether the certificate is to be
trusted; here is what it then says. The rules are not those of the web: a `sip:` URI in the subjectAltName
takes the place of every DNS name beside it, no wildcard matches anything, and a certificate that limits its
use has to allow SIP.

A server that was dialled must match the domain of the URI (`judge_domain` with a domain, RFC 5922 section
7.3). A client that connected to us has no name to match: what it may do follows from its identities (section
7.4).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ringfence.message import PeerError, SipUri, parse_uri
from ringfence.security.chains import Judged, judge_chain
from ringfence.security.reasons import Reason, Reasons
from ringfence.security.unreadable import UNREADABLE

ID_KP_SIP_DOMAIN = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.20")
"""The extended key usage of a SIP domain certificate (RFC 5924 section 4.1)."""

MAX_NAME = 253
"""Characters of a DNS name (RFC 1035 section 2.3.4, without the root)."""

# A name in the preferred syntax of RFC 1034 section 3.5, "_" added, and no IPv4 address.
is_dns_name = re.compile(
    r"(?![0-9.]+\Z)(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*"
).fullmatch
# sip:hostpart, then a port, parameters or headers, none of which RFC 5922 section 7.2 compares.
_SIP_HOST = re.compile(
    r"sip:(\[[0-9a-f:.]+\]|[^\[\]:;?@/]+)(?:[:;?].*)?", re.IGNORECASE | re.DOTALL
).fullmatch


class Source(StrEnum):
    """Where in a certificate an identity stood."""

    URI = "URI"
    DNS = "DNS"
    COMMON_NAME = "CN"


class Identities(NamedTuple):
    """The SIP domains that a certificate speaks for, lower case. `source` is None where there are none."""

    source: Source | None
    domains: tuple[str, ...]


class Match(StrEnum):
    """What comparing a certificate with a domain gave."""

    URI = "matched by URI"
    DNS = "matched by DNS name"
    COMMON_NAME = "matched by common name"
    OTHER_DOMAIN = "other domain"
    NO_IDENTITY = "no SIP domain identity"

    @property
    def matched(self) -> bool:
        """Whether the certificate speaks for the domain."""
        return self in _MATCHES.values()


_MATCHES = {Source.URI: Match.URI, Source.DNS: Match.DNS, Source.COMMON_NAME: Match.COMMON_NAME}


class Usage(StrEnum):
    """What the extended key usage says of SIP (RFC 5924 section 5)."""

    SIP_DOMAIN = "id-kp-sipDomain"
    ANY = "anyExtendedKeyUsage"
    ABSENT = "no extended key usage"
    TLS_ONLY = "TLS server or client only"
    OTHER = "another use"


SIP_USAGES = frozenset({Usage.SIP_DOMAIN, Usage.ANY, Usage.ABSENT})
"""What RFC 5924 section 5 lets us accept."""

WEB_USAGES = SIP_USAGES | {Usage.TLS_ONLY}
"""The same, and certificates of public web CAs, which RFC 5924 forbids and many SIP domains have."""


class DomainFlaw(StrEnum):
    """Why a trusted certificate does not prove a SIP domain."""

    NO_IDENTITY = "no identity"
    OTHER_DOMAIN = "other domain"
    USAGE = "not for SIP"


def domain_identities(certificate: x509.Certificate) -> Identities:
    """The SIP domain identities of a certificate (RFC 5922 section 7.1)."""
    names = _alternative_names(certificate)
    if names is None:
        common = [name for name in _common_names(certificate) if is_dns_name(name)]
        return _identities(Source.COMMON_NAME, common)
    uris = [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]
    hosts = [host for uri in uris if (host := _sip_domain(uri)) is not None]
    if hosts:
        return _identities(Source.URI, hosts)
    return _identities(Source.DNS, [name.value for name in names if isinstance(name, x509.DNSName)])


def _identities(source: Source, names: Iterable[str]) -> Identities:
    domains = tuple(dict.fromkeys(name.lower().removesuffix(".") for name in names if name))
    return Identities(source, domains) if domains else Identities(None, ())


def _sip_domain(uri: str) -> str | None:
    # Any "@" makes it the identity of a user. The scheme is sip and no other; sips does not count.
    match = None if "@" in uri else _SIP_HOST(uri)
    return None if match is None else match[1]


def _common_names(certificate: x509.Certificate) -> list[str]:
    attributes = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return [str(attribute.value).lower() for attribute in attributes]


def _alternative_names(certificate: x509.Certificate) -> list[x509.GeneralName] | None:
    """The subjectAltName; None only where there is none, for then the common name counts."""
    try:
        return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return None
    except UNREADABLE:
        return []


def dns_name(domain: str) -> str | None:
    """A domain as certificates have it: lower case, IDN in ASCII (RFC 5280 section 7.2); None for no name."""
    text = domain.removesuffix(".")
    if not text.isascii():
        try:
            text = text.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    return text.lower() if 0 < len(text) <= MAX_NAME else None


def matches_domain(certificate: x509.Certificate, domain: str) -> Match:
    """Compare a certificate with the domain of a SIP URI as a whole (RFC 5922 section 7.2). No wildcards."""
    source, domains = domain_identities(certificate)
    if source is None:
        return Match.NO_IDENTITY
    return _MATCHES[source] if dns_name(domain) in domains else Match.OTHER_DOMAIN


def sip_usage(certificate: x509.Certificate) -> Usage:
    """What the certificate's extended key usage says of SIP (RFC 5924 section 5)."""
    try:
        usages = set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return Usage.ABSENT
    except UNREADABLE:
        return Usage.OTHER
    if ID_KP_SIP_DOMAIN in usages:
        return Usage.SIP_DOMAIN
    if ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages:
        return Usage.ANY
    tls = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    return Usage.OTHER if usages.isdisjoint(tls) else Usage.TLS_ONLY


def domain_flaws(
    certificate: x509.Certificate, domain: str | None, usages: Collection[Usage] = SIP_USAGES
) -> Reasons:
    """Why a certificate whose chain is good does not prove this domain, or with None any domain at all."""
    flaws: list[Reason] = []
    usage = sip_usage(certificate)
    if usage not in usages:
        flaws.append(Reason(DomainFlaw.USAGE, f"the certificate is for {usage}, not for SIP (RFC 5924)"))
    found = domain_identities(certificate)
    if found.source is None:
        flaws.append(Reason(DomainFlaw.NO_IDENTITY, "the certificate names no SIP domain (RFC 5922)"))
    elif domain is not None and dns_name(domain) not in found.domains:
        detail = f"the certificate is for {', '.join(found.domains[:5])}, not for {domain}"
        flaws.append(Reason(DomainFlaw.OTHER_DOMAIN, detail))
    return tuple(flaws)


def judge_domain(
    chain: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    now: float,
    domain: str | None,
    revocation: Iterable[x509.CertificateRevocationList] = (),
    *,
    usages: Collection[Usage] = SIP_USAGES,
) -> Judged:
    """Judge the chain of a TLS peer, leaf first, and what it says of `domain` (RFC 5922 section 7).

    `domain` is that of the URI which was dialled (section 7.3), None for a client that connected to us
    (7.4). The peer is authenticated when there are no reasons against it; without any certificate it never
    is.
    """
    if not chain:
        return Judged((), (Reason(DomainFlaw.NO_IDENTITY, "the peer presented no certificate"),))
    path, reasons = judge_chain(chain, anchors, now, revocation)
    return Judged(path, reasons + domain_flaws(chain[0], domain, usages))


def user_identities(certificate: x509.Certificate) -> tuple[str, ...]:
    """The addresses-of-record that a user's certificate speaks for, as `sip:user@host`.

    They stand as SIP URIs (RFC 8591 section 4.4.1). Where there is none, a mail address counts, which is the
    form that RFC 3261 section 23.1 describes.
    """
    names = _alternative_names(certificate) or ()
    uris = [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]
    mail = [f"sip:{name.value}" for name in names if isinstance(name, x509.RFC822Name)]
    return _addresses(uris) or _addresses(mail)


def _addresses(texts: Iterable[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for text in texts:
        try:
            uri = parse_uri(text)
        except PeerError:
            continue
        if isinstance(uri, SipUri) and uri.user:
            found[uri.aor] = None
    return tuple(found)
