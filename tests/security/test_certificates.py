"""Which SIP domain or user a certificate speaks for."""

import dataclasses
import datetime
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ringfence.security.authority import DAY, Authority, new_key
from ringfence.security.certificates import (
    ID_KP_SIP_DOMAIN,
    WEB_USAGES,
    DomainFlaw,
    Identities,
    Match,
    Source,
    Usage,
    dns_name,
    domain_flaws,
    domain_identities,
    judge_domain,
    matches_domain,
    sip_usage,
    user_identities,
)
from ringfence.security.chains import ChainFlaw

NOW = 1_800_000_000.0
KEY = new_key()
CA = Authority.create("Example CA", now=NOW, serial=1)
URI, DNS, MAIL = x509.UniformResourceIdentifier, x509.DNSName, x509.RFC822Name


@dataclasses.dataclass
class Leaf:
    """A certificate with exactly these parts, as other authorities make them."""

    names: list[x509.GeneralName] | None = None
    common: tuple[str, ...] = ()
    usages: list[x509.ObjectIdentifier] | None = None
    raw_names: bytes | None = None

    def signed(self, by: Authority = CA) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in self.common])
        start = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
        builder = (
            x509.CertificateBuilder(by.certificate.subject, subject, KEY.public_key(), 7)
            .not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(days=1))
        )
        if self.names is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName(self.names), critical=False)
        if self.raw_names is not None:
            san = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, self.raw_names)
            builder = builder.add_extension(san, critical=False)
        if self.usages is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(self.usages), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key())
        return builder.add_extension(identifier, critical=False).sign(by.key, SHA256())


def named(*names: x509.GeneralName) -> x509.Certificate:
    return Leaf(list(names)).signed()


# ---- RFC 5922 section 7.1: finding identities ----


@pytest.mark.rfc("5922", "7.1")
@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([URI("sip:example.com")], ["example.com"]),
        ([URI("SIP:Example.COM")], ["example.com"]),
        ([URI("sip:example.com:5061;transport=tls?x=y")], ["example.com"]),
        ([URI("sip:[2001:db8::1]:5061")], ["[2001:db8::1]"]),
        ([URI("sip:a.example"), URI("sip:b.example"), URI("sip:A.example")], ["a.example", "b.example"]),
        # A DNS name counts only when no sip URI does.
        ([URI("sip:example.com"), DNS("www.example.com")], ["example.com"]),
        ([DNS("www.example.com"), DNS("Example.com")], ["www.example.com", "example.com"]),
        # Other schemes, and users, are no domains.
        ([URI("sips:example.com")], []),
        ([URI("https://example.com")], []),
        ([URI("sip:alice@example.com")], []),
        ([URI("sip:alice@example.com"), DNS("example.com")], ["example.com"]),
        ([URI("https://example.com"), DNS("example.net")], ["example.net"]),
        ([URI("sip:example.com;x=a@b")], []),
        ([URI("sip:")], []),
        ([MAIL("sip@example.com")], []),
        ([x509.IPAddress(ip_address("192.0.2.1"))], []),
    ],
)
def test_identities_in_the_alternative_name(names: list[x509.GeneralName], expected: list[str]) -> None:
    assert list(domain_identities(named(*names)).domains) == expected


@pytest.mark.rfc("5922", "7.1")
def test_the_common_name_counts_only_without_an_alternative_name() -> None:
    assert domain_identities(Leaf(common=("Example.com",)).signed()) == Identities(
        Source.COMMON_NAME, ("example.com",)
    )
    for name in (MAIL("a@example.com"), URI("sips:example.com")):
        assert domain_identities(Leaf([name], common=("example.com",)).signed()) == Identities(None, ())


@pytest.mark.parametrize(
    "common", ["Alice Smith", "192.0.2.1", "sip:example.com", "-a.example", "*.example.com"]
)
def test_a_common_name_has_to_be_a_dns_name(common: str) -> None:
    assert domain_identities(Leaf(common=(common,)).signed()).domains == ()


def test_an_alternative_name_that_cannot_be_read_hides_the_common_name() -> None:
    broken = Leaf(common=("example.com",), raw_names=b"\x30\x03\x82\x05x").signed()
    assert domain_identities(broken) == Identities(None, ())
    assert user_identities(broken) == ()
    assert matches_domain(broken, "example.com") is Match.NO_IDENTITY


# ---- RFC 5922 section 7.2: comparing ----


@pytest.mark.rfc("5922", "7.2")
@pytest.mark.parametrize(
    ("name", "domain", "matched"),
    [
        ("example.com", "example.com", True),
        ("example.com", "EXAMPLE.com", True),
        ("example.com", "example.com.", True),
        ("example.com", "foo.example.com", False),
        ("foo.example.com", "example.com", False),
        ("*.example.com", "foo.example.com", False),
        ("*.example.com", "*.example.com", True),
        (".example.com", "foo.example.com", False),
        (".example.com", ".example.com", True),
        ("xn--bcher-kva.example", "b\u00fccher.example", True),
        ("example.com", "", False),
        ("example.com", "\u00fc" * 80, False),
    ],
)
def test_names_match_as_a_whole(name: str, domain: str, matched: bool) -> None:
    assert matches_domain(named(DNS(name)), domain).matched is matched


