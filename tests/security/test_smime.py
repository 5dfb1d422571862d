"""S/MIME in SIP: bodies made and opened, layer by layer, and whose they are."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ringfence.message import Headers, PeerError, Request, parse, parse_uri
from ringfence.message.multipart import Entity, join, make_entity, split_entity
from ringfence.message.params import Params
from ringfence.security import cms
from ringfence.security.chains import ChainFlaw
from ringfence.security.cms_enveloped import Keyring
from ringfence.security.cms_fit import SignatureFlaw
from ringfence.security.cms_signed import Signatory, sign
from ringfence.security.smime import (
    CAPABILITIES,
    MAX_LAYERS,
    Kind,
    best_cipher,
    body_of,
    certificates_body,
    encrypted_body,
    entity_of,
    is_secured,
    open_body,
    put_body,
    signed_body,
)
from ringfence.security.smime_signer import (
    Pinned,
    SignerFlaw,
    Speaks,
    pin_of,
    pinned,
    signer_of,
    speaks_for,
)
from tests.security import openssl, published
from tests.security.bodies import opaque_body
from tests.security.pki import NOW, Pair, crl, issue

ROOT = issue("Test root", ca=True)


def user(address: str, **options: object) -> Pair:
    return issue(address, ROOT, names=[x509.UniformResourceIdentifier(address)], **options)  # type: ignore[arg-type]


ALICE, BOB = user("sip:alice@atlanta.example"), user("sip:bob@biloxi.example")
SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n"
SIGNS = [Signatory(ALICE.key, ALICE.certificate)]
assert isinstance(BOB.key, ec.EllipticCurvePrivateKey)
OPENS = [Keyring(BOB.key, BOB.certificate)]


def sdp() -> Entity:
    return make_entity("application/sdp", SDP)


def wrap(entity: Entity, kind: Kind) -> Entity:
    if kind is Kind.SIGNED:
        return signed_body(entity, SIGNS, NOW, f"b{len(entity.raw)}")
    if kind is Kind.OPAQUE:
        return opaque_body(entity, SIGNS, NOW)
    cipher = cms.AES256_GCM if kind is Kind.SEALED else cms.AES128_CBC
    return encrypted_body(entity, [BOB.certificate, ALICE.certificate], cipher)


@pytest.mark.rfc("8551", "3.7")
@pytest.mark.parametrize(
    "kinds",
    [*permutations(list(Kind)[:4], 1), *permutations(list(Kind)[:4], 2), *permutations(list(Kind)[:4], 3)],
)
def test_layers_in_any_order_come_off_again(kinds: tuple[Kind, ...]) -> None:
    entity = sdp()
    for kind in kinds:
        entity = wrap(entity, kind)
    opened = open_body(entity, OPENS)
    assert opened.entity is not None
    assert opened.entity.body == SDP
    assert opened.entity.media_type.essence == "application/sdp"
    assert [layer.kind for layer in opened.layers] == list(reversed(kinds))
    assert [layer.intact for layer in opened.layers] == [
        layer.kind is not Kind.ENCRYPTED for layer in opened.layers
    ]
    assert opened.encrypted == bool({Kind.SEALED, Kind.ENCRYPTED} & set(kinds))


def test_through_the_wire_and_back() -> None:
    request = Request(
        "MESSAGE", "sip:bob@biloxi.example", Headers([("Via", "SIP/2.0/TLS a;branch=z9hG4bK1")])
    )
    for line in (
        "From: <sip:alice@atlanta.example>;tag=1",
        "To: <sip:bob@biloxi.example>",
        "Call-ID: 1",
        "CSeq: 1 MESSAGE",
    ):
        request.headers.add(*line.split(": ", 1))
    request.set_body(b"Watson, come here", "text/plain;charset=utf-8")
    put_body(
        request, signed_body(encrypted_body(entity_of(request), [BOB.certificate]), SIGNS, NOW, "boundary42")
    )
    received = parse(request.to_bytes())
    assert received.headers.get("Content-Length") == str(len(received.body))
    opened = open_body(body_of(received), OPENS)
    assert opened.entity is not None
    assert (opened.entity.body, str(opened.entity.media_type)) == (
        b"Watson, come here",
        "text/plain;charset=utf-8",
    )
    assert opened.signature_layer is opened.layers[0]
    assert opened.layers[0].signatures[0].capabilities == CAPABILITIES


def test_a_plain_body_has_no_layers() -> None:
    assert open_body(sdp()).layers == ()
    assert not is_secured(sdp())


@pytest.mark.rfc("3261", "23.3")
def test_what_we_write_says_what_it_is() -> None:
    signed = signed_body(sdp(), SIGNS, NOW, "boundary42")
    assert str(signed.media_type) == (
        'multipart/signed;protocol="application/pkcs7-signature";micalg=sha-256;boundary="boundary42"'
    )
    part = signed.parts()[1]
    assert not part.disposition.optional
    assert part.headers.get("Content-Transfer-Encoding") == "binary"  # RFC 3853 section 3
    assert (
        encrypted_body(sdp(), [BOB.certificate]).media_type.params.get("smime-type") == "authEnveloped-data"
    )


@settings(max_examples=100, deadline=None)
@example(155, 128, Kind.OPAQUE)  # the serial number of the certificate becomes negative
@given(st.integers(0, 10**6), st.integers(1, 255), st.sampled_from(list(Kind)[:4]))
def test_a_changed_octet_never_gives_another_body_that_is_intact(
    position: int, flip: int, kind: Kind
) -> None:
    whole = WRAPPED[kind]
    at = position % len(whole.body)
    body = whole.body[:at] + bytes([whole.body[at] ^ flip]) + whole.body[at + 1 :]
    try:
        opened = open_body(Entity(whole.headers, body), OPENS)
    except PeerError:
        return
    if opened.layers and all(layer.intact for layer in opened.layers) and opened.entity is not None:
        assert opened.entity.raw == sdp().raw


WRAPPED = {kind: wrap(sdp(), kind) for kind in list(Kind)[:4]}


def test_a_changed_body_is_named() -> None:
    signed = signed_body(sdp(), SIGNS, NOW, "boundary42")
    broken = Entity(signed.headers, signed.body.replace(b"192.0.2.1", b"192.0.2.6"))
    assert [reason.code for reason in open_body(broken).layers[0].signatures[0].reasons] == [
        SignatureFlaw.DIGEST
    ]


@pytest.mark.rfc("3261", "23.2")
def test_what_is_for_somebody_else_is_a_493_with_our_certificate() -> None:
    with pytest.raises(PeerError) as caught:
        open_body(encrypted_body(sdp(), [ALICE.certificate]), OPENS)
    assert caught.value.status == 493
    answer = certificates_body([BOB.certificate])
    assert answer.media_type.params.get("smime-type") == "certs-only"
    opened = open_body(answer)
    assert (opened.entity, opened.layers[0].certificates) == (None, (BOB.certificate,))


def test_nesting_is_bounded() -> None:
    entity = sdp()
    for _ in range(MAX_LAYERS):
        entity = wrap(entity, Kind.OPAQUE)
    assert len(open_body(entity).layers) == MAX_LAYERS
    with pytest.raises(PeerError) as caught:
        open_body(wrap(entity, Kind.OPAQUE))
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "entity",
    [
        make_entity("application/pkcs7-mime; smime-type=signed-data", b"no CMS"),
        make_entity("application/pkcs7-mime", b""),
        make_entity("multipart/signed; boundary=x", b"--x\r\n\r\none\r\n--x--\r\n"),
        make_entity(
            "multipart/signed; boundary=x", b"--x\r\n\r\na\r\n--x\r\n\r\nb\r\n--x\r\n\r\nc\r\n--x--\r\n"
        ),
        make_entity(
            "multipart/signed; boundary=x; protocol=pgp", b"--x\r\n\r\na\r\n--x\r\n\r\nb\r\n--x--\r\n"
        ),
        make_entity("multipart/signed; boundary=x", b"--x\r\n\r\na\r\n--x\r\n\r\nb\r\n--x--\r\n"),
        make_entity("multipart/signed", b""),
        Entity(
            Headers([("Content-Type", "application/pkcs7-mime"), ("Content-Transfer-Encoding", "base64")]),
            b"!",
        ),
    ],
)
def test_what_is_malformed_is_a_400(entity: Entity) -> None:
    with pytest.raises(PeerError) as caught:
        open_body(entity, OPENS)
    assert caught.value.status == 400


def test_a_signature_that_brings_another_content_does_not_count() -> None:
    """It fits what it brings along; what is shown is another text."""
    shown = make_entity("text/plain", b"Transfer all of it.")
    signature = sign(sdp().raw, SIGNS, NOW, detached=False)
    part = make_entity("application/pkcs7-signature", signature)
    params = Params((("protocol", '"application/pkcs7-signature"'), ("micalg", "sha-256")))
    secured = open_body(join([shown, part], "boundary", "signed", params))
    assert secured.entity is not None
    assert secured.entity.body == shown.body
    assert not secured.layers[0].intact
    same = open_body(join([sdp(), part], "boundary", "signed", params))
    assert same.layers[0].intact


@pytest.mark.rfc("8551", "3.1.1")
def test_line_ends_that_were_changed_on_the_way_are_put_right() -> None:
    signed = signed_body(sdp(), SIGNS, NOW, "boundary42")
    content, _, rest = signed.body.partition(b"\r\n--boundary42\r\n")
    head = b"--boundary42\r\n"
    text = content.removeprefix(head)
    fields, _, lines = text.partition(b"\r\n\r\n")
    bare = head + fields + b"\r\n\r\n" + lines.replace(b"\r\n", b"\n")
    opened = open_body(Entity(signed.headers, bare + b"\r\n--boundary42\r\n" + rest))
    assert opened.layers[0].intact


def test_the_peers_capabilities_choose_the_cipher() -> None:
    assert best_cipher(CAPABILITIES) is cms.AES256_GCM
    assert best_cipher([cms.AES128_CBC.oid, cms.AES128_GCM.oid, "1.2.3"]) is cms.AES128_GCM
    assert best_cipher(()) is cms.AES256_GCM


# ---- published objects ----


@pytest.mark.rfc("8591", "10.1")
def test_the_published_signed_message() -> None:
    entity = Entity(
        Headers([("Content-Type", 'application/pkcs7-mime; smime-type=signed-data; name="smime.p7m"')]),
        published.RFC8591_SIGNED,
    )
    opened = open_body(entity)
    assert opened.entity is not None
    assert opened.entity.raw == b"Content-Type: text/plain\r\n\r\nWatson, come here - I want to see you.\r\n"
    signature = opened.layers[0].signatures[0]
    assert (signature.reasons, signature.digest) == ((), "sha-256")
    alice = signature.certificate
    assert alice is not None
    when = alice.not_valid_before_utc.timestamp() + 1
    found = signer_of(signature, parse_uri("sip:alice@example.com"), [alice], when)
    assert (found.speaks, found.reasons) == (Speaks.USER, ())
    stranger = signer_of(signature, parse_uri("sip:alice@example.com"), [], when)
    assert [reason.code for reason in stranger.reasons] == [ChainFlaw.SELF_SIGNED]


@pytest.mark.rfc("8591", "10.2")
def test_the_published_signed_message_without_certificate() -> None:
    fields = Headers([("Content-Type", "application/pkcs7-mime")])
    bare = open_body(Entity(fields, published.RFC8591_SIGNED_NO_CERTIFICATE))
    assert [one.code for one in bare.layers[0].signatures[0].reasons] == [SignatureFlaw.NO_CERTIFICATE]
    known = open_body(Entity(fields, published.RFC8591_SIGNED)).layers[0].certificates
    assert open_body(Entity(fields, published.RFC8591_SIGNED_NO_CERTIFICATE), known=known).layers[0].intact


# ---- whose signature ----


def signer_codes(pair: Pair, address: str, *, now: float = NOW, revoked: bool = False) -> list[str]:
    layer = open_body(opaque_body(sdp(), [Signatory(pair.key, pair.certificate)], NOW)).layers[0]
    lists = [crl(ROOT, [pair])] if revoked else []
    found = signer_of(
        layer.signatures[0],
        parse_uri(address),
        [ROOT.certificate],
        now,
        others=layer.certificates,
        revocation=lists,
    )
    return [reason.code for reason in found.reasons]


@pytest.mark.rfc("3261", "23.2")
def test_the_signer_must_be_the_one_in_the_from() -> None:
    assert signer_codes(ALICE, "sip:alice@atlanta.example") == []
    assert signer_codes(ALICE, "sips:ALICE@atlanta.example:5061;transport=tls") == []
    assert signer_codes(ALICE, "sip:bob@atlanta.example") == [SignerFlaw.OTHER_ADDRESS]
    assert signer_codes(ALICE, "sip:alice@atlanta.example.evil.example") == [SignerFlaw.OTHER_ADDRESS]
    assert signer_codes(ALICE, "tel:+12155551212") == [SignerFlaw.OTHER_ADDRESS]
    assert signer_codes(issue("no body", ROOT), "sip:alice@atlanta.example") == [SignerFlaw.NO_ADDRESS]


def test_the_chain_of_a_signer_is_judged() -> None:
    address = "sip:alice@atlanta.example"
    names = [x509.UniformResourceIdentifier(address)]
    assert signer_codes(ALICE, address, now=NOW + 9e7) == [ChainFlaw.EXPIRED]
    assert signer_codes(ALICE, address, revoked=True) == [ChainFlaw.REVOKED]
    assert signer_codes(issue("self", names=names), address) == [ChainFlaw.SELF_SIGNED]
    web = user(address, extra=[x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])])
    assert signer_codes(web, address) == [ChainFlaw.USAGE]
    mail = user(address, extra=[x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])])
    assert signer_codes(mail, address) == []


@pytest.mark.rfc("3893", "7")
def test_a_domain_may_speak_for_its_users() -> None:
    domain = issue("atlanta", ROOT, names=[x509.UniformResourceIdentifier("sip:atlanta.example")]).certificate
    assert speaks_for(domain, parse_uri("sip:alice@atlanta.example")) is Speaks.DOMAIN
    assert speaks_for(domain, parse_uri("sip:alice@biloxi.example")) is Speaks.NOBODY
    mail = issue("mail", ROOT, names=[x509.RFC822Name("alice@atlanta.example")]).certificate
    assert speaks_for(mail, parse_uri("sip:alice@atlanta.example")) is Speaks.USER


@pytest.mark.rfc("3261", "23.2")
def test_pinning() -> None:
    renewed = user("sip:alice@atlanta.example", key=ALICE.key)
    pins = [pin_of(ALICE.certificate)]
    assert pinned(ALICE.certificate, []) is Pinned.FIRST_CONTACT
    assert pinned(ALICE.certificate, [pin_of(BOB.certificate), *pins]) is Pinned.SAME
    assert pinned(renewed.certificate, pins) is Pinned.RENEWED
    assert pinned(BOB.certificate, pins) is Pinned.CHANGED


class TestOpenssl:
    pytestmark = openssl.interop

    def test_a_mail_that_openssl_signed_is_read(self, tmp_path: Path) -> None:
        data = openssl.run(
            "cms", "-sign", "-in", openssl.write(tmp_path, "content", sdp().raw), "-crlfeol",
            "-signer", openssl.certificate(tmp_path, ALICE), "-inkey", openssl.key(tmp_path, ALICE),
        )  # fmt: skip
        mail = split_entity(data.split(b"\n", 1)[1] if data.startswith(b"MIME") else data)
        opened = open_body(mail)
        assert opened.layers[0].intact
        assert opened.entity is not None
        assert opened.entity.body == SDP

    def test_openssl_opens_what_we_signed_and_encrypted(self, tmp_path: Path) -> None:
        sealed = encrypted_body(opaque_body(sdp(), SIGNS, NOW), [BOB.certificate])
        inner = openssl.run(
            "cms", "-decrypt", "-binary", "-inform", "DER", "-in", openssl.write(tmp_path, "sealed", sealed.body),
            "-recip", openssl.certificate(tmp_path, BOB), "-inkey", openssl.key(tmp_path, BOB),
        )  # fmt: skip
        signed = openssl.write(tmp_path, "signed", split_entity(inner).body)
        content = openssl.run(
            "cms", "-verify", "-binary", "-inform", "DER", "-in", signed, "-purpose", "any", "-attime", int(NOW),
            "-CAfile", openssl.certificate(tmp_path, ROOT, "root.pem"),
        )  # fmt: skip
        assert content == sdp().raw
