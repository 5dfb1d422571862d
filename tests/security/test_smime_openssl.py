"""Whole S/MIME bodies across with ``openssl cms``, both ways, in every form that it can make and SIP may carry."""

from __future__ import annotations

from base64 import encodebytes
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from ringfence.message import PeerError
from ringfence.message.multipart import Entity, join, make_entity, split_entity
from ringfence.security import cms
from ringfence.security.cms_enveloped import Keyring
from ringfence.security.cms_signed import Signatory, verify
from ringfence.security.smime import Kind, encrypted_body, open_body, signed_body
from tests.security import openssl
from tests.security.bodies import opaque_body
from tests.security.pki import NOW, Pair, issue

pytestmark = openssl.interop

ROOT = issue("Test root", ca=True)
RSA = issue("RSA", ROOT, key=rsa.generate_private_key(65537, 2048))
PAIRS = {
    "rsa": RSA,
    "p256": issue("P-256", ROOT),
    "p384": issue("P-384", ROOT, key=ec.generate_private_key(ec.SECP384R1())),
    "p521": issue("P-521", ROOT, key=ec.generate_private_key(ec.SECP521R1())),
}
ED25519 = issue("Ed25519", ROOT, key=ed25519.Ed25519PrivateKey.generate())
SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n"
PART = make_entity("application/sdp", SDP)
LARGE = make_entity("text/plain", b"0123456789abcdef" * 1_500)
PSS = ("-keyopt", "rsa_padding_mode:pss")
OAEP = ("-keyopt", "rsa_padding_mode:oaep")


def ring(pair: Pair) -> Keyring:
    assert not isinstance(pair.key, ed25519.Ed25519PrivateKey)
    return Keyring(pair.key, pair.certificate)


def signs(folder: Path, content: bytes, pair: Pair, *options: object, form: str = "DER") -> bytes:
    return openssl.run(
        "cms", "-sign", "-binary", "-in", openssl.write(folder, "content", content), "-outform", form,
        "-signer", openssl.certificate(folder, pair), "-inkey", openssl.key(folder, pair), *options,
    )  # fmt: skip


def encrypts(folder: Path, content: bytes, pair: Pair, *options: object, form: str = "DER") -> bytes:
    return openssl.run(
        "cms", "-encrypt", "-binary", "-in", openssl.write(folder, "content", content), "-outform", form,
        *(options or ("-aes-256-cbc",)), "-recip", openssl.certificate(folder, pair),
    )  # fmt: skip


def pkcs7(data: bytes, *fields: tuple[str, str]) -> Entity:
    return make_entity("application/pkcs7-mime", data, *fields)


def mail(data: bytes) -> Entity:
    """What ``-outform SMIME`` writes, with the line ends of the wire."""
    return split_entity(data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))


# ---- what openssl signs ----


@pytest.mark.rfc("8551", "2.2")
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(
    "options", [(), ("-noattr",), ("-keyid",)], ids=["attributes", "bare", "by key identifier"]
)
def test_its_detached_signatures(tmp_path: Path, name: str, digest: str, options: tuple[str, ...]) -> None:
    """The micalg is written by it: sha-256, sha-384, sha-512."""
    body = mail(signs(tmp_path, PART.raw, PAIRS[name], "-md", digest, *options, form="SMIME"))
    opened = open_body(body)
    assert opened.layers[0].kind is Kind.SIGNED
    assert opened.layers[0].intact
    assert opened.entity is not None
    assert opened.entity.body == SDP
    changed = split_entity(body.raw.replace(b"192.0.2.1", b"192.0.2.9"))
    assert not open_body(changed).layers[0].intact


@pytest.mark.rfc("4055", "3.1")
@pytest.mark.parametrize(
    "options",
    [PSS, (*PSS, "-keyopt", "rsa_pss_saltlen:20"), (*PSS, "-keyopt", "rsa_mgf1_md:sha1")],
    ids=["usual", "short salt", "mask by SHA-1"],
)
def test_its_rsa_pss(tmp_path: Path, options: tuple[str, ...]) -> None:
    opened = open_body(pkcs7(signs(tmp_path, PART.raw, RSA, "-nodetach", "-md", "sha256", *options)))
    assert opened.layers[0].kind is Kind.OPAQUE
    assert opened.layers[0].intact


