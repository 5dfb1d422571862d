"""Which revocation lists tell the status of a certificate, and of whom it stays unknown (RFC 5280 section 6.3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import AuthorityInformationAccessOID

from ringfence.security.chains import ChainFlaw, judge_chain, list_signers, revocation_flaws, sound_lists
from ringfence.security.revocation import tells, unknown_status
from tests.security.pki import NOW, Pair, issue

ROOT = issue("Root", ca=True)
OTHER = issue("Other root", ca=True)
LEAF = issue("leaf", ROOT)
SCOPE: dict[str, Any] = {
    "full_name": None,
    "relative_name": None,
    "only_contains_user_certs": False,
    "only_contains_ca_certs": False,
    "only_some_reasons": None,
    "indirect_crl": False,
    "only_contains_attribute_certs": False,
}


def place(
    url: str = "", issuer: Pair | None = None, reasons: frozenset[x509.ReasonFlags] | None = None
) -> x509.DistributionPoint:
    names = [x509.UniformResourceIdentifier(url)] if url else None
    by = [x509.DirectoryName(issuer.certificate.subject)] if issuer is not None else None
    return x509.DistributionPoint(names, None, reasons, by)


def point(url: str = "", issuer: Pair | None = None) -> x509.CRLDistributionPoints:
    return x509.CRLDistributionPoints([place(url, issuer)])


def listed(issuer: Pair, revoked: Pair | None = None, **scope: Any) -> x509.CertificateRevocationList:
    """A list with this scope, which has the certificate."""
    begin = datetime.fromtimestamp(NOW - 3600, UTC)
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject)
    builder = builder.last_update(begin).next_update(begin + timedelta(days=7))
    if scope:
        builder = builder.add_extension(x509.IssuingDistributionPoint(**(SCOPE | scope)), critical=True)
    if revoked is not None:
        entry = x509.RevokedCertificateBuilder().serial_number(revoked.certificate.serial_number)
        builder = builder.add_revoked_certificate(entry.revocation_date(begin).build())
    return builder.sign(issuer.key, SHA256())


@pytest.mark.rfc("5280", "6.3")
@pytest.mark.parametrize(
    ("scope", "told", "revokes"),
    [
        ({}, True, True),
        ({"only_contains_user_certs": True}, True, True),
        ({"only_contains_ca_certs": True}, False, False),
        ({"indirect_crl": True}, True, True),
        ({"only_some_reasons": frozenset({x509.ReasonFlags.key_compromise})}, False, True),
        ({"only_contains_attribute_certs": True}, False, False),
        ({"full_name": [x509.UniformResourceIdentifier("http://ca.test/another")]}, False, False),
        ({"full_name": [x509.DirectoryName(ROOT.certificate.subject)]}, True, True),
    ],
)
def test_what_a_list_tells_depends_on_its_scope(scope: dict[str, Any], told: bool, revokes: bool) -> None:
    crl = listed(ROOT, LEAF, **scope)
    assert tells(crl, LEAF.certificate) is told
    path = (LEAF.certificate, ROOT.certificate)
    assert [flaw.code for flaw in revocation_flaws(path, (crl,), NOW)] == (
        [ChainFlaw.REVOKED] if revokes else []
    )


def test_a_list_of_one_distribution_point_tells_of_its_own_alone() -> None:
    """A large authority has many, and each is silent on what stands in the others."""
    here, there = (issue("leaf", ROOT, extra=[point(f"http://ca.test/{name}")]) for name in ("here", "there"))
    crl = listed(ROOT, full_name=[x509.UniformResourceIdentifier("http://ca.test/here")])
    assert tells(crl, here.certificate)
    assert not tells(crl, there.certificate)


def test_a_list_by_who_may_not_sign_lists_counts_for_nothing() -> None:
    between = issue("between", ROOT)  # no authority: its key usage has no cRLSign
    leaf = issue("leaf", between)
    flaws = revocation_flaws((leaf.certificate, between.certificate), (listed(between),), NOW)
    assert [flaw.code for flaw in flaws] == [ChainFlaw.REVOCATION_UNKNOWN]


# ---- indirect lists ----


def indirect(
    issuer: Pair, *entries: tuple[Pair, Pair | None], url: str = "", begin: float = NOW - 3600
) -> x509.CertificateRevocationList:
    """A list for several issuers: each entry a certificate, and the issuer that the entry names, if it does."""
    start = datetime.fromtimestamp(begin, UTC)
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject)
    builder = builder.last_update(start).next_update(start + timedelta(days=7))
    names = [x509.UniformResourceIdentifier(url)] if url else None
    scope = x509.IssuingDistributionPoint(**(SCOPE | {"indirect_crl": True, "full_name": names}))
    builder = builder.add_extension(scope, critical=True)
    for pair, by in entries:
        entry = x509.RevokedCertificateBuilder().serial_number(pair.certificate.serial_number)
        entry = entry.revocation_date(start)
        if by is not None:
            named = x509.CertificateIssuer([x509.DirectoryName(by.certificate.subject)])
            entry = entry.add_extension(named, critical=True)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuer.key, SHA256())


LISTER = issue("Lister", ROOT, ca=True)
STRANGER = issue("Lister", OTHER, ca=True)
NAMES_IT = issue("leaf", ROOT, extra=[point(issuer=LISTER)])
ANOTHER = issue("another", ROOT, extra=[point(issuer=LISTER)])


@pytest.mark.rfc("5280", "5.3.3")
@pytest.mark.parametrize(
    ("entries", "revoked"),
    [
        ([(NAMES_IT, ROOT)], True),
        ([(ANOTHER, ROOT), (NAMES_IT, None)], True),
        ([(ANOTHER, ROOT), (NAMES_IT, OTHER)], False),
        ([(NAMES_IT, OTHER), (NAMES_IT, ROOT)], True),
        ([(NAMES_IT, None)], False),
        ([(ANOTHER, ROOT)], False),
        ([], False),
    ],
    ids=["named", "named before", "of another", "of both", "of the lister itself", "not there", "empty"],
)
def test_an_entry_of_an_indirect_list_says_whose_it_is(
    entries: list[tuple[Pair, Pair | None]], revoked: bool
) -> None:
    crl = indirect(LISTER, *entries)
    assert tells(crl, NAMES_IT.certificate)
    chain = [NAMES_IT.certificate, LISTER.certificate]
    reasons = judge_chain(chain, [ROOT.certificate], NOW, [crl]).reasons
    assert [flaw.code for flaw in reasons] == ([ChainFlaw.REVOKED] if revoked else [])


@pytest.mark.rfc("5280", "6.3.3")
def test_an_indirect_list_counts_when_the_certificate_names_its_issuer_and_a_root_stands_behind_it() -> None:
    crl = indirect(LISTER, (NAMES_IT, ROOT), (LEAF, ROOT))
    assert not tells(crl, LEAF.certificate)  # it names nobody
    alone = judge_chain([NAMES_IT.certificate], [ROOT.certificate], NOW, [crl])
    assert [flaw.code for flaw in alone.reasons] == [ChainFlaw.REVOCATION_UNKNOWN]
    forged = indirect(STRANGER)
    chain = [NAMES_IT.certificate, STRANGER.certificate, LISTER.certificate]
    judged = judge_chain(chain, [ROOT.certificate], NOW, [forged])
    assert [flaw.code for flaw in judged.reasons] == [ChainFlaw.REVOCATION_UNKNOWN]


BETWEEN = issue("Between", ROOT, ca=True)
TOP = issue("Lister", ca=True)


def codes(found: Any) -> list[str]:
    return [str(reason.code) for reason in found]


@pytest.mark.rfc("5280", "6.3.3")
@pytest.mark.parametrize(
    ("lister", "beside", "anchors", "said"),
    [
        (LISTER, [LISTER], [ROOT], "revoked"),
        (LISTER, [LISTER], [ROOT, OTHER], "revoked"),
        (LISTER, [], [ROOT, LISTER], "revoked"),
        (STRANGER, [STRANGER], [ROOT, OTHER], "revocation unknown"),
        (STRANGER, [], [ROOT, STRANGER], "revocation unknown"),
        (TOP, [], [ROOT, TOP], "revocation unknown"),
        (TOP, [TOP], [ROOT], "revocation unknown"),
    ],
    ids=[
        "of the same root",
        "of the same, of two",
        "itself trusted, too",
        "of another trusted root",
        "of another, trusted itself",
        "another root",
        "an unknown root",
    ],
)
def test_the_issuer_of_an_indirect_list_leads_to_the_root_of_the_certificate(
    lister: Pair, beside: list[Pair], anchors: list[Pair], said: str
) -> None:
    """ "The trust anchor for the certification path MUST be the same" (step f)."""
    chain = [NAMES_IT.certificate, *(each.certificate for each in beside)]
    trusted = [each.certificate for each in anchors]
    assert codes(judge_chain(chain, trusted, NOW, [indirect(lister, (NAMES_IT, ROOT))]).reasons) == [said]


@pytest.mark.parametrize(
    ("signer", "said"), [(TOP, "revoked"), (STRANGER, "revocation unknown")], ids=["itself", "its namesake"]
)
def test_the_owner_may_name_who_lists_for_all(signer: Pair, said: str) -> None:
    """As SHAKEN has it: its policy administrator leads to no root of those whose certificates it lists."""
    crl = indirect(signer, (NAMES_IT, ROOT))
    chain, roots, named = [NAMES_IT.certificate], [ROOT.certificate], [TOP.certificate]
    assert codes(judge_chain(chain, roots, NOW, [crl], list_issuers=named).reasons) == [said]
    later = NOW + 20 * 365 * 86400
    assert "revoked" not in codes(judge_chain(chain, roots, later, [crl], list_issuers=named).reasons)


@pytest.mark.rfc("5280", "6.3.3")
def test_the_issuer_of_an_indirect_list_may_stand_below_others() -> None:
    below = issue("Lister", BETWEEN, ca=True).certificate
    path = (NAMES_IT.certificate, ROOT.certificate)
    crls = [indirect(LISTER)]
    assert list_signers(crls, path, [below, BETWEEN.certificate], NOW) == [below]
    assert list_signers(crls, path, [below], NOW) == []
    ended = issue("Lister", ROOT, ca=True, start=NOW - 9 * 86400, days=1).certificate
    assert list_signers(crls, path, [ended], NOW) == []


@pytest.mark.rfc("5280", "6.3.3")
def test_the_issuer_of_an_indirect_list_that_has_been_revoked_tells_nothing() -> None:
    """Else its stolen key would give back whatever was taken."""
    chain = [NAMES_IT.certificate, LISTER.certificate]
    crls = [indirect(LISTER), listed(ROOT, LISTER, only_contains_ca_certs=True)]
    assert codes(judge_chain(chain, [ROOT.certificate], NOW, crls).reasons) == ["revocation unknown"]


@pytest.mark.rfc("5280", "6.3.3")
def test_issuer_and_place_of_an_indirect_list_are_of_one_distribution_point() -> None:
    """The issuer's list of another place is silent on this certificate because it stands elsewhere."""
    here, there = "http://ca.test/here", "http://ca.test/there"
    points = x509.CRLDistributionPoints([place(here, LISTER), place(there)])
    leaf = issue("leaf", ROOT, extra=[points]).certificate
    assert tells(indirect(LISTER, url=here), leaf)
    assert not tells(indirect(LISTER, url=there), leaf)
    assert not tells(indirect(LISTER, url="http://ca.test/elsewhere"), leaf)


