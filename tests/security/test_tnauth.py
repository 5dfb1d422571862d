"""RFC 8226: the numbers, domains and claims that a certificate speaks for."""

from __future__ import annotations

from base64 import encodebytes

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.message.errors import PeerError
from ringfence.security.canonical import Party
from ringfence.security.chains import ChainFlaw
from ringfence.security.tnauth import (
    ENHANCED_CLAIM_CONSTRAINTS,
    ScopeFlaw,
    claim_constraints,
    credential_from,
    number_scope,
    tn_list_url,
)
from tests.security.pki import NOW, Pair, crl, der, issue, tn_list

ROOT = issue("Test root", ca=True)
ANCHORS = [ROOT.certificate]


def codes(reasons: object) -> list[str]:
    return [reason.code for reason in reasons]  # type: ignore[attr-defined]


def tn(number: str) -> Party:
    return Party("tn", number)


@pytest.mark.rfc("8226", "9")
def test_a_list_names_numbers_one_by_one_by_range_and_by_provider() -> None:
    scope = number_scope(tn_list(spc=["1234"], one=["12155550100", "*69"], ranges=[("12155551000", 1000)]))
    assert scope.providers == {"1234"}
    inside = ["12155550100", "*69", "12155551000", "12155551999"]
    outside = ["12155550101", "12155552000", "2155551000", "012155551000", "121555510000", "*70"]
    assert [number for number in inside + outside if scope.lists(number)] == inside


@pytest.mark.rfc("8226", "9")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        der(0x30),  # SIZE (1..MAX)
        tn_list(ranges=[("10", 91)]),  # the RFC's own example of an invalid range
        tn_list(ranges=[("1*", 5)]),
        tn_list(ranges=[("10", 1)]),
        tn_list(one=["+12155550100"]),
        tn_list(one=["1234567890123456"]),
        tn_list(one=[""]),
        tn_list(one=["1"]) + b"\x00",
        der(0x30, der(0xA3, der(0x16, b"1"))),
        der(0x30, der(0xA1, der(0x16, b"1"))),
    ],
)
def test_a_malformed_list_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        number_scope(data)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_octets_give_a_scope_or_a_value_error(data: bytes) -> None:
    for read in (number_scope, claim_constraints):
        try:
            read(data)
        except ValueError:
            continue


@settings(max_examples=100, deadline=None)
@given(st.text("0123456789", min_size=1, max_size=15), st.integers(2, 10**6), st.integers(-3, 10**6 + 3))
def test_a_range_holds_exactly_its_numbers(start: str, count: int, offset: int) -> None:
    if int(start) + count >= 10 ** len(start) or int(start) + offset < 0:
        return
    scope = number_scope(tn_list(ranges=[(start, count)]))
    number = str(int(start) + offset).zfill(len(start))
    assert scope.lists(number) == (0 <= offset < count and len(number) == len(start))


@pytest.mark.rfc("8224", "8.4")
def test_a_certificate_speaks_for_its_domain_and_no_other() -> None:
    names = [x509.UniformResourceIdentifier("sip:example.org"), x509.DNSName("example.net")]
    leaf = issue("sip", ROOT, names=names)
    credential = credential_from(leaf.pem, ANCHORS, NOW)
    assert credential.problems == ()
    assert credential.covers(Party("uri", "sip:alice@example.org")) == ()
    # RFC 5922 section 7.1: DNS names do not count beside a sip URI; section 7.2: no suffix matches.
    for uri in ("sip:alice@example.net", "sip:alice@pbx.example.org", "sip:example.org@evil.example"):
        assert codes(credential.covers(Party("uri", uri))) == [ScopeFlaw.DOMAIN]
    assert codes(credential.covers(tn("12155550100"))) == [ScopeFlaw.NUMBER]


@pytest.mark.rfc("8226", "9")
def test_the_list_of_an_authority_limits_those_below_it() -> None:
    middle = issue("block", ROOT, ca=True, numbers=tn_list(ranges=[("12155551000", 1000)]))
    leaf = issue("leaf", middle, numbers=tn_list(one=["12155551001", "12155559999"]))
    credential = credential_from(leaf.pem, ANCHORS, NOW)
    assert credential.covers(tn("12155551001")) == ()
    assert codes(credential.covers(tn("12155559999"))) == [ScopeFlaw.NUMBER]


def test_a_provider_code_covers_any_number_unless_policy_says_which() -> None:
    credential = credential_from(issue("carrier", ROOT, numbers=tn_list(spc=["709J"])).pem, ANCHORS, NOW)
    assert credential.covers(tn("12155550100")) == ()
    assert credential.covers(tn("12155550100"), providers=frozenset({"709J"})) == ()
    assert codes(credential.covers(tn("12155550100"), providers=frozenset({"1234"}))) == [ScopeFlaw.NUMBER]


def test_a_list_by_reference_takes_the_place_of_the_extension() -> None:
    access = x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(
                x509.ObjectIdentifier("1.3.6.1.5.5.7.48.14"),
                x509.UniformResourceIdentifier("https://tn.example.org/1"),
            )
        ]
    )
    leaf = issue("leaf", ROOT, extra=[access])
    assert tn_list_url(leaf.certificate) == "https://tn.example.org/1"
    assert tn_list_url(ROOT.certificate) is None
    credential = credential_from(leaf.pem, ANCHORS, NOW, listed=tn_list(one=["12155550100"]))
    assert credential.covers(tn("12155550100")) == ()


