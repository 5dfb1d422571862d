"""The private certificate authority."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from ringfence.message import LocalError
from ringfence.security.authority import (
    AUTHORITY_LIFETIME,
    BACKDATED,
    CRL_LIFETIME,
    DAY,
    Authority,
    new_key,
    serial_number,
)
from ringfence.security.certificates import (
    DomainFlaw,
    Match,
    Usage,
    domain_identities,
    judge_domain,
    matches_domain,
    sip_usage,
    user_identities,
)
from ringfence.security.chains import ChainFlaw, judge_chain
from ringfence.security.pem import chain_pem, crl_pem

NOW = 1_800_000_000.0
KEY = new_key().public_key()
CA = Authority.create("Example CA", now=NOW, serial=1)


def codes(reasons: tuple[tuple[object, str], ...]) -> list[object]:
    return [code for code, _ in reasons]


# ---- servers ----


@pytest.mark.rfc("5922", "6")
@pytest.mark.rfc("5924", "4")
def test_a_server_certificate_names_its_domain_for_sip_and_for_the_web() -> None:
    leaf = CA.issue_server(
        KEY, ["Example.org", "sip.example.org", "192.0.2.1", "2001:db8::1"], now=NOW, serial=2
    )
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["example.org", "sip.example.org"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.1", "2001:db8::1"]
    assert domain_identities(leaf).domains == ("example.org", "sip.example.org", "192.0.2.1", "[2001:db8::1]")
    assert sip_usage(leaf) is Usage.SIP_DOMAIN
    usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH} < set(usages)
    for domain in ("example.org", "sip.example.org", "[2001:db8::1]"):
        assert judge_domain([leaf], [CA.certificate], NOW, domain).reasons == ()


def test_an_internationalized_domain_is_issued_in_ascii() -> None:
    leaf = CA.issue_server(KEY, ["b\u00fccher.example"], now=NOW, serial=2)
    assert domain_identities(leaf).domains == ("xn--bcher-kva.example",)
    assert matches_domain(leaf, "B\u00dcCHER.example") is Match.URI


@pytest.mark.parametrize(
    "name", ["", "*.example.org", "a b", "sip:example.org", "-a.example", "a" * 64, "[::1]"]
)
def test_what_is_no_name_is_not_issued(name: str) -> None:
    with pytest.raises(LocalError):
        CA.issue_server(KEY, [name], now=NOW, serial=2)


def test_a_certificate_needs_a_name() -> None:
    with pytest.raises(LocalError):
        CA.issue_server(KEY, [], now=NOW, serial=2)


@pytest.mark.rfc("5280", "4.1.2.6")
def test_a_long_name_stands_in_the_alternative_name_only() -> None:
    name = ".".join(["a" * 60, "b" * 60, "example"])
    leaf = CA.issue_server(KEY, [name], now=NOW, serial=2)
    assert leaf.subject == x509.Name([])
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical
    assert judge_domain([leaf], [CA.certificate], NOW, name).reasons == ()


# ---- users ----


@pytest.mark.rfc("8591", "4.4.1")
def test_a_user_certificate_names_the_address_of_record() -> None:
    leaf = CA.issue_user(KEY, "sips:Alice@Example.org;x=1", now=NOW, serial=3, emails=["alice@example.org"])
    assert user_identities(leaf) == ("sip:Alice@example.org",)
    usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usages) == {ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert judge_chain([leaf], [CA.certificate], NOW).reasons == ()


def test_a_user_certificate_does_not_speak_for_the_domain() -> None:
    leaf = CA.issue_user(KEY, "sip:alice@example.org", now=NOW, serial=3)
    judged = judge_domain([leaf], [CA.certificate], NOW, "example.org")
    assert codes(judged.reasons) == [DomainFlaw.USAGE, DomainFlaw.NO_IDENTITY]


@pytest.mark.parametrize("aor", ["example.org", "sip:example.org", "tel:+12015550123", "alice"])
def test_only_a_user_gets_a_user_certificate(aor: str) -> None:
    with pytest.raises(LocalError):
        CA.issue_user(KEY, aor, now=NOW, serial=3)


def test_the_key_usage_follows_the_kind_of_key() -> None:
    def usage(leaf: x509.Certificate) -> x509.KeyUsage:
        return leaf.extensions.get_extension_for_class(x509.KeyUsage).value

    curve = usage(CA.issue_user(KEY, "sip:a@b.example", now=NOW, serial=3))
    assert (curve.digital_signature, curve.key_agreement, curve.key_encipherment) == (True, True, False)
    numbers = rsa.generate_private_key(65537, 2048).public_key()
    modulus = usage(CA.issue_user(numbers, "sip:a@b.example", now=NOW, serial=3))
    assert (modulus.digital_signature, modulus.key_agreement, modulus.key_encipherment) == (True, False, True)


# ---- validity, serial numbers, renewal ----


def test_validity_begins_a_little_early_and_ends_with_the_root() -> None:
    leaf = CA.issue_server(KEY, ["example.org"], now=NOW, serial=2, lifetime=DAY)
    assert leaf.not_valid_before_utc.timestamp() == NOW - BACKDATED
    assert leaf.not_valid_after_utc.timestamp() == NOW + DAY
    assert codes(judge_chain([leaf], [CA.certificate], NOW + 2 * DAY).reasons) == [ChainFlaw.EXPIRED]

    late = CA.issue_server(KEY, ["example.org"], now=NOW + AUTHORITY_LIFETIME - DAY, serial=2)
    assert late.not_valid_after_utc == CA.certificate.not_valid_after_utc
    with pytest.raises(LocalError, match="expired"):
        CA.issue_server(KEY, ["example.org"], now=NOW + AUTHORITY_LIFETIME, serial=2)


@pytest.mark.rfc("5280", "4.1.2.2")
def test_serial_numbers_are_positive_and_fit() -> None:
    for octets in (bytes(20), bytes([255] * 20), bytes([128] + [0] * 19)):
        number = serial_number(octets)
        assert 0 < number < 1 << 159
        CA.issue_server(KEY, ["example.org"], now=NOW, serial=number)
    with pytest.raises(ValueError, match="20"):
        serial_number(bytes(8))


def test_renewal_keeps_names_and_uses() -> None:
    first = CA.issue_server(KEY, ["example.org", "192.0.2.1"], now=NOW, serial=2, lifetime=DAY)
    other = new_key().public_key()
    for key, expected in ((None, KEY), (other, other)):
        again = CA.renew(first, now=NOW + DAY, serial=4, key=key)
        assert domain_identities(again) == domain_identities(first)
        assert sip_usage(again) is Usage.SIP_DOMAIN
        assert again.subject == first.subject
        assert again.public_key() == expected
        assert again.serial_number == 4
        assert again.not_valid_after_utc.timestamp() == NOW + 2 * DAY


def test_a_certificate_without_subject_is_renewed_too() -> None:
    name = ".".join(["a" * 60, "b" * 60, "example"])
    first = CA.issue_server(KEY, [name], now=NOW, serial=2)
    assert domain_identities(CA.renew(first, now=NOW, serial=3)).domains == (name,)


# ---- the root ----


@pytest.mark.rfc("5280", "4.2.1.10")
def test_a_constrained_root_speaks_for_its_domains_only() -> None:
    bound = Authority.create("Bound CA", now=NOW, serial=1, domains=["example.org"])
    ours = bound.issue_server(KEY, ["example.org", "sip.example.org"], now=NOW, serial=2)
    assert judge_domain([ours], [bound.certificate], NOW, "example.org").reasons == ()
    foreign = bound.issue_server(KEY, ["example.net"], now=NOW, serial=2)
    assert codes(judge_domain([foreign], [bound.certificate], NOW, "example.net").reasons) == [
        ChainFlaw.UNTRUSTED
    ]


def test_a_root_issues_no_further_authorities() -> None:
    constraints = CA.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)


def test_the_key_stays_out_of_logs() -> None:
    assert "key" not in repr(CA)


# ---- revocation ----


@pytest.mark.rfc("5280", "5.3.1")
def test_a_revoked_certificate_is_refused_and_the_list_grows() -> None:
    one, two, three = (CA.issue_server(KEY, ["example.org"], now=NOW, serial=n) for n in (11, 12, 13))
    empty = CA.revoke([], now=NOW)
    first = CA.revoke([one], now=NOW, last=empty, reason=x509.ReasonFlags.key_compromise)
    second = CA.revoke([two.serial_number, one], now=NOW + DAY, last=first)
    assert len(empty) == 0
    assert {entry.serial_number for entry in second} == {11, 12}
    kept = second.get_revoked_certificate_by_serial_number(11)
    assert kept is not None
    assert kept.revocation_date_utc.timestamp() == NOW
    assert (
        kept.extensions.get_extension_for_class(x509.CRLReason).value.reason
        is x509.ReasonFlags.key_compromise
    )
    added = second.get_revoked_certificate_by_serial_number(12)
    assert added is not None
    assert len(added.extensions) == 0
    number = second.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    assert number == 3

    for leaf, expected in ((one, [ChainFlaw.REVOKED]), (two, [ChainFlaw.REVOKED]), (three, [])):
        judged = judge_domain([leaf], [CA.certificate], NOW, "example.org", [second])
        assert codes(judged.reasons) == expected
    late = judge_domain([three], [CA.certificate], NOW + DAY + CRL_LIFETIME + 1, "example.org", [second])
    assert codes(late.reasons) == [ChainFlaw.REVOCATION_UNKNOWN]


def test_openssl_accepts_what_we_issue_and_refuses_what_we_revoke(tmp_path: Path) -> None:
    bound = Authority.create("Bound CA", now=NOW, serial=1, domains=["example.org"])
    server = bound.issue_server(KEY, ["example.org", "192.0.2.1"], now=NOW, serial=2)
    user = bound.issue_user(KEY, "sip:alice@example.org", now=NOW, serial=3, emails=["alice@example.org"])
    (tmp_path / "ca.pem").write_bytes(chain_pem([bound.certificate]))
    (tmp_path / "crl.pem").write_bytes(crl_pem(bound.revoke([user], now=NOW)))

    def verified(leaf: x509.Certificate, purpose: str, *more: str) -> bool:
        (tmp_path / "leaf.pem").write_bytes(chain_pem([leaf]))
        command = ["openssl", "verify", "-x509_strict", "-CAfile", "ca.pem", "-purpose", purpose]
        command += ["-attime", str(int(NOW)), *more, "leaf.pem"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=30).returncode == 0

    lists = ("-crl_check", "-CRLfile", "crl.pem")
    assert verified(server, "sslserver", "-verify_hostname", "example.org", *lists)
    assert verified(server, "sslclient", "-verify_ip", "192.0.2.1", *lists)
    assert not verified(server, "sslserver", "-verify_hostname", "example.net")
    assert verified(user, "smimesign")
    assert not verified(user, "smimesign", *lists)


def test_certificates_of_others_are_not_renewed() -> None:
    other = Authority.create("Other CA", now=NOW, serial=1)
    with pytest.raises(LocalError):
        CA.renew(other.issue_server(KEY, ["example.org"], now=NOW, serial=2), now=NOW, serial=3)