def test_a_match_says_by_what() -> None:
    assert matches_domain(named(URI("sip:example.com")), "example.com") is Match.URI
    assert matches_domain(named(DNS("example.com")), "example.com") is Match.DNS
    assert matches_domain(Leaf(common=("example.com",)).signed(), "example.com") is Match.COMMON_NAME
    assert matches_domain(named(DNS("example.com")), "example.net") is Match.OTHER_DOMAIN
    assert matches_domain(named(MAIL("a@example.com")), "example.com") is Match.NO_IDENTITY
    assert not Match.NO_IDENTITY.matched


def test_a_domain_is_written_as_certificates_have_it() -> None:
    assert dns_name("Example.COM.") == "example.com"
    assert dns_name("b\u00fccher.example") == "xn--bcher-kva.example"
    assert dns_name("") is None
    assert dns_name("a." * 130) is None


# ---- RFC 5924 section 5 ----


@pytest.mark.rfc("5924", "5")
@pytest.mark.parametrize(
    ("usages", "usage", "accepted"),
    [
        (None, Usage.ABSENT, True),
        ([ID_KP_SIP_DOMAIN], Usage.SIP_DOMAIN, True),
        ([ExtendedKeyUsageOID.SERVER_AUTH, ID_KP_SIP_DOMAIN], Usage.SIP_DOMAIN, True),
        ([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE], Usage.ANY, True),
        ([ExtendedKeyUsageOID.SERVER_AUTH], Usage.TLS_ONLY, False),
        ([ExtendedKeyUsageOID.CLIENT_AUTH], Usage.TLS_ONLY, False),
        ([ExtendedKeyUsageOID.CODE_SIGNING], Usage.OTHER, False),
    ],
)
def test_the_extended_key_usage(
    usages: list[x509.ObjectIdentifier] | None, usage: Usage, accepted: bool
) -> None:
    leaf = Leaf([URI("sip:example.com")], usages=usages).signed()
    assert sip_usage(leaf) is usage
    assert (domain_flaws(leaf, "example.com") == ()) is accepted


def test_certificates_of_the_web_are_accepted_where_policy_says_so() -> None:
    leaf = Leaf([DNS("example.com")], usages=[ExtendedKeyUsageOID.SERVER_AUTH]).signed()
    assert domain_flaws(leaf, "example.com", WEB_USAGES) == ()
    mail = Leaf([DNS("example.com")], usages=[ExtendedKeyUsageOID.EMAIL_PROTECTION]).signed()
    assert [code for code, _ in domain_flaws(mail, "example.com", WEB_USAGES)] == [DomainFlaw.USAGE]


# ---- the whole judgement ----


def codes(chain: list[x509.Certificate], domain: str | None = "example.com", now: float = NOW) -> list[str]:
    return [code for code, _ in judge_domain(chain, [CA.certificate], now, domain).reasons]


@pytest.mark.rfc("5922", "7.3")
def test_a_server_is_authenticated_for_the_domain_that_was_dialled() -> None:
    leaf = named(URI("sip:example.com"))
    assert codes([leaf]) == []
    assert codes([leaf], "example.net") == [DomainFlaw.OTHER_DOMAIN]
    assert codes([named(MAIL("a@example.com"))]) == [DomainFlaw.NO_IDENTITY]
    assert codes([leaf], now=NOW + 2 * DAY) == [ChainFlaw.EXPIRED]
    assert codes([leaf], now=NOW - DAY) == [ChainFlaw.NOT_YET_VALID]


@pytest.mark.rfc("5922", "7.4")
def test_a_client_is_authenticated_by_having_any_identity() -> None:
    assert codes([named(URI("sip:anything.example"))], None) == []
    assert codes([named(MAIL("a@example.com"))], None) == [DomainFlaw.NO_IDENTITY]
    assert codes([], None) == [DomainFlaw.NO_IDENTITY]


def test_the_right_name_from_the_wrong_authority_proves_nothing() -> None:
    stranger = Authority.create("Example CA", now=NOW, serial=1)
    leaf = Leaf([URI("sip:example.com")]).signed(by=stranger)
    assert codes([leaf, stranger.certificate]) == [ChainFlaw.UNTRUSTED]


def test_every_reason_is_told() -> None:
    leaf = Leaf([URI("sip:example.net")], usages=[ExtendedKeyUsageOID.SERVER_AUTH]).signed()
    expected = [ChainFlaw.EXPIRED, DomainFlaw.USAGE, DomainFlaw.OTHER_DOMAIN]
    assert codes([leaf], now=NOW + 2 * DAY) == expected


# ---- users ----


@pytest.mark.rfc("3261", "23.1")
@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([URI("sip:alice@Example.com;user=phone")], ["sip:alice@example.com"]),
        ([URI("sips:alice@example.com"), URI("sip:alice@example.com")], ["sip:alice@example.com"]),
        ([MAIL("bob@biloxi.com")], ["sip:bob@biloxi.com"]),
        ([URI("sip:alice@example.com"), MAIL("al@example.com")], ["sip:alice@example.com"]),
        ([URI("sip:example.com"), URI("not a uri"), URI("tel:+12015550123")], []),
        ([DNS("example.com")], []),
    ],
)
def test_the_users_of_a_certificate(names: list[x509.GeneralName], expected: list[str]) -> None:
    assert list(user_identities(named(*names))) == expected


def test_a_certificate_without_alternative_name_has_no_users() -> None:
    assert user_identities(Leaf(common=("alice@example.com",)).signed()) == ()