def constraint_list(include: list[str], permitted: dict[str, list[str]]) -> bytes:
    names = der(0xA0, der(0x30, *(der(0x16, name.encode()) for name in include)))
    values = [
        der(0x30, der(0x16, name.encode()), der(0x30, *(der(0x0C, value.encode()) for value in allowed)))
        for name, allowed in permitted.items()
    ]
    return der(0x30, names if include else b"", der(0xA1, der(0x30, *values)) if permitted else b"")


@pytest.mark.rfc("8226", "8")
def test_claim_constraints_of_the_rfc() -> None:
    leaf = issue("leaf", ROOT, constraints=constraint_list(["confidence"], {"confidence": ["high"]}))
    credential = credential_from(leaf.pem, ANCHORS, NOW)
    assert credential.claim_flaws({"confidence": "high"}) == ()
    assert codes(credential.claim_flaws({"confidence": "low"})) == [ScopeFlaw.CLAIM]
    assert codes(credential.claim_flaws({"confidence": ["high"]})) == [ScopeFlaw.CLAIM]
    assert codes(credential.claim_flaws({})) == [ScopeFlaw.CLAIM]


@pytest.mark.rfc("9118", "4")
def test_enhanced_claim_constraints() -> None:
    names = der(0x30, der(0x16, b"rcd"))
    value = der(0x30, der(0xA2, names))
    more = x509.UnrecognizedExtension(ENHANCED_CLAIM_CONSTRAINTS, value)
    leaf = issue("leaf", ROOT, constraints=constraint_list(["attest"], {}), extra=[more])
    credential = credential_from(leaf.pem, ANCHORS, NOW)
    assert credential.claim_flaws({"attest": "A"}) == ()
    flaws = credential.claim_flaws({"rcd": {"nam": "Bank"}})
    assert [str(flaw) for flaw in flaws] == [
        "claim constraint: the certificate demands the claim attest",
        "claim constraint: the certificate does not permit the claim rcd",
    ]


def test_constraints_on_a_claim_that_is_no_text_compare_its_json() -> None:
    leaf = issue("leaf", ROOT, constraints=constraint_list([], {"rcd": ['{"nam":"Bank"}']}))
    credential = credential_from(leaf.pem, ANCHORS, NOW)
    assert credential.claim_flaws({"rcd": {"nam": "Bank"}}) == ()
    for other in ({"nam": "Bunk"}, "Bank", ["Bank"], 1.5, None):
        assert codes(credential.claim_flaws({"rcd": other})) == [ScopeFlaw.CLAIM]


def problems(
    leaf: Pair, *, now: float = NOW, lists: tuple[x509.CertificateRevocationList, ...] = ()
) -> list[str]:
    return codes(credential_from(leaf.pem or [leaf.certificate], ANCHORS, now, lists).problems)


def test_the_chain_is_judged_with_a_reason() -> None:
    good = issue("good", ROOT)
    assert problems(good) == []
    assert problems(good, now=NOW + 90 * 86400) == [ChainFlaw.EXPIRED]
    assert problems(good, now=NOW - 90 * 86400) == [ChainFlaw.NOT_YET_VALID]
    assert problems(issue("lone")) == [ChainFlaw.SELF_SIGNED]
    assert problems(issue("alien", issue("Other root", ca=True))) == [ChainFlaw.UNTRUSTED]
    assert problems(issue("under a leaf", good)) == [ChainFlaw.UNTRUSTED]


def test_revocation_lists() -> None:
    leaf, other = issue("leaf", ROOT), issue("other", ROOT)
    assert problems(leaf, lists=(crl(ROOT, [other]),)) == []
    assert problems(leaf, lists=(crl(ROOT, [leaf]),)) == [ChainFlaw.REVOKED]
    assert problems(leaf, lists=(crl(ROOT, [leaf], signer=other.key),)) == [ChainFlaw.REVOCATION_UNKNOWN]
    assert problems(leaf, lists=(crl(ROOT, days=0.01),)) == [ChainFlaw.REVOCATION_UNKNOWN]
    assert problems(leaf, lists=(crl(issue("Other root", ca=True), [leaf]),)) == []


def test_a_revoked_intermediate_takes_its_children_along() -> None:
    middle = issue("middle", ROOT, ca=True)
    assert problems(issue("leaf", middle), lists=(crl(ROOT, [middle]),)) == [ChainFlaw.REVOKED]


@pytest.mark.parametrize("data", [b"", b"\x30\x03abc", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_what_is_no_certificate_is_a_436(data: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        credential_from(data, ANCHORS, NOW)
    assert caught.value.status == 436


def test_a_certificate_whose_list_can_not_be_read_is_a_437() -> None:
    with pytest.raises(PeerError) as caught:
        credential_from(issue("leaf", ROOT, numbers=b"\x30\x01").pem, ANCHORS, NOW)
    assert caught.value.status == 437


def test_a_certificate_whose_name_can_not_be_read_is_a_436() -> None:
    """Also one that only came along: names are read late by the library, and then at any place."""
    good = issue("good", ROOT)
    broken = good.certificate.public_bytes(Encoding.DER).replace(b"\x0c\x04good", b"\x0d\x04good")
    x509.load_der_x509_certificate(broken)
    pem = b"-----BEGIN CERTIFICATE-----\n" + encodebytes(broken) + b"-----END CERTIFICATE-----\n"
    for data in (broken, pem, good.pem + pem):
        with pytest.raises(PeerError) as caught:
            credential_from(data, ANCHORS, NOW)
        assert caught.value.status == 436


def test_a_chain_is_bounded() -> None:
    leaf = issue("leaf", ROOT)
    for data in (leaf.pem * 11, b"-" * 70000):
        with pytest.raises(PeerError):
            credential_from(data, ANCHORS, NOW)
