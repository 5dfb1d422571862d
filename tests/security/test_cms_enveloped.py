"""EnvelopedData and AuthEnvelopedData: here, and across with ``openssl cms``."""

from __future__ import annotations

from pathlib import Path

import pytest
from asn1crypto.cms import ContentInfo  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.message import LocalError, PeerError
from ringfence.security import cms
from ringfence.security.cms_enveloped import DecryptionKey, Keyring, decrypt, encrypt
from tests.security import openssl
from tests.security.pki import Pair, der, issue

ROOT = issue("Test root", ca=True)
PAIRS = {
    "RSA": issue("rsa", ROOT, key=rsa.generate_private_key(65537, 2048)),
    "P-256": issue("p256", ROOT),
    "P-521": issue("p521", ROOT, key=ec.generate_private_key(ec.SECP521R1())),
}
CONTENT = b"Content-Type: application/sdp\r\n\r\nv=0\r\n"


def keyring(pair: Pair) -> Keyring:
    assert isinstance(pair.key, DecryptionKey)
    return Keyring(pair.key, pair.certificate)


@pytest.mark.rfc("5083", "2")
@pytest.mark.rfc("5652", "6")
@pytest.mark.parametrize("cipher", cms.CIPHERS.values(), ids=lambda cipher: cipher.name)
def test_each_recipient_opens_it_with_its_own_key(cipher: cms.ContentCipher) -> None:
    data = encrypt(CONTENT, [pair.certificate for pair in PAIRS.values()], cipher)
    for pair in PAIRS.values():
        opened = decrypt(data, [keyring(pair)])
        assert (opened.content, opened.cipher, opened.recipient) == (CONTENT, cipher, pair.certificate)
        assert opened.cipher.authenticated == cipher.name.endswith("gcm")


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 4096])
def test_any_size(size: int) -> None:
    for cipher in (cms.AES256_GCM, cms.AES128_CBC):
        data = encrypt(bytes(size), [PAIRS["P-256"].certificate], cipher)
        assert decrypt(data, [keyring(PAIRS["P-256"])]).content == bytes(size)


@pytest.mark.rfc("3261", "23.2")
def test_another_key_gets_a_493() -> None:
    data = encrypt(CONTENT, [PAIRS["P-256"].certificate])
    for ring in ([], [keyring(PAIRS["RSA"])], [keyring(issue("p256", ROOT))]):
        with pytest.raises(PeerError) as caught:
            decrypt(data, ring)
        assert caught.value.status == 493


GCM = encrypt(CONTENT, [PAIRS["P-256"].certificate])


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_flipped_octet_never_opens_to_another_content(position: int, flip: int) -> None:
    at = position % len(GCM)
    data = GCM[:at] + bytes([GCM[at] ^ flip]) + GCM[at + 1 :]
    try:
        assert decrypt(data, [keyring(PAIRS["P-256"])]).content == CONTENT
    except PeerError as error:
        assert error.status in (400, 493)  # noqa: PT017


def test_every_failure_to_decrypt_reads_the_same() -> None:
    """A peer that sends us guesses learns nothing from the words of the answer."""
    pair = PAIRS["RSA"]
    found = set()
    for cipher in (cms.AES256_CBC, cms.AES256_GCM):
        data = encrypt(CONTENT, [pair.certificate], cipher)
        for at in (-1, -20):
            with pytest.raises(PeerError) as caught:
                decrypt(data[:at] + bytes([data[at] ^ 1]) + data[len(data) + at + 1 :], [keyring(pair)])
            found.add(str(caught.value))
        broken = data.replace(keys_of(data), bytes(256))
        with pytest.raises(PeerError) as caught:
            decrypt(broken, [keyring(pair)])
        found.add(str(caught.value))
    assert found == {"493 Undecipherable: it could not be decrypted"}


def keys_of(data: bytes) -> bytes:
    at = data.index(b"\x04\x82\x01\x00") + 4
    return data[at : at + 256]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=120))
def test_any_octets_are_a_peer_error(data: bytes) -> None:
    with pytest.raises(PeerError):
        decrypt(data, [keyring(PAIRS["RSA"])])


@pytest.mark.parametrize(
    "certificate",
    [
        issue("ed", ROOT, key=ed25519.Ed25519PrivateKey.generate()).certificate,
        ROOT.certificate,  # key usage: certificates only
    ],
)
def test_not_every_certificate_can_be_encrypted_to(certificate: x509.Certificate) -> None:
    with pytest.raises(LocalError):
        encrypt(CONTENT, [certificate])


