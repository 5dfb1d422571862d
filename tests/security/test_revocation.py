"""Which revocation lists tell the status of a certificate, and of whom it stays unknown (RFC 5280 section 6.3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import AuthorityInformationAccessOID

from ringfence.security.chains import ChainFlaw, revocation_flaws
from ringfence.security.revocation import tells, unknown_status
from tests.security.pki import NOW, Pair, issue

ROOT = issue("Root", ca=True)
OTHER = issue("Other root", ca=True)
LEAF = issue("leaf", ROOT)
SCOPE = {
    "full_name": None,
    "relative_name": None,
    "only_contains_user_certs": False,
    "only_contains_ca_certs": False,
    "only_some_reasons": None,
    "indirect_crl": False,
    "only_contains_attribute_certs": False,
}


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
    return builder.sign(issuer.key, SHA256())  # type: ignore[arg-type]  # a key that signs


@pytest.mark.rfc("5280", "6.3")
@pytest.mark.parametrize(
    ("scope", "told"),
    [
        ({}, True),
        ({"only_contains_user_certs": True}, True),
        ({"only_contains_ca_certs": True}, False),
        ({"indirect_crl": True}, False),
        ({"only_some_reasons": frozenset({x509.ReasonFlags.key_compromise})}, False),
        ({"only_contains_attribute_certs": True}, False),
    ],
)
def test_what_a_list_tells_depends_on_its_scope(scope: dict[str, Any], told: bool) -> None:
    crl = listed(ROOT, LEAF, **scope)
    assert tells(crl, LEAF.certificate) is told
    path = (LEAF.certificate, ROOT.certificate)
    assert [flaw.code for flaw in revocation_flaws(path, (crl,), NOW)] == (
        [ChainFlaw.REVOKED] if told else []
    )


@pytest.mark.rfc("5280", "5.2")
def test_a_list_with_a_critical_extension_that_is_not_known_tells_nothing() -> None:
    begin = datetime.fromtimestamp(NOW - 3600, UTC)
    builder = x509.CertificateRevocationListBuilder().issuer_name(ROOT.certificate.subject)
    builder = builder.last_update(begin).next_update(begin + timedelta(days=7))
    delta = builder.add_extension(x509.DeltaCRLIndicator(3), critical=True)
    assert not tells(delta.sign(ROOT.key, SHA256()), LEAF.certificate)  # type: ignore[arg-type]


def test_a_list_of_another_issuer_tells_nothing() -> None:
    assert not tells(listed(OTHER, LEAF), LEAF.certificate)


def point(url: str = "", issuer: Pair | None = None) -> x509.CRLDistributionPoints:
    names = [x509.UniformResourceIdentifier(url)] if url else None
    by = [x509.DirectoryName(issuer.certificate.subject)] if issuer is not None else None
    return x509.CRLDistributionPoints([x509.DistributionPoint(names, None, None, by)])


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
        ([point("http://ca.test/crl")], "its revocation list can't be had over https"),
        ([point(issuer=OTHER)], "its revocation list is an indirect one, of another issuer"),
        ([OCSP], "its issuer tells it by OCSP alone"),
    ],
    ids=["nothing named", "https", "http", "indirect", "OCSP"],
)
def test_why_a_status_is_not_known(extra: list[x509.ExtensionType], said: str) -> None:
    leaf = issue("leaf", ROOT, extra=extra).certificate
    found = unknown_status([leaf, ROOT.certificate], ())
    assert [why for _, why in found] == ([said] if said else [])
    assert unknown_status([leaf, ROOT.certificate], [listed(ROOT)]) == []
    assert [why for _, why in unknown_status([leaf], [listed(ROOT, indirect_crl=True)])] == (
        [said] if said else []
    )