@pytest.mark.rfc("5280", "6.3.3")
def test_a_distribution_point_for_some_reasons_tells_of_these_alone() -> None:
    some = place(issuer=LISTER, reasons=frozenset({x509.ReasonFlags.key_compromise}))
    leaf = issue("leaf", ROOT, extra=[x509.CRLDistributionPoints([some])])
    assert not tells(indirect(LISTER), leaf.certificate)
    chain = [leaf.certificate, LISTER.certificate]
    judged = judge_chain(chain, [ROOT.certificate], NOW, [indirect(LISTER, (leaf, ROOT))])
    assert codes(judged.reasons) == ["revoked"]


def test_lists_that_can_be_believed() -> None:
    path, signers = (NAMES_IT.certificate, ROOT.certificate), [LISTER.certificate]
    long_ago = NOW - 30 * 86400
    good, ended = indirect(LISTER), indirect(LISTER, begin=long_ago)
    took = indirect(LISTER, (NAMES_IT, ROOT), begin=long_ago)
    assert sound_lists([good, ended, took], path, NOW, signers) == (good, took)
    assert sound_lists([good], path, NOW) == ()
    assert sound_lists([indirect(STRANGER)], path, NOW, signers) == ()


@pytest.mark.rfc("5280", "5.2")
def test_a_list_with_a_critical_extension_that_is_not_known_tells_nothing() -> None:
    begin = datetime.fromtimestamp(NOW - 3600, UTC)
    builder = x509.CertificateRevocationListBuilder().issuer_name(ROOT.certificate.subject)
    builder = builder.last_update(begin).next_update(begin + timedelta(days=7))
    delta = builder.add_extension(x509.DeltaCRLIndicator(3), critical=True)
    crl = delta.sign(ROOT.key, SHA256())
    assert not tells(crl, LEAF.certificate)
    leaf = issue("leaf", ROOT, extra=[point("https://ca.test/crl")]).certificate
    assert [why for _, why in unknown_status([leaf], [crl])] == [
        "its revocation list is a delta, which tells nothing alone"
    ]


