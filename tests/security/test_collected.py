"""What we make of S/MIME objects that others have published, beside what they and ``openssl cms`` say of them."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asn1crypto.cms import ContentInfo  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.cli.verify_smime import entity_in
from ringfence.message import PeerError
from ringfence.message.multipart import make_entity
from ringfence.security import cms
from ringfence.security.chains import judge_chain
from ringfence.security.cms_enveloped import DecryptionKey, Keyring, decrypt, encrypt, encryption_flaw
from ringfence.security.cms_fit import WEAK, SignatureFlaw
from ringfence.security.cms_signed import PrivateKey, Signatory, Signature
from ringfence.security.smime import Kind, Secured, detached, open_body, signed_body
from ringfence.security.smime_signer import USAGES
from tests.security import openssl
from tests.security.collected import certificates, published
from tests.security.pki import issue

SHA1_DSA = {SignatureFlaw.WEAK_DIGEST, SignatureFlaw.OLD_ALGORITHM}
SHA1_RSA = {SignatureFlaw.WEAK_DIGEST, SignatureFlaw.WEAK_KEY}
UNREAD = {SignatureFlaw.WEAK_DIGEST, SignatureFlaw.NO_CERTIFICATE}
"""A certificate whose key says that its parameters are those of its issuer: nobody reads these any more."""


def opened(source: str, name: str) -> Secured:
    return open_body(
        entity_in(published(source)[name]), known=list(certificates("rfc4134").values()), bare=True
    )


def codes(signature: Signature) -> set[object]:
    return {reason.code for reason in signature.reasons}


# RFC 4134 is of 2005: everything in it is DSA, or RSA of 1024 bits, with SHA-1. It fits, and is not believed.
EXAMPLES = [
    ("rfc4134", "4.1.bin", Kind.OPAQUE, [SHA1_DSA]),
    ("rfc4134", "4.2.bin", Kind.OPAQUE, [SHA1_RSA]),
    ("rfc4134", "4.3.bin", Kind.SIGNED, [{SignatureFlaw.WEAK_DIGEST, SignatureFlaw.NO_CONTENT}]),
    ("rfc4134", "4.4.bin", Kind.OPAQUE, [SHA1_DSA]),  # signed and unsigned attributes of all kinds
    ("rfc4134", "4.5.bin", Kind.OPAQUE, [SHA1_RSA]),  # indefinite lengths
    ("rfc4134", "4.6.bin", Kind.OPAQUE, [SHA1_DSA, UNREAD]),  # two signers
    ("rfc4134", "4.7.bin", Kind.OPAQUE, [SHA1_DSA]),  # by its subject key identifier
    ("rfc4134", "4.8.eml", Kind.SIGNED, [SHA1_DSA]),  # multipart/signed
    ("rfc4134", "4.9.eml", Kind.OPAQUE, [SHA1_DSA]),
    ("rfc4134", "4.10.bin", Kind.OPAQUE, [SHA1_DSA]),  # signed attributes of RFC 2634
    ("rfc4134", "4.11.bin", Kind.CERTIFICATES, []),
    ("pyasn1", "rfc2634_signed_message_pem_text.der", Kind.OPAQUE, [set()]),  # a receipt request
    ("pyasn1", "rfc2634_signed_receipt_pem_text.der", Kind.OPAQUE, [set()]),  # content of another type
    ("pyasn1", "rfc3274_compressed_data_pem_text.der", Kind.COMPRESSED, []),
    ("pyasn1", "rfc5636_pem_text.der", Kind.OPAQUE, [set()]),
    ("pyasn1", "rfc5752_pem_text.der", Kind.OPAQUE, [{SignatureFlaw.OLD_ALGORITHM}, set()]),
    ("pyasn1", "rfc6482_roa_pem_text.der", Kind.OPAQUE, [set()]),  # RSA, subject key identifier
    ("pyasn1", "rfc7191_message1_pem_text.der", Kind.OPAQUE, [{SignatureFlaw.SIGNATURE}]),
    ("pyasn1", "rfc7191_message2_pem_text.der", Kind.OPAQUE, [set()]),
    ("pyasn1", "rfc7508_signed_message_pem_text.der", Kind.OPAQUE, [set()]),
    ("bouncycastle", "no-attributes.der", Kind.OPAQUE, [{SignatureFlaw.WEAK_KEY}]),
    ("bouncycastle", "countersigned.der", Kind.OPAQUE, [SHA1_RSA]),
    ("openssl", "no_ct_attr.cms", Kind.OPAQUE, [{SignatureFlaw.ATTRIBUTES}]),
    ("openssl", "no_md_attr.cms", Kind.OPAQUE, [{SignatureFlaw.ATTRIBUTES}]),
    ("openssl", "ct_multiple_attr.cms", Kind.OPAQUE, [{SignatureFlaw.ATTRIBUTES}]),
    ("openssl", "bad_signtime_attr.cms", Kind.OPAQUE, [{SignatureFlaw.ATTRIBUTES}]),
]


@pytest.mark.rfc("5652", "5.4")
@pytest.mark.parametrize(
    ("source", "name", "kind", "flaws"), EXAMPLES, ids=[f"{e[0]}-{e[1]}" for e in EXAMPLES]
)
def test_published_signatures(source: str, name: str, kind: Kind, flaws: list[set[SignatureFlaw]]) -> None:
    (layer,) = opened(source, name).layers
    assert layer.kind is kind
    assert [codes(signature) for signature in layer.signatures] == flaws


def test_the_content_of_the_rfc_comes_out() -> None:
    for name in ("4.1.bin", "4.2.bin", "4.5.bin", "4.6.bin", "4.7.bin"):
        entity = opened("rfc4134", name).entity
        assert entity is not None
        assert entity.body == published("rfc4134")["ExContent.bin"] == b"This is some sample content."


def test_a_detached_signature_and_its_content() -> None:
    content, signature = published("rfc4134")["ExContent.bin"], published("rfc4134")["4.3.bin"]
    (good,) = detached(signature, content).signatures
    assert codes(good) == SHA1_DSA
    (changed,) = detached(signature, content + b"!").signatures
    assert SignatureFlaw.SIGNATURE in codes(changed)


def test_an_old_signature_that_was_changed_is_told_from_one_that_is_only_old() -> None:
    data = published("rfc4134")["4.1.bin"]
    assert data.count(b"sample content") == 1
    changed = open_body(entity_in(data.replace(b"sample content", b"simple content")), bare=True)
    assert codes(changed.layers[0].signatures[0]) == {
        SignatureFlaw.WEAK_DIGEST,
        SignatureFlaw.SIGNATURE,
    }
    data = data[:-1] + bytes([data[-1] ^ 1])
    (signature,) = open_body(entity_in(data), bare=True).layers[0].signatures
    assert SignatureFlaw.SIGNATURE in codes(signature)


@pytest.mark.rfc("5652", "11.3")
def test_two_signing_times_are_none() -> None:
    data = published("pyasn1")["rfc5636_pem_text.der"]
    info = ContentInfo.load(data)
    attributes = info["content"]["signer_infos"][0]["signed_attrs"]
    times = next(each["values"] for each in attributes if each["type"].native == "signing_time")
    times.append(times[0].copy())
    (signature,) = open_body(entity_in(info.dump(force=True)), bare=True).layers[0].signatures
    assert SignatureFlaw.ATTRIBUTES in codes(signature)


def test_only_a_line_end_may_follow_an_object() -> None:
    data = published("rfc4134")["4.5.bin"]
    for end in (b"\n", b"\r\n", b"\r\n\r\n"):
        assert cms.read(data + end)[0] == cms.SIGNED_DATA
    for end in (b"x", b"\0", b"x\n", data, data + b"\n"):
        with pytest.raises(PeerError, match="trailing data"):
            cms.read(data + end)


# Each of these is refused, and the answer says what it is.
REFUSED = [
    ("rfc4134", "3.1.bin", 400, "plain data"),
    ("rfc4134", "5.1.bin", 493, "des-ede3-cbc"),
    ("rfc4134", "5.2.bin", 493, "rc2-cbc"),
    ("rfc4134", "5.3.eml", 493, "des-ede3-cbc"),
    ("rfc4134", "6.0.bin", 400, "DigestedData"),
    ("rfc4134", "7.1.bin", 400, "EncryptedData"),
    ("rfc4134", "7.2.bin", 400, "EncryptedData"),
    ("pyasn1", "rfc3370_env_data_pem_text.der", 493, "rc2-cbc"),
    ("pyasn1", "rfc5084_rfc8591_pem_pext.der", 493, "another certificate"),
    ("openssl", "ecdh-malformed.der", 493, "another certificate"),
]


@pytest.mark.parametrize(("source", "name", "status", "said"), REFUSED)
def test_published_objects_that_are_refused(source: str, name: str, status: int, said: str) -> None:
    bob = certificates("rfc4134")["BobRSASignByCarl.cer"]
    key = load_der_private_key(published("rfc4134")["BobPrivRSAEncrypt.pri"], None)
    assert isinstance(key, rsa.RSAPrivateKey)
    with pytest.raises(PeerError, match=said) as raised:
        open_body(entity_in(published(source)[name]), [Keyring(key, bob)], bare=True)
    assert raised.value.status == status


def test_a_published_authenveloped_object_opens() -> None:
    data = published("bouncycastle")["sample1.der"]
    key = load_der_private_key(published("bouncycastle")["sample1.key"], None)
    assert isinstance(key, rsa.RSAPrivateKey)
    # Its certificate is not there; this one has the subject key identifier by which it is named.
    wanted = ContentInfo.load(data)["content"]["recipient_infos"][0].chosen["rid"].native
    model = issue("x", key=key).certificate
    named = x509.CertificateBuilder(
        model.issuer, model.subject, key.public_key(), 1, model.not_valid_before_utc, model.not_valid_after_utc,
        [x509.Extension(x509.SubjectKeyIdentifier.oid, False, x509.SubjectKeyIdentifier(wanted))],
    )  # fmt: skip
    opened = decrypt(data, [Keyring(key, named.sign(key, SHA256()))])
    assert (opened.content, opened.cipher) == (b"auth-enveloped data", cms.AES128_GCM)


EVERY = [
    (source, name)
    for source in ("rfc4134", "openssl", "bouncycastle", "pyasn1")
    for name in published(source)
]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(EVERY), st.integers(0, 10**6), st.integers(1, 255), st.booleans())
def test_a_changed_object_is_a_verdict_or_a_peer_error(
    which: tuple[str, str], place: int, flip: int, bare: bool
) -> None:
    data = bytearray(published(which[0])[which[1]])
    data[place % len(data)] ^= flip
    with suppress(PeerError):
        open_body(entity_in(bytes(data)), bare=bare)


def test_what_such_changes_have_found() -> None:
    (layer,) = open_body(entity_in(published("changed")["attribute.der"]), bare=True).layers
    assert not layer.intact
    mail = b"Content-Type: multipart/signed; boundary=\xffx\r\n\r\n--x\r\n\r\n--x--\r\n"
    with pytest.raises(PeerError, match="boundary"):
        open_body(entity_in(mail), bare=True)


class TestOpenssl:
    """The verdict of ``openssl cms``, object by object."""

    pytestmark = openssl.interop

    @pytest.mark.parametrize(("source", "name"), [each[:2] for each in EXAMPLES if each[3]])
    def test_says_the_same(self, source: str, name: str, tmp_path: Path) -> None:
        others = [each.public_bytes(Encoding.PEM) for each in certificates("rfc4134").values()]
        pem = openssl.write(tmp_path, "others.pem", b"".join(others))
        form = "SMIME" if name.endswith(".eml") else "DER"
        path = openssl.write(tmp_path, "object", published(source)[name])
        ours = all(codes(each) <= WEAK for each in opened(source, name).layers[0].signatures)
        openssl.run("cms", "-verify", "-noverify", "-inform", form, "-in", path, "-certfile", pem, "-out",
                    tmp_path / "out", ok=ours)  # fmt: skip


# ---- RFC 9216: keys and certificates for today ----

AT = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
PEOPLE = ("alice", "bob", "carlos", "dana")


def key_of(name: str) -> object:
    return load_der_private_key(published("rfc9216")[f"{name}.key"], None)


@pytest.mark.parametrize("name", PEOPLE)
def test_the_sample_certificates_are_vouched_for(name: str) -> None:
    known = certificates("rfc9216")
    leaf = known[f"{name}-sign.cer"]
    own, other = ("rsa", "ed25519") if name in ("alice", "bob") else ("ed25519", "rsa")
    assert judge_chain([leaf], [known[f"ca-{own}.cer"]], AT, usages=USAGES).reasons == ()
    # By the other authority through the certificate that it has issued to this one.
    chain = [leaf, known[f"ca-{own}-cross.cer"]]
    assert judge_chain(chain, [known[f"ca-{other}.cer"]], AT, usages=USAGES).reasons == ()
    assert judge_chain([leaf], [known[f"ca-{other}.cer"]], AT, usages=USAGES).reasons != ()


@pytest.mark.parametrize("name", PEOPLE)
def test_the_sample_keys_sign(name: str) -> None:
    key = key_of(f"{name}-sign")
    assert isinstance(key, PrivateKey)
    who = Signatory(key, certificates("rfc9216")[f"{name}-sign.cer"])
    secured = open_body(signed_body(make_entity("text/plain", b"hello"), [who], AT, "boundary"))
    assert [codes(each) for each in secured.layers[0].signatures] == [set()]


@pytest.mark.parametrize("name", PEOPLE)
def test_the_sample_keys_decrypt(name: str) -> None:
    key, certificate = key_of(f"{name}-encrypt"), certificates("rfc9216")[f"{name}-encrypt.cer"]
    assert isinstance(key, DecryptionKey)
    assert encryption_flaw(certificate) is None
    assert decrypt(encrypt(b"hello", [certificate]), [Keyring(key, certificate)]).content == b"hello"
    assert encryption_flaw(certificates("rfc9216")[f"{name}-sign.cer"]) is not None