def test_recipients_are_bounded() -> None:
    for number in (0, cms.MAX_RECIPIENTS + 1):
        with pytest.raises(LocalError):
            encrypt(CONTENT, [PAIRS["P-256"].certificate] * number)


class TestOpenssl:
    pytestmark = openssl.interop

    @pytest.mark.parametrize("cipher", cms.CIPHERS.values(), ids=lambda cipher: cipher.name)
    @pytest.mark.parametrize("name", list(PAIRS))
    def test_openssl_opens_ours(self, tmp_path: Path, name: str, cipher: cms.ContentCipher) -> None:
        data = encrypt(CONTENT, [pair.certificate for pair in PAIRS.values()], cipher)
        pair = PAIRS[name]
        assert openssl.run(
            "cms", "-decrypt", "-binary", "-inform", "DER", "-in", openssl.write(tmp_path, "sealed", data),
            "-recip", openssl.certificate(tmp_path, pair), "-inkey", openssl.key(tmp_path, pair),
        ) == CONTENT  # fmt: skip

    @pytest.mark.parametrize("cipher", cms.CIPHERS.values(), ids=lambda cipher: cipher.name)
    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("RSA", []),
            ("RSA", ["-keyid", "-stream"]),
            ("RSA", ["-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"]),
            ("P-256", []),
            ("P-256", ["-keyid"]),
            ("P-256", ["-stream", "-keyopt", "ecdh_kdf_md:sha256"]),
            ("P-521", ["-keyopt", "ecdh_kdf_md:sha512"]),
        ],
    )
    def test_we_open_openssls(
        self, tmp_path: Path, name: str, options: list[str], cipher: cms.ContentCipher
    ) -> None:
        pair = PAIRS[name]
        recipient = openssl.certificate(tmp_path, pair)
        keyed = [option for option in options if option != "-stream"]
        data = openssl.run(
            "cms", "-encrypt", "-binary", "-outform", "DER", f"-{cipher.name}",
            *(["-stream"] if "-stream" in options else []),
            "-in", openssl.write(tmp_path, "content", CONTENT), "-recip", recipient, *keyed,
        )  # fmt: skip
        assert decrypt(data, [keyring(pair)])[:3] == (CONTENT, cms.DATA, cipher)

    def test_a_cipher_of_yesterday_is_refused_by_name(self, tmp_path: Path) -> None:
        pair = PAIRS["RSA"]
        data = openssl.run(
            "cms", "-encrypt", "-outform", "DER", "-des3", "-in", openssl.write(tmp_path, "content", CONTENT),
            openssl.certificate(tmp_path, pair),
        )  # fmt: skip
        with pytest.raises(PeerError, match="cipher des-ede3-cbc is not supported") as caught:
            decrypt(data, [keyring(pair)])
        assert caught.value.status == 493


@pytest.mark.rfc("8418", "2.2")
def test_x25519_as_the_rfc_has_it() -> None:
    """What we write, opened here from primitives; and by us."""
    key = x25519.X25519PrivateKey.generate()
    pair = issue("X25519", ROOT, key=key)  # type: ignore[arg-type]
    data = encrypt(CONTENT, [pair.certificate])
    value = ContentInfo.load(data)["content"]
    agreed = value["recipient_infos"][0].chosen
    assert agreed["key_encryption_algorithm"]["algorithm"].dotted == "1.2.840.113549.1.9.16.3.19"
    sender = x25519.X25519PublicKey.from_public_bytes(agreed["originator"].chosen["public_key"].contents[1:])
    wrapping = der(0x30, bytes.fromhex("060960864801650304012d"))  # id-aes256-wrap
    info = der(0x30, wrapping, der(0xA2, der(0x04, (256).to_bytes(4, "big"))))
    kek = HKDF(SHA256(), 32, None, info).derive(key.exchange(sender))
    content_key = aes_key_unwrap(kek, agreed["recipient_encrypted_keys"][0]["encrypted_key"].native)
    inner = value["auth_encrypted_content_info"]
    nonce = inner["content_encryption_algorithm"]["parameters"].dump()[4:16]  # SEQUENCE { OCTET STRING, ... }
    sealed = inner["encrypted_content"].native + value["mac"].native
    assert AESGCM(content_key).decrypt(nonce, sealed, None) == CONTENT
    assert decrypt(data, [Keyring(key, pair.certificate)]).content == CONTENT
    with pytest.raises(PeerError, match="could not be decrypted"):
        decrypt(data, [Keyring(x25519.X25519PrivateKey.generate(), pair.certificate)])
