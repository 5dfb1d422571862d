"""SignedData: signed and verified here, and across with ``openssl cms``."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.message import LocalError, PeerError
from ringfence.security import cms
from ringfence.security.cms_fit import SignatureFlaw
from ringfence.security.cms_signed import Signatory, Signed, certs_only, sign, verify
from tests.security import openssl
from tests.security.pki import NOW, Pair, issue

ROOT = issue("Test root", ca=True)
RSA_KEY = rsa.generate_private_key(65537, 2048)
PAIRS = {
    "P-256": issue("p256", ROOT),
    "P-384": issue("p384", ROOT, key=ec.generate_private_key(ec.SECP384R1())),
    "RSA": issue("rsa", ROOT, key=RSA_KEY),
    "Ed25519": issue("ed25519", ROOT, key=ed25519.Ed25519PrivateKey.generate()),
}
CONTENT = b"Content-Type: application/sdp\r\n\r\nv=0\r\n"


def signatory(pair: Pair, **options: object) -> Signatory:
    return Signatory(pair.key, pair.certificate, **options)  # type: ignore[arg-type]


def codes(signed: Signed, which: int = 0) -> list[str]:
    return [reason.code for reason in signed.signatures[which].reasons]


@pytest.mark.rfc("5652", "5")
@pytest.mark.parametrize("by_key_identifier", [False, True])
@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize(
    ("pair", "pss", "digest"),
    [
        ("P-256", False, cms.SHA256),
        ("P-384", False, cms.SHA384),
        ("RSA", False, cms.SHA256),
        ("RSA", True, cms.SHA512),
        ("Ed25519", False, cms.SHA512),
    ],
)
def test_what_is_signed_verifies(
    pair: str, pss: bool, digest: cms.Digest, detached: bool, by_key_identifier: bool
) -> None:
    who = signatory(PAIRS[pair], pss=pss, digest=digest, by_key_identifier=by_key_identifier)
    data = sign(CONTENT, [who], NOW, detached=detached, capabilities=[cms.AES256_GCM.oid])
    signed = verify(data, CONTENT if detached else None)
    assert codes(signed) == []
    assert signed.content == (None if detached else CONTENT)
    signature = signed.signatures[0]
    assert (signature.certificate, signature.digest) == (who.certificate, digest.name)
    assert (signature.signed_at, signature.capabilities) == (NOW, (cms.AES256_GCM.oid,))


def test_a_changed_content_is_told_from_a_changed_signature() -> None:
    data = sign(CONTENT, [signatory(PAIRS["P-256"])], NOW)
    assert codes(verify(data, CONTENT + b"x")) == [SignatureFlaw.DIGEST]
    broken = data[:-1] + bytes([data[-1] ^ 1])
    assert codes(verify(broken, CONTENT)) == [SignatureFlaw.SIGNATURE]
    assert codes(verify(data)) == [SignatureFlaw.NO_CONTENT]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_flipped_octet_anywhere_never_verifies_another_content(position: int, flip: int) -> None:
    """A flip in what is not signed (an unused certificate field, a version) may pass; the content may not
    change."""
    data = (
        DATA[: position % len(DATA)]
        + bytes([DATA[position % len(DATA)] ^ flip])
        + DATA[position % len(DATA) + 1 :]
    )
    try:
        signed = verify(data)
    except PeerError:
        return
    if signed.signatures and not signed.signatures[0].reasons:
        assert signed.content == CONTENT


DATA = sign(CONTENT, [signatory(PAIRS["P-256"])], NOW, detached=False)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=120))
def test_any_octets_are_a_peer_error(data: bytes) -> None:
    with pytest.raises(PeerError):
        verify(data)


def test_several_signers_are_judged_one_by_one() -> None:
    data = sign(CONTENT, [signatory(PAIRS["RSA"]), signatory(PAIRS["P-256"])], NOW)
    signed = verify(data, CONTENT)
    assert {one.certificate for one in signed.signatures} == {
        PAIRS["RSA"].certificate,
        PAIRS["P-256"].certificate,
    }
    assert all(one.reasons == () for one in signed.signatures)


def test_the_chain_goes_along() -> None:
    middle = issue("middle", ROOT, ca=True)
    leaf = issue("leaf", middle)
    data = sign(CONTENT, [signatory(leaf, chain=(middle.certificate,))], NOW)
    assert set(verify(data, CONTENT).certificates) == {leaf.certificate, middle.certificate}


@pytest.mark.rfc("3261", "23.2")
def test_certificates_alone() -> None:
    signed = verify(certs_only([ROOT.certificate]))
    assert signed == Signed(None, (), (ROOT.certificate,))


def test_a_foreign_key_is_noticed() -> None:
    impostor = Signatory(ec.generate_private_key(ec.SECP256R1()), PAIRS["P-256"].certificate)
    assert codes(verify(sign(CONTENT, [impostor], NOW), CONTENT)) == [SignatureFlaw.SIGNATURE]


def test_weak_things_are_not_signed_with() -> None:
    weak = next(digest for digest in cms.DIGESTS.values() if digest.weak)
    with pytest.raises(LocalError):
        sign(CONTENT, [signatory(PAIRS["RSA"], digest=weak)], NOW)


def test_what_is_too_large_is_not_read() -> None:
    with pytest.raises(PeerError) as caught:
        verify(bytes(cms.MAX_CMS + 1))
    assert caught.value.status == 413


def test_too_many_signers_are_not_judged() -> None:
    data = sign(CONTENT, [signatory(issue(f"s{n}", ROOT)) for n in range(cms.MAX_SIGNERS + 1)], NOW)
    with pytest.raises(PeerError) as caught:
        verify(data, CONTENT)
    assert caught.value.status == 413


class TestOpenssl:
    pytestmark = openssl.interop

    @pytest.mark.parametrize("pss", [False, True])
    @pytest.mark.parametrize("name", ["P-256", "P-384", "RSA"])
    def test_openssl_verifies_ours(self, tmp_path: Path, name: str, pss: bool) -> None:
        who = signatory(PAIRS[name], pss=pss and name == "RSA")
        data = openssl.write(tmp_path, "signed.der", sign(CONTENT, [who], NOW, detached=False))
        root = openssl.certificate(tmp_path, ROOT)
        verified = openssl.run(
            "cms",
            "-verify",
            "-binary",
            "-inform",
            "DER",
            "-in",
            data,
            "-CAfile",
            root,
            "-purpose",
            "any",
            "-attime",
            int(NOW),
        )
        assert verified == CONTENT

    @pytest.mark.parametrize("by_key_identifier", [False, True])
    def test_openssl_verifies_our_detached_signature_and_no_other_content(
        self, tmp_path: Path, by_key_identifier: bool
    ) -> None:
        who = signatory(PAIRS["RSA"], by_key_identifier=by_key_identifier)
        data = openssl.write(
            tmp_path, "signed.der", sign(CONTENT, [who], NOW, capabilities=list(cms.CIPHERS))
        )
        root = openssl.certificate(tmp_path, ROOT)
        for content, ok in ((CONTENT, True), (CONTENT + b"x", False)):
            openssl.run(
                "cms", "-verify", "-binary", "-inform", "DER", "-in", data, "-content",
                openssl.write(tmp_path, "content", content), "-CAfile", root, "-purpose", "any", "-attime", int(NOW),
                ok=ok,
            )  # fmt: skip

    @pytest.mark.parametrize(
        ("name", "options", "flaws"),
        [
            ("P-256", [], []),
            ("P-256", ["-keyid"], []),
            ("P-256", ["-stream"], []),  # BER, indefinite lengths
            ("P-384", ["-md", "sha384"], []),
            ("RSA", [], []),
            ("RSA", ["-stream", "-md", "sha512"], []),
            ("RSA", ["-keyopt", "rsa_padding_mode:pss"], []),
            ("RSA", ["-noattr"], []),
            ("RSA", ["-md", "sha1"], [SignatureFlaw.WEAK_DIGEST]),
            ("RSA", ["-md", "md5"], [SignatureFlaw.WEAK_DIGEST]),
            ("RSA", ["-nocerts"], [SignatureFlaw.NO_CERTIFICATE]),
        ],
    )
    @pytest.mark.parametrize("detached", [False, True])
    def test_we_verify_openssls(
        self, tmp_path: Path, name: str, options: list[str], flaws: list[str], detached: bool
    ) -> None:
        pair = PAIRS[name]
        detached = detached and "-stream" not in options  # streamed DER always holds the content
        data = openssl.run(
            "cms", "-sign", "-binary", "-outform", "DER", *([] if detached else ["-nodetach"]),
            "-in", openssl.write(tmp_path, "content", CONTENT),
            "-signer", openssl.certificate(tmp_path, pair), "-inkey", openssl.key(tmp_path, pair), *options,
        )  # fmt: skip
        signed = verify(data, CONTENT if detached else None)
        assert codes(signed) == flaws
        assert signed.content == (None if detached else CONTENT)
        if detached and not flaws and "-noattr" not in options:
            assert codes(verify(data, CONTENT + b"x")) == [SignatureFlaw.DIGEST]
        if "-nocerts" in options:
            assert codes(verify(data, CONTENT if detached else None, [pair.certificate])) == []

    def test_a_short_rsa_key_is_told(self, tmp_path: Path) -> None:
        pair = issue("short", ROOT, key=rsa.generate_private_key(65537, 1024))
        data = openssl.run(
            "cms", "-sign", "-binary", "-outform", "DER", "-nodetach", "-in", openssl.write(tmp_path, "c", CONTENT),
            "-signer", openssl.certificate(tmp_path, pair), "-inkey", openssl.key(tmp_path, pair),
        )  # fmt: skip
        assert codes(verify(data)) == [SignatureFlaw.WEAK_KEY]

    def test_attributes_can_not_be_passed_off_as_content(self, tmp_path: Path) -> None:
        """Without signed attributes, what was signed as attributes would verify as content."""
        pair = PAIRS["RSA"]
        data = openssl.run(
            "cms", "-sign", "-binary", "-outform", "DER", "-nodetach", "-noattr",
            "-in", openssl.write(tmp_path, "content", b"\x31\x03abc"),
            "-signer", openssl.certificate(tmp_path, pair), "-inkey", openssl.key(tmp_path, pair),
        )  # fmt: skip
        assert codes(verify(data)) == [SignatureFlaw.ATTRIBUTES]
