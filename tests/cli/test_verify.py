"""ringfence verify: what is proven, what is not and why."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key
from cryptography.x509 import load_der_x509_certificate

from ringfence.client.certificates import Certificates
from ringfence.client.protection import Wish
from ringfence.client.secure import Secure
from ringfence.message import Request, parse
from ringfence.message.multipart import make_entity
from ringfence.security.cms import AES128_CBC, AES256_GCM
from ringfence.security.cms_enveloped import encrypt
from ringfence.security.cms_signed import Signatory, sign
from ringfence.security.pem import key_pem
from ringfence.security.smime import signed_body
from tests.cli.running import Shell
from tests.client import keys
from tests.message.samples import invite_bytes
from tests.security.calls import DOMAIN, INFO, ROOT, invite, signed
from tests.security.collected import published
from tests.security.pki import NOW, Pair
from tests.security.published import RFC8224_FULL, RFC8225_PUBLIC, RFC8225_TOKEN

AT = datetime.fromtimestamp(NOW, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def put(shell: Shell, name: str, data: bytes) -> str:
    (shell.directory / name).write_bytes(data)
    return name


@pytest.fixture
def trust(shell: Shell) -> tuple[str, ...]:
    """Options by which calls that the domain has signed can be verified."""
    root = put(shell, "root.pem", ROOT.certificate.public_bytes(Encoding.PEM))
    return "--trust", root, "--signer", f"{INFO}={put(shell, 'signer.pem', DOMAIN.pem)}"


def test_a_signed_call_is_proven(shell: Shell, trust: tuple[str, ...]) -> None:
    call = put(shell, "call", signed(invite()).to_bytes())
    result = shell.type("verify", call, *trust, "--at", AT, "--json")
    assert result.code == 0
    (found,) = result.json
    assert found["object"] == "Identity"
    assert found["proven"] is True
    assert found["signature"] == "good"
    assert found["claim orig"] == {"uri": "sip:bob@example.com"}
    assert found["refusal"] is None


@pytest.mark.rfc("8224", "6.2.2")
@pytest.mark.parametrize(
    ("change", "refusal", "reason"),
    [
        ((b"From: <sip:bob@", b"From: <sip:eve@"), "438 Invalid Identity Header", "signed for"),
        ((b"To: <sip:alice@", b"To: <sip:carol@"), "438 Invalid Identity Header", "signed for a call to"),
        ((INFO.encode(), b"https://elsewhere.example/1.pem"), "436 Bad Identity Info", "could not be had"),
    ],
)
def test_what_was_changed_is_named(
    shell: Shell, trust: tuple[str, ...], change: tuple[bytes, bytes], refusal: str, reason: str
) -> None:
    data = signed(invite()).to_bytes()
    assert change[0] in data
    result = shell.type("verify", put(shell, "call", data.replace(*change)), *trust, "--at", AT, "--json")
    assert result.code == 1
    assert result.json[0]["refusal"] == refusal
    assert any(reason in each for each in result.json[0]["reasons"])


def test_an_old_call_is_stale_now_and_was_good_then(shell: Shell, trust: tuple[str, ...]) -> None:
    call = put(shell, "call", signed(invite()).to_bytes())
    late = datetime.fromtimestamp(NOW + 100, UTC).isoformat()
    assert shell.type("verify", call, *trust, "--at", late, "--json").json[0]["refusal"] == "403 Stale Date"
    assert shell.type("verify", call, *trust, "--at", late, "--freshness", "200").code == 0


def test_a_token_alone(shell: Shell, trust: tuple[str, ...]) -> None:
    token = signed(invite()).headers.all("Identity")[0].partition(";")[0]
    result = shell.type("verify", put(shell, "token", f"{token}\n".encode()), *trust, "--at", AT)
    assert result.code == 0
    assert "signature" in result.out
    bare = shell.type("verify", "token", "--json")
    assert bare.code == 1
    assert "no certificate: name the file by --signer" in bare.json[0]["reasons"]


@pytest.mark.rfc("8225", "A")
def test_published_tokens_with_a_bare_key(shell: Shell) -> None:
    key = put(shell, "key.pem", RFC8225_PUBLIC)
    options = ("--signer", key, "--at", "2015-09-25", "--freshness", "99999999", "--json")
    printed = shell.type("verify", put(shell, "a", RFC8225_TOKEN.encode()), *options).json[0]
    assert printed["signature"] == "bad"  # as it is printed in the RFC
    other = shell.type("verify", put(shell, "b", RFC8224_FULL.encode()), *options)
    assert other.code == 1
    assert other.json[0]["signature"] == "good"
    assert any("says whose it is" in each for each in other.json[0]["reasons"])


def protected(directory: Path, wish: Wish, *, alice: Pair, bob: Pair, trust: Path) -> bytes:
    """A text from alice to bob, as alice's agent sends it."""
    smime = keys.smime(directory / "alice", alice, trust=trust)
    assert smime.directory is not None
    smime.directory.mkdir()
    (smime.directory / "bob.pem").write_bytes(bob.certificate.public_bytes(Encoding.PEM))
    body = b"hello"
    names = {"From": "<sip:alice@example.org>;tag=1", "To": "<sip:bob@example.net>", "CSeq": "1 MESSAGE"}
    head = invite_bytes(
        {**names, "Contact": None, "Content-Type": "text/plain"},
        start="MESSAGE sip:bob@example.net SIP/2.0",
        body=body,
    )
    message = parse(head)
    assert isinstance(message, Request)
    Secure(Certificates(smime), lambda: "boundary").protect(message, wish)
    return message.to_bytes()