@pytest.mark.rfc("5652", "5.2")
@pytest.mark.parametrize("part", [PART, LARGE], ids=["small", "large"])
def test_its_indefinite_lengths(tmp_path: Path, part: Entity) -> None:
    """BER with the content in several octet strings, as streaming programs write it."""
    data = signs(tmp_path, part.raw, RSA, "-nodetach", "-stream")
    assert data[:2] == b"\x30\x80"
    assert verify(data).content == part.raw
    opened = open_body(pkcs7(data))
    assert opened.layers[0].intact
    cut = data.index(b"\x24\x80") + 2
    end = data.index(b"\0\0", cut)
    assert verify(data[:cut] + data[end:]).content == b""


def test_its_several_signers(tmp_path: Path) -> None:
    more: list[object] = []
    for name, pair in PAIRS.items():
        more += ["-signer", openssl.certificate(tmp_path, pair, f"{name}.pem")]
        more += ["-inkey", openssl.key(tmp_path, pair, f"{name}.key")]
    opened = open_body(pkcs7(signs(tmp_path, PART.raw, issue("one more", ROOT), "-nodetach", *more)))
    assert len(opened.layers[0].signatures) == len(PAIRS) + 1
    assert opened.layers[0].intact


@pytest.mark.parametrize(
    ("options", "said"), [(("-md", "sha1"), "sha-1 can be forged"), (("-md", "sha224"), "is not supported")]
)
def test_its_weak_digests_do_not_count(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    layer = open_body(pkcs7(signs(tmp_path, PART.raw, RSA, "-nodetach", *options))).layers[0]
    assert not layer.intact
    assert said in str(layer.signatures[0].reasons[0])


def test_its_dsa_does_not_count(tmp_path: Path) -> None:
    """The examples of RFC 4134 are of that time."""
    parameters, key, certificate = (tmp_path / name for name in ("dsa.parameters", "dsa.key", "dsa.pem"))
    openssl.run("dsaparam", "-out", parameters, "1024")
    made = ("-nodes", "-keyout", key, "-out", certificate, "-subj", "/CN=dsa")
    openssl.run("req", "-x509", "-newkey", f"dsa:{parameters}", *made)
    data = openssl.run(
        "cms", "-sign", "-binary", "-nodetach", "-in", openssl.write(tmp_path, "content", PART.raw),
        "-outform", "DER", "-signer", certificate, "-inkey", key,
    )  # fmt: skip
    opened = open_body(pkcs7(data))
    assert not opened.layers[0].intact
    assert "DSA with SHA-256 is no longer believed" in str(opened.layers[0].signatures[0].reasons[0])


@pytest.mark.rfc("2045", "6.8")
@pytest.mark.parametrize("way", ["SMIME", "base64"])
def test_its_base64(tmp_path: Path, way: str) -> None:
    if way == "SMIME":
        body = mail(signs(tmp_path, PART.raw, RSA, "-nodetach", form="SMIME"))
    else:
        text = encodebytes(signs(tmp_path, PART.raw, RSA, "-nodetach"))
        body = pkcs7(text, ("Content-Transfer-Encoding", "BASE64"))
    assert open_body(body).layers[0].intact


@pytest.mark.rfc("2045", "6.7")
def test_the_encoding_of_a_signed_part_is_undone_after_it_was_verified(tmp_path: Path) -> None:
    quoted = make_entity(
        "text/plain", b"caf=C3=A9 =3D 1=\r\n0", ("Content-Transfer-Encoding", "quoted-printable")
    )
    opened = open_body(mail(signs(tmp_path, quoted.raw, RSA, form="SMIME")))
    assert opened.layers[0].intact
    assert opened.entity is not None
    assert opened.entity.content() == "café = 10".encode()


def test_it_signs_a_nested_multipart(tmp_path: Path) -> None:
    inner = join([PART, make_entity("text/plain", b"and more")], "inner")
    opened = open_body(mail(signs(tmp_path, inner.raw, RSA, form="SMIME")))
    assert opened.layers[0].intact
    assert opened.entity is not None
    assert [leaf.body for leaf in opened.entity.leaves()] == [SDP, b"and more"]


@pytest.mark.rfc("8551", "3.1.1")
def test_it_signs_text_in_canonical_form(tmp_path: Path) -> None:
    """Signed with ``-crlfeol`` from a file with bare line feeds; what arrives has one or the other."""
    text = b"Content-Type: text/plain\n\none\ntwo\n"
    data = openssl.run(
        "cms", "-sign", "-crlfeol", "-in", openssl.write(tmp_path, "content", text), "-outform", "SMIME",
        "-signer", openssl.certificate(tmp_path, RSA), "-inkey", openssl.key(tmp_path, RSA),
    )  # fmt: skip
    assert open_body(mail(data)).layers[0].intact


@pytest.mark.parametrize("content", [b"", b"\r\n"])
def test_it_signs_and_encrypts_nothing(tmp_path: Path, content: bytes) -> None:
    opened = open_body(pkcs7(signs(tmp_path, content, RSA, "-nodetach")))
    assert opened.layers[0].intact
    for cipher in ("-aes-256-gcm", "-aes-256-cbc"):
        opened = open_body(pkcs7(encrypts(tmp_path, content, RSA, cipher)), [ring(RSA)])
        assert opened.entity is not None
        assert opened.entity.body == b""


# ---- what openssl encrypts ----


@pytest.mark.rfc("8551", "2.7")
@pytest.mark.parametrize("stream", [(), ("-stream",)], ids=["DER", "BER"])
@pytest.mark.parametrize("cipher", [each.name for each in cms.CIPHERS.values()])
@pytest.mark.parametrize("name", PAIRS)
def test_its_ciphers(tmp_path: Path, name: str, cipher: str, stream: tuple[str, ...]) -> None:
    data = encrypts(tmp_path, LARGE.raw, PAIRS[name], f"-{cipher}", *stream)
    opened = open_body(pkcs7(data), [ring(PAIRS[name])])
    assert opened.layers[0].cipher is not None
    assert opened.layers[0].cipher.name == cipher
    assert opened.entity is not None
    assert opened.entity.raw == LARGE.raw


@pytest.mark.rfc("4055", "4.1")
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-keyopt", "rsa_oaep_md:sha256"),
        ("-keyopt", "rsa_oaep_md:sha512"),
        ("-keyopt", "rsa_oaep_md:sha256", "-keyopt", "rsa_mgf1_md:sha1"),
        ("-keyopt", "rsa_oaep_label:616263"),
    ],
    ids=["default", "sha256", "sha512", "mask by SHA-1", "label"],
)
def test_its_oaep(tmp_path: Path, options: tuple[str, ...]) -> None:
    data = openssl.run(
        "cms", "-encrypt", "-binary", "-in", openssl.write(tmp_path, "content", PART.raw), "-outform", "DER",
        "-aes-128-gcm", "-recip", openssl.certificate(tmp_path, RSA), *OAEP, *options,
    )  # fmt: skip
    assert open_body(pkcs7(data), [ring(RSA)]).encrypted