def test_a_list_of_another_issuer_tells_nothing() -> None:
    assert not tells(listed(OTHER, LEAF), LEAF.certificate)


OCSP = x509.AuthorityInformationAccess(
    [
        x509.AccessDescription(
            AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://o.test")
        )
    ]
)


@pytest.mark.rfc("5280", "6.3")
@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ([], ""),
        ([point("https://ca.test/crl")], "its revocation list could not be had, or does not tell"),
        ([point("http://ca.test/crl")], "its revocation list could not be had, or does not tell"),
        ([point("ldap://ca.test/crl")], "its revocation list can't be had over http"),
        ([point(issuer=OTHER)], "its revocation list is an indirect one, and not at hand"),
        ([OCSP], "its issuer tells it by OCSP alone"),
    ],
    ids=["nothing named", "https", "http", "ldap", "indirect", "OCSP"],
)
def test_why_a_status_is_not_known(extra: list[x509.ExtensionType], said: str) -> None:
    leaf = issue("leaf", ROOT, extra=extra).certificate
    found = unknown_status([leaf, ROOT.certificate], ())
    assert [why for _, why in found] == ([said] if said else [])
    assert unknown_status([leaf, ROOT.certificate], [listed(ROOT)]) == []
    partial = listed(ROOT, only_some_reasons=frozenset({x509.ReasonFlags.key_compromise}))
    assert [why for _, why in unknown_status([leaf], [partial])] == (
        ["its revocation list is about some reasons only"] if said else []
    )