def test_a_text_that_is_signed_encrypted_and_tunnelled(shell: Shell) -> None:
    root = keys.authority(shell.directory)
    people = shell.directory / "people.pem"
    alice, bob = (keys.person(f"sip:{name}", root) for name in ("alice@example.org", "bob@example.net"))
    data = protected(
        shell.directory, Wish(sign=True, encrypt=True, tunnel=True), alice=alice, bob=bob, trust=people
    )
    own = keys.smime(shell.directory / "bob", bob)
    options = ("--certificate", str(own.certificate), "--trust", str(people), "--json")
    result = shell.type("verify", put(shell, "text", data), *options)
    assert result.code == 0, result.out
    (found,) = result.json
    assert found["protection"].startswith("signed and intact, header fields too; encrypted by aes-")
    changed = data.replace(b"Call-ID: ", b"Call-ID: x")
    result = shell.type("verify", put(shell, "text", changed), *options)
    assert result.code == 1
    assert result.json[0]["changed"] == ["Call-ID"]
    refused = shell.type("verify", "text")
    assert refused.code == 65
    assert "493" in refused.err or "encrypted" in refused.err


def test_nobody_is_remembered(shell: Shell) -> None:
    alice, bob = (keys.person(f"sip:{name}") for name in ("alice@example.org", "bob@example.net"))
    (shell.directory / "none.pem").write_bytes(ROOT.certificate.public_bytes(Encoding.PEM))
    none = shell.directory / "none.pem"
    data = protected(shell.directory, Wish(sign=True), alice=alice, bob=bob, trust=none)
    (shell.directory / "known").mkdir()
    for _ in range(2):  # the second time as well: first contact proves nothing, and is not kept
        assert shell.type("verify", put(shell, "text", data), "--certificates", "known").code == 1
    assert not list((shell.directory / "known").iterdir())


def test_smime_alone_as_mime_der_and_pem(shell: Shell) -> None:
    root = keys.authority(shell.directory)
    alice = keys.person("sip:alice@example.org", root)
    who = Signatory(alice.key, alice.certificate)
    entity = signed_body(make_entity("text/plain", b"hello"), [who], time.time(), "boundary")
    mime = f"Content-Type: {entity.headers.get('Content-Type')}\r\n\r\n".encode() + entity.body
    der = sign(b"Content-Type: text/plain\r\n\r\nhello", [who], time.time(), detached=False)
    for name, data in (("mime", mime), ("der", der)):
        result = shell.type("verify", put(shell, name, data), "--trust", "people.pem", "--json")
        assert result.code == 0, result.out
        assert result.json[0]["addresses"] == ["sip:alice@example.org"]
    broken = shell.type("verify", put(shell, "mime", mime.replace(b"hello", b"hallo")), "--json").json[0]
    assert broken["signature"] == "bad"


def test_nothing_to_verify_and_nothing_to_read(shell: Shell) -> None:
    nothing = shell.type("verify", put(shell, "plain", invite_bytes()))
    assert nothing.code == 1
    assert "no signature" in nothing.out
    assert shell.type("verify", put(shell, "junk", b"\x00\x01\x02")).code in (1, 65)
    assert shell.type("verify", "missing").code == 69
    assert shell.type("verify", "plain", "--signer", "missing").code == 65


