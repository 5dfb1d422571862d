"""What S/MIME objects of other programs have beside content and signatures, and the layer that only compresses."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from asn1crypto import cms as objects  # type: ignore[import-untyped]
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from ringfence.message import PeerError
from ringfence.message.multipart import Entity, make_entity
from ringfence.security.cms_compressed import MAX_UNPACKED
from ringfence.security.cms_enveloped import Keyring
from ringfence.security.cms_signed import Signatory, sign
from ringfence.security.smime import Kind, encrypted_body, open_body, signed_body
from tests.security import openssl
from tests.security.pki import NOW, Pair, crl, issue

ROOT = issue("Test root", ca=True)
KEY = rsa.generate_private_key(65537, 2048)
RSA = issue("RSA", ROOT, key=KEY)
OTHER = issue("P-256", ROOT)
PART = make_entity("application/sdp", b"v=0\r\n")


def pkcs7(data: bytes) -> Entity:
    return make_entity("application/pkcs7-mime", data)


def attached(pair: Pair = RSA) -> bytes:
    return sign(PART.raw, [Signatory(pair.key, pair.certificate)], NOW, detached=False)


def compressed(content: bytes, algorithm: str = "1.2.840.113549.1.9.16.3.8") -> Entity:
    value = {
        "version": "v0",
        "compression_algorithm": {"algorithm": algorithm},
        "encap_content_info": {"content_type": "data", "content": content},
    }
    return pkcs7(objects.ContentInfo({"content_type": "compressed_data", "content": value}).dump())


@pytest.mark.rfc("8551", "3.6")
def test_a_compressed_body_is_read_and_proves_nothing() -> None:
    opened = open_body(compressed(zlib.compress(PART.raw)))
    assert opened.entity is not None
    assert opened.entity.body == PART.body
    assert [layer.kind for layer in opened.layers] == [Kind.COMPRESSED]
    assert not opened.layers[0].intact
    assert not opened.encrypted
    assert opened.signature_layer is None


@pytest.mark.rfc("8551", "3.7")
def test_signed_compressed_and_encrypted_in_any_order() -> None:
    signed = signed_body(PART, [Signatory(KEY, RSA.certificate)], NOW, "boundary")
    sealed = encrypted_body(compressed(zlib.compress(signed.raw)), [RSA.certificate])
    opened = open_body(sealed, [Keyring(KEY, RSA.certificate)])
    assert [layer.kind for layer in opened.layers] == [Kind.SEALED, Kind.COMPRESSED, Kind.SIGNED]
    assert opened.layers[2].intact
    assert opened.entity is not None
    assert opened.entity.body == PART.body


def test_a_triple_wrap() -> None:
    """RFC 2634 section 1.1: signed, encrypted, signed."""
    inner = pkcs7(attached())
    outer = signed_body(
        encrypted_body(inner, [RSA.certificate]), [Signatory(OTHER.key, OTHER.certificate)], NOW, "boundary"
    )
    opened = open_body(outer, [Keyring(KEY, RSA.certificate)])
    assert [layer.kind for layer in opened.layers] == [Kind.SIGNED, Kind.SEALED, Kind.OPAQUE]
    assert all(layer.intact for layer in opened.layers)


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (zlib.compress(b"\0" * (MAX_UNPACKED + 1), 9), 413, "unpacks to more than"),
        (zlib.compress(PART.raw)[:-5], 400, "cut off"),
        (b"no such thing", 400, "damaged"),
        (b"", 400, "cut off"),
    ],
    ids=["bomb", "cut off", "damaged", "empty"],
)
def test_what_can_not_be_unpacked_is_refused(content: bytes, status: int, said: str) -> None:
    with pytest.raises(PeerError, match=said) as caught:
        open_body(compressed(content))
    assert caught.value.status == status


def test_another_compression_is_named() -> None:
    with pytest.raises(PeerError, match=r"1\.2\.3\.4 is not supported") as caught:
        open_body(compressed(zlib.compress(PART.raw), "1.2.3.4"))
    assert caught.value.status == 415


def test_layers_of_compression_are_bounded() -> None:
    body = PART
    for _ in range(5):
        body = compressed(zlib.compress(body.raw))
    with pytest.raises(PeerError, match="nest deeper"):
        open_body(body)


# ---- what stands beside content and signatures ----


@pytest.mark.rfc("5652", "11.4")
def test_a_countersignature_does_no_harm() -> None:
    """It is over the signature, by somebody else; it proves nothing of the content, and nothing is said of it."""
    value = objects.ContentInfo.load(attached())
    info = value["content"]["signer_infos"][0]
    counter = sign(info["signature"].native, [Signatory(OTHER.key, OTHER.certificate)], NOW)
    values = [objects.ContentInfo.load(counter)["content"]["signer_infos"][0]]
    info["unsigned_attrs"] = objects.CMSAttributes([{"type": "counter_signature", "values": values}])
    layer = open_body(pkcs7(value.dump(force=True))).layers[0]
    assert layer.intact
    assert [one.certificate for one in layer.signatures] == [RSA.certificate]


@pytest.mark.rfc("5652", "10.2.1")
def test_revocation_lists_inside_do_no_harm() -> None:
    """Which lists count is a matter of the reader, not of the signer."""
    value = objects.ContentInfo.load(attached())
    listed = objects.CertificateList.load(crl(ROOT, [RSA]).public_bytes(Encoding.DER))
    value["content"]["crls"] = [objects.RevocationInfoChoice(name="crl", value=listed)]
    assert open_body(pkcs7(value.dump(force=True))).layers[0].intact


def test_attributes_that_nobody_sorted_are_verified_as_they_came() -> None:
    """RFC 5652 section 5.4 wants DER, which sorts a SET OF. Some signers sign and send the order that they have."""
    value = objects.ContentInfo.load(attached())
    info = value["content"]["signer_infos"][0]
    one, *others = (attribute.dump() for attribute in info["signed_attrs"])
    turned = b"".join([*others, one])
    assert len(turned) < 128
    covered = b"\x31" + bytes([len(turned)]) + turned
    signature = _signed(covered)
    raw = value.dump().replace(b"".join([one, *others]), turned)
    raw = raw.replace(info["signature"].native, signature)
    assert open_body(pkcs7(raw)).layers[0].intact
    assert not open_body(pkcs7(raw.replace(b"v=0", b"v=1"))).layers[0].intact


def _signed(data: bytes) -> bytes:
    return KEY.sign(data, padding.PKCS1v15(), SHA256())


class TestOpenssl:
    """What ``openssl cms`` writes of this kind."""

    pytestmark = openssl.interop

    def run(self, folder: Path, *options: object) -> Entity:
        content = openssl.write(folder, "content", PART.raw)
        return pkcs7(openssl.run("cms", *options, "-binary", "-in", content, "-outform", "DER"))

    def test_a_receipt_request_does_no_harm(self, tmp_path: Path) -> None:
        """An attribute that asn1crypto can't read (RFC 2634 section 2.7)."""
        signer = ("-signer", openssl.certificate(tmp_path, RSA), "-inkey", openssl.key(tmp_path, RSA))
        wish = ("-receipt_request_all", "-receipt_request_to", "alice@example.org", "-cades")
        body = self.run(tmp_path, "-sign", "-nodetach", *signer, *wish)
        assert open_body(body).layers[0].intact

    def test_a_password_beside_a_certificate(self, tmp_path: Path) -> None:
        recipient = openssl.certificate(tmp_path, RSA)
        body = self.run(tmp_path, "-encrypt", "-aes-256-cbc", "-pwri_password", "secret", "-recip", recipient)
        assert open_body(body, [Keyring(KEY, RSA.certificate)]).encrypted

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (("-digest_create", "-md", "sha256"), "DigestedData"),
            (("-data_create",), "plain data"),
            (("-EncryptedData_encrypt", "-aes-128-cbc", "-secretkey", "00" * 16), "EncryptedData"),
        ],
    )
    def test_other_objects_are_refused_by_name(
        self, tmp_path: Path, options: tuple[str, ...], said: str
    ) -> None:
        with pytest.raises(PeerError, match=said) as caught:
            open_body(self.run(tmp_path, *options))
        assert caught.value.status == 400