@pytest.mark.rfc("5753", "7.1.4")
@pytest.mark.parametrize(
    "options",
    [
        ("-keyopt", "ecdh_kdf_md:sha256"),
        ("-keyopt", "ecdh_kdf_md:sha384"),
        ("-keyopt", "ecdh_kdf_md:sha512"),
        ("-keyopt", "ecdh_kdf_md:sha256", "-keyopt", "ecdh_cofactor_mode:1"),
        ("-wrap", "id-aes128-wrap"),
        ("-keyid",),
    ],
)
def test_its_key_agreements(tmp_path: Path, options: tuple[str, ...]) -> None:
    pair = PAIRS["p384"]
    data = openssl.run(
        "cms", "-encrypt", "-binary", "-in", openssl.write(tmp_path, "content", PART.raw), "-outform", "DER",
        "-aes-256-cbc", "-recip", openssl.certificate(tmp_path, pair), *options,
    )  # fmt: skip
    assert open_body(pkcs7(data), [ring(pair)]).encrypted


def test_its_several_recipients(tmp_path: Path) -> None:
    certificates = [openssl.certificate(tmp_path, pair, f"{name}.pem") for name, pair in PAIRS.items()]
    data = openssl.run(
        "cms", "-encrypt", "-binary", "-in", openssl.write(tmp_path, "content", PART.raw), "-outform", "DER",
        "-aes-256-gcm", *certificates,
    )  # fmt: skip
    for pair in PAIRS.values():
        assert open_body(pkcs7(data), [ring(pair)]).encrypted
    with pytest.raises(PeerError, match="to another certificate"):
        open_body(pkcs7(data), [ring(issue("nobody", ROOT))])