def test_objects_of_others_in_whatever_form(shell: Shell) -> None:
    """A mail as Unix saves it, one whose head alone is so, PEM, bare base64, and a signature beside its content."""
    example = published("rfc4134")
    mail = example["4.8.eml"].replace(b"\r\n", b"\n")
    head, _, body = mail.partition(b"\n\n")
    text = base64.encodebytes(example["4.2.bin"])
    forms = {
        "mbox": b"From alice@example.org Sat Apr 13 01:54:30 2013\n" + b"Received: by us\n" * 99 + mail,
        "mixed": head + b"\n\n" + body.replace(b"\n", b"\r\n"),
        "pem": b"-----BEGIN PKCS7-----\n" + text + b"-----END PKCS7-----\n",
        "base64": text,
        "der": example["4.2.bin"] + b"\r\n",
        "octets": b'Content-Type: application/octet-stream; name="smime.p7m"\n'
        b"Content-Transfer-Encoding: base64\n\n" + text,
        "list": b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\nour list\n--x\n"
        b"Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: base64\n\n" + text + b"--x--\n",
    }  # fmt: skip
    for name, data in forms.items():
        result = shell.type("verify", put(shell, name, data), "--json")
        assert result.code == 1, (name, result.err)
        assert [each["signature"] for each in result.json] == ["weak"], name
    content, signature = (
        put(shell, "content", example["ExContent.bin"]),
        put(shell, "p7s", example["4.3.bin"]),
    )
    assert shell.type("verify", signature, "--json").json[0]["signature"] == "not checked"
    assert shell.type("verify", signature, "--content", content, "--json").json[0]["signature"] == "weak"
    other = shell.type("verify", signature, "--content", put(shell, "other", b"else"), "--json")
    assert other.json[0]["signature"] == "bad"
    refused = shell.type("verify", put(shell, "key", b"-----BEGIN PRIVATE KEY-----\nMII=\n"))
    assert refused.code == 65
    assert "private key" in refused.err


def test_a_published_certificate_vouches(shell: Shell) -> None:
    """Alice's and Carlos's of RFC 9216, under authorities by RSA and by Ed25519, in DER."""
    known = published("rfc9216")
    for name, authority in (("alice", "ca-rsa.cer"), ("carlos", "ca-ed25519.cer")):
        key = load_der_private_key(known[f"{name}-sign.key"], None)
        who = Signatory(key, load_der_x509_certificate(known[f"{name}-sign.cer"]))  # type: ignore[arg-type]
        signature = put(shell, name, sign(b"hello", [who], time.time()))
        options = ("--content", put(shell, "hello", b"hello"), "--json")
        assert shell.type("verify", signature, *options).code == 1
        result = shell.type("verify", signature, *options, "--trust", put(shell, "ca.cer", known[authority]))
        assert result.code == 0, result.out
        assert result.json[0]["addresses"] == [f"sip:{name}@smime.example"]


def test_an_encryption_that_proves_nothing_takes_nothing_from_the_signature_inside(shell: Shell) -> None:
    known = published("rfc9216")
    alice = load_der_x509_certificate(known["alice-sign.cer"])
    key = load_der_private_key(known["alice-sign.key"], None)
    inside = sign(b"hello", [Signatory(key, alice)], time.time(), detached=False)  # type: ignore[arg-type]
    entity = make_entity("application/pkcs7-mime", inside)
    certificate = load_der_x509_certificate(known["bob-encrypt.cer"])
    put(shell, "bob.pem", certificate.public_bytes(Encoding.PEM))
    path = shell.directory / "bob.key"
    path.touch(0o600)
    path.write_bytes(key_pem(load_der_private_key(known["bob-encrypt.key"], None)))  # type: ignore[arg-type]
    for cipher in (AES128_CBC, AES256_GCM):
        mail = put(shell, "mail", encrypt(entity.raw, [certificate], cipher))
        options = ("--certificate", "bob.pem", "--trust", put(shell, "ca.cer", known["ca-rsa.cer"]), "--json")
        result = shell.type("verify", mail, *options)
        assert [each["cipher"] for each in result.json if "cipher" in each] == [cipher.name]
        assert result.json[1]["signature"] == "good"
        assert result.code == 0
        assert shell.type("verify", mail, *options[:2]).code == 1
    put(shell, "plain", encrypt(b"\r\nhello", [certificate], AES128_CBC))
    assert shell.type("verify", "plain", "--certificate", "bob.pem").code == 1
