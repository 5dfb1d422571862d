"""Certificates that ``cryptography`` can't read, each by another exception: they prove nothing and stop nobody."""

from __future__ import annotations

import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ringfence.message import PeerError
from ringfence.message.multipart import make_entity
from ringfence.security.certificates import domain_identities, user_identities
from ringfence.security.chains import judge_chain
from ringfence.security.cms import key_identifier
from ringfence.security.cms_enveloped import encryption_flaw
from ringfence.security.cms_fit import SignatureFlaw
from ringfence.security.cms_signed import Signatory, verify
from ringfence.security.ocsp import responders
from ringfence.security.revocation import distribution_points, revocation_urls, unknown_status
from ringfence.security.smime import open_body, signed_body
from ringfence.security.tnauth import credential_from
from ringfence.transport.flow import PeerCertificate
from ringfence.transport.tls import proves
from tests.security.pki import NOW, issue

URI = "sip:alice@example.org"
ROOT = issue("Root", ca=True)
ALICE = issue("alice", ROOT, names=[x509.UniformResourceIdentifier(URI)])
DER = ALICE.certificate.public_bytes(Encoding.DER)
VERSION = bytes.fromhex("a003020102")
"""[0] { INTEGER 2 }: version 3."""


def with_name(tag: int) -> bytes:
    """Its name of another kind: x400Address is [3], ediPartyName [5]."""
    place = DER.index(URI.encode())
    return DER[: place - 2] + bytes([tag]) + DER[place - 1 :]


def twice() -> bytes:
    """The key usage twice: that of basic constraints, which are as long, becomes one."""
    oids = x509.KeyUsage.oid.dotted_string, x509.BasicConstraints.oid.dotted_string
    assert oids == ("2.5.29.15", "2.5.29.19")
    return DER.replace(bytes.fromhex("0603551d13"), bytes.fromhex("0603551d0f"))


UNREADABLE = {
    "version 4": DER.replace(VERSION, VERSION[:-1] + b"\x03"),
    "x400Address": with_name(0xA3),
    "ediPartyName": with_name(0xA5),
    "an extension twice": twice(),
}
ODD = {name: data for name, data in UNREADABLE.items() if name != "version 4"}
"""Those that are found out only when extensions are asked for."""


@pytest.mark.parametrize("name", ODD)
def test_nobody_is_undone_by_what_such_a_certificate_says(name: str) -> None:
    certificate = x509.load_der_x509_certificate(ODD[name])
    assert judge_chain([certificate], [ROOT.certificate], NOW).reasons != ()
    assert judge_chain([certificate], [certificate], NOW, usages=[]).reasons != ()
    assert user_identities(certificate) == ()
    assert domain_identities(certificate).domains == ()
    assert key_identifier(certificate) is None
    assert encryption_flaw(certificate) is not None
    assert responders(certificate) == []
    assert distribution_points(certificate) == []
    assert revocation_urls([certificate]) == []
    assert [why for _, why in unknown_status([certificate], ())] == ["its extensions can't be read"]


@pytest.mark.parametrize("name", UNREADABLE)
def test_in_tls_and_as_a_signer_of_calls(name: str) -> None:
    data = UNREADABLE[name]
    assert not proves(PeerCertificate(data, True, (data,)), "example.org")
    with pytest.raises(PeerError) as refused:
        credential_from(data, [ROOT.certificate], NOW)
    assert refused.value.status == (436 if name == "version 4" else 437)


@pytest.mark.parametrize("name", UNREADABLE)
def test_in_a_signed_body(name: str) -> None:
    body = signed_body(
        make_entity("text/plain", b"hello"), [Signatory(ALICE.key, ALICE.certificate)], time.time(), "x"
    )
    assert body.body.count(DER) == 1
    secured = open_body(
        make_entity(body.headers.get("Content-Type") or "", body.body.replace(DER, UNREADABLE[name]))
    )
    (signature,) = secured.layers[0].signatures
    if signature.certificate is None:
        assert [reason.code for reason in signature.reasons] == [SignatureFlaw.NO_CERTIFICATE]
    assert secured.entity is not None
    assert secured.entity.body == b"hello"
    found = verify(body.parts()[1].content().replace(DER, UNREADABLE[name]), body.parts()[0].raw)
    assert [one for one in found.signatures if one.certificate is None] or name != "version 4"