def test_its_mail_in_base64(tmp_path: Path) -> None:
    body = mail(encrypts(tmp_path, PART.raw, RSA, "-aes-256-gcm", form="SMIME"))
    assert (body.headers.get("Content-Transfer-Encoding") or "").lower() == "base64"
    assert open_body(body, [ring(RSA)]).encrypted


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("-des3",), "des-ede3-cbc is not supported"),
        (("-camellia128",), "is not supported"),
        (("-aes-256-cbc", "-pwri_password", "secret"), "to another certificate"),
    ],
)
def test_what_is_refused_with_its_reason(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    recipient = () if "-pwri_password" in options else (openssl.certificate(tmp_path, RSA),)
    data = openssl.run(
        "cms", "-encrypt", "-binary", "-in", openssl.write(tmp_path, "content", PART.raw), "-outform", "DER",
        *options, *recipient,
    )  # fmt: skip
    with pytest.raises(PeerError, match=said) as caught:
        open_body(pkcs7(data), [ring(RSA)])
    assert caught.value.status == 493


def test_the_old_program_too(tmp_path: Path) -> None:
    """``openssl smime`` writes PKCS #7 version 1.5."""
    content = openssl.write(tmp_path, "content", PART.raw)
    certificate, key = openssl.certificate(tmp_path, RSA), openssl.key(tmp_path, RSA)
    signer = ("-signer", certificate, "-inkey", key)
    signed = openssl.run("smime", "-sign", "-binary", "-in", content, "-outform", "SMIME", *signer)
    assert open_body(mail(signed)).layers[0].intact
    sealed = openssl.run(
        "smime", "-encrypt", "-binary", "-in", content, "-outform", "DER", "-aes256", certificate
    )
    assert open_body(pkcs7(sealed), [ring(RSA)]).encrypted
    alone = openssl.run("crl2pkcs7", "-nocrl", "-outform", "DER", "-certfile", certificate)
    assert open_body(pkcs7(alone)).layers[0].kind is Kind.CERTIFICATES


# ---- what we make ----


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("opaque", [False, True], ids=["detached", "opaque"])
@pytest.mark.parametrize("part", [PART, LARGE], ids=["small", "large"])
def test_it_verifies_ours(tmp_path: Path, name: str, opaque: bool, part: Entity) -> None:
    who = Signatory(PAIRS[name].key, PAIRS[name].certificate)
    if opaque:
        data, detached = opaque_body(part, [who], NOW).body, list[object]()
    else:
        copy, signature = signed_body(part, [who], NOW, "boundary").parts()
        data, detached = signature.body, ["-content", openssl.write(tmp_path, "content", copy.raw)]
    read = openssl.run(
        "cms", "-verify", "-binary", "-inform", "DER", "-in", openssl.write(tmp_path, "signed", data), *detached,
        "-CAfile", openssl.certificate(tmp_path, ROOT), "-purpose", "any", "-attime", int(NOW),
    )  # fmt: skip
    assert read == part.raw


@pytest.mark.parametrize("cipher", cms.CIPHERS.values(), ids=lambda each: each.name)
def test_each_of_several_opens_ours(tmp_path: Path, cipher: cms.ContentCipher) -> None:
    body = encrypted_body(PART, [pair.certificate for pair in PAIRS.values()], cipher)
    sealed = openssl.write(tmp_path, "sealed", body.body)
    for pair in PAIRS.values():
        opened = openssl.run(
            "cms", "-decrypt", "-binary", "-inform", "DER", "-in", sealed,
            "-recip", openssl.certificate(tmp_path, pair), "-inkey", openssl.key(tmp_path, pair),
        )  # fmt: skip
        assert opened == PART.raw


@pytest.mark.rfc("8419", "3")
def test_ed25519_in_and_out() -> None:
    """OpenSSL 3.0 can't sign a CMS object with it, so this is ours alone."""
    body = signed_body(PART, [Signatory(ED25519.key, ED25519.certificate)], NOW, "boundary")
    assert open_body(body).layers[0].intact
