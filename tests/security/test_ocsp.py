"""What an OCSP answer has to be like to be believed (RFC 6960), and what it then says."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.security.ocsp import (
    MAX_ANSWER,
    NONCE_OCTETS,
    Status,
    Told,
    judge_answer,
    question_url,
    responders,
)
from tests.security.pki import NOW, Pair, issue

ROOT = issue("Root", ca=True)
OTHER = issue("Other root", ca=True)
LEAF = issue("leaf", ROOT)
FOR_OCSP = [x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])]
RESPONDER = issue("responder", ROOT, extra=FOR_OCSP)
BEGIN = datetime.fromtimestamp(NOW - 3600, UTC)
GOOD, REVOKED, UNKNOWN = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN


def answer(
    status: ocsp.OCSPCertStatus = GOOD,
    *,
    by: Pair = ROOT,
    about: Pair = LEAF,
    issuer: Pair = ROOT,
    begin: datetime = BEGIN,
    hours: float | None = 24,
    digest: hashes.HashAlgorithm | None = None,
    encoding: ocsp.OCSPResponderEncoding = ocsp.OCSPResponderEncoding.HASH,
    extension: x509.ExtensionType | None = None,
    asked_by: hashes.HashAlgorithm | None = None,
) -> bytes:
    revoked = status is REVOKED
    builder = ocsp.OCSPResponseBuilder().add_response(
        about.certificate,
        issuer.certificate,
        asked_by or hashes.SHA1(),
        status,
        begin,
        None if hours is None else begin + timedelta(hours=hours),
        begin if revoked else None,
        None,
    )
    builder = builder.responder_id(encoding, by.certificate)
    if by is not ROOT:
        builder = builder.certificates([by.certificate])
    if extension is not None:
        builder = builder.add_extension(extension, critical=True)
    sure = None if isinstance(by.key, ed25519.Ed25519PrivateKey) else digest or hashes.SHA256()
    return builder.sign(by.key, sure).public_bytes(Encoding.DER)


def judge(data: bytes, now: float = NOW, **more: Any) -> Told:
    return judge_answer(data, LEAF.certificate, ROOT.certificate, now, **more)


@pytest.mark.rfc("6960", "2.2")
@pytest.mark.parametrize(
    ("status", "found"), [(GOOD, Status.GOOD), (REVOKED, Status.REVOKED), (UNKNOWN, Status.UNKNOWN)]
)
def test_the_three_things_that_an_answer_can_say(status: ocsp.OCSPCertStatus, found: Status) -> None:
    told = judge(answer(status))
    assert told.status is found
    assert told.until == (0.0 if found is Status.UNKNOWN else NOW + 23 * 3600)


@pytest.mark.rfc("6960", "4.2.2.2")
@pytest.mark.parametrize("encoding", list(ocsp.OCSPResponderEncoding))
@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(65537, 2048),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["P-384", "RSA", "Ed25519"],
)
def test_an_issuer_may_have_a_responder(encoding: ocsp.OCSPResponderEncoding, key: Any) -> None:
    responder = issue("responder", ROOT, key=key, extra=FOR_OCSP)
    data = answer(by=responder, encoding=encoding, digest=hashes.SHA512())
    assert judge(data).status is Status.GOOD
    told = judge(data, revoked=[responder.certificate])
    assert told == Told(Status.UNKNOWN, "the responder has been revoked")


@pytest.mark.rfc("6960", "3.2")
@pytest.mark.parametrize(
    ("data", "why"),
    [
        (answer(by=issue("r", ROOT)), "the responder has no certificate for OCSP"),
        (
            answer(by=issue("r", ROOT, extra=[x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])])),
            "the responder has a certificate for another use",
        ),
        (answer(by=issue("r", OTHER, extra=FOR_OCSP)), "the responder is not one of the certificate's issuer"),
        (
            answer(by=issue("r", ROOT, extra=FOR_OCSP, start=NOW - 9 * 86400, days=1)),
            "the responder has a certificate that is not valid now",
        ),
        (answer(by=OTHER), "the responder is not one of the certificate's issuer"),
        (answer(about=issue("another", ROOT)), "the answer is about another certificate"),
        (answer(about=issue("leaf", OTHER), issuer=OTHER), "the answer is about another certificate"),
        (answer(asked_by=hashes.SHA256()), "the answer is about another certificate"),
        (answer(begin=BEGIN - timedelta(days=3)), "the answer ended on 2026-05-02 11:00"),
        (answer(begin=BEGIN - timedelta(days=3), hours=None), "the answer ended on 2026-05-02 11:00"),
        (answer(begin=BEGIN + timedelta(days=3)), "the answer is from the future"),
        (answer(digest=hashes.SHA224()), "the answer is signed with sha224, which can be forged"),
        (answer(by=RESPONDER)[:-1], "the answer can't be read"),
        (b"", "the answer can't be read"),
        (b"0" * (MAX_ANSWER + 1), "the answer is longer than 65536 octets"),
        (
            ocsp.OCSPResponseBuilder.build_unsuccessful(
                ocsp.OCSPResponseStatus.UNAUTHORIZED
            ).public_bytes(Encoding.DER),
            "the responder says unauthorized",
        ),
        (
            answer(extension=x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")),
            "the answer has a critical extension that is not understood",
        ),
    ],
)  # fmt: skip
def test_what_is_not_believed(data: bytes, why: str) -> None:
    told = judge(data)
    assert told.status is Status.UNKNOWN
    assert told.why.startswith(why)


def test_an_answer_that_was_changed() -> None:
    """Good for revoked: the one octet that an attacker would change."""
    data = answer(REVOKED)
    for position in range(len(data)):
        changed = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
        assert judge(changed).status is not Status.GOOD


def test_an_answer_without_an_end_holds_for_a_day() -> None:
    data = answer(hours=None)
    assert judge(data).until == NOW + 23 * 3600
    assert judge(data, NOW + 24 * 3600).status is Status.UNKNOWN


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_octets_give_an_answer(data: bytes) -> None:
    assert judge(data).status is Status.UNKNOWN


@pytest.mark.rfc("6960", "A.1")
def test_a_question_is_one_url() -> None:
    url = question_url("http://o.test/a/", LEAF.certificate, ROOT.certificate)
    assert url.startswith("http://o.test/a/M")
    encoded = url.removeprefix("http://o.test/a/")
    assert not set(encoded) & set("+/=")
    asked = ocsp.load_der_ocsp_request(b64decode(unquote(encoded)))
    assert asked.serial_number == LEAF.certificate.serial_number
    assert len(url) < 255  # RFC 5019 section 5: longer ones would have to be posted


NONCE = bytes(range(NONCE_OCTETS))


@pytest.mark.rfc("9654", "2.1")
def test_a_question_has_a_nonce_of_32_octets() -> None:
    url = question_url("http://o.test/a/", LEAF.certificate, ROOT.certificate, NONCE)
    asked = ocsp.load_der_ocsp_request(b64decode(unquote(url.removeprefix("http://o.test/a/"))))
    [extension] = asked.extensions
    assert (extension.value, extension.critical) == (x509.OCSPNonce(NONCE), False)
    assert len(NONCE) == 32
    assert len(url) < 255


@pytest.mark.rfc("6960", "4.4.1")
@pytest.mark.rfc("9654", "2.1")
@pytest.mark.parametrize(
    ("has", "hours", "why"),
    [
        (NONCE, 24, ""),
        (None, 24, ""),
        (None, 0.5, "the answer ended on 2026-05-04 11:30"),
        (NONCE, 0.5, "the answer ended on 2026-05-04 11:30"),
        (NONCE[:-1] + b"\0", 24, "the answer has the nonce of another question"),
        (NONCE[:16], 24, "the answer has the nonce of another question"),
    ],
    ids=["ours", "none and fresh", "none and old", "ours and old", "another", "the half of ours"],
)
def test_the_nonce_of_an_answer(has: bytes | None, hours: float, why: str) -> None:
    data = answer(hours=hours, extension=None if has is None else x509.OCSPNonce(has))
    assert judge(data, nonce=NONCE).why == why
    assert judge(data, nonce=NONCE).status is (Status.UNKNOWN if why else Status.GOOD)


def test_an_answer_with_a_nonce_to_a_question_without() -> None:
    assert judge(answer(extension=x509.OCSPNonce(NONCE))).status is Status.UNKNOWN


def test_where_a_certificate_says_to_ask() -> None:
    def at(oid: x509.ObjectIdentifier, url: str) -> x509.AccessDescription:
        return x509.AccessDescription(oid, x509.UniformResourceIdentifier(url))

    access = x509.AuthorityInformationAccess(
        [
            at(AuthorityInformationAccessOID.CA_ISSUERS, "http://ca.test/ca"),
            at(AuthorityInformationAccessOID.OCSP, "http://o.test"),
            at(AuthorityInformationAccessOID.OCSP, "ldap://o.test"),
        ]
    )
    assert responders(issue("leaf", ROOT, extra=[access]).certificate) == ["http://o.test", "ldap://o.test"]
    assert responders(LEAF.certificate) == []
