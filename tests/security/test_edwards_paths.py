"""Paths with Ed25519 keys: what the library's verifier refuses, and what we have to refuse ourselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA224

from ringfence.security.chains import ChainFlaw, judge_chain
from tests.security.pki import NOW, Pair, crl, issue


def edwards() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


ROOT = issue("Root", key=edwards(), ca=True)
OTHER = issue("Root", key=edwards(), ca=True)
MIDDLE = issue("Middle", ROOT, key=edwards(), ca=True)
CLASSIC = issue("Classic middle", ROOT, ca=True)


def judged(leaf: Pair, *others: Pair, root: Pair = ROOT, now: float = NOW) -> list[object]:
    chain = [each.certificate for each in (leaf, *others)]
    return [reason.code for reason in judge_chain(chain, [root.certificate], now).reasons]


@pytest.mark.rfc("8410", "3")
def test_good_paths() -> None:
    assert judged(issue("a", ROOT, key=edwards())) == []
    assert judged(issue("a", MIDDLE, key=edwards()), MIDDLE) == []
    assert judged(issue("a", MIDDLE), MIDDLE) == []  # a key on P-256 under them
    classic = issue("Classic", ca=True)
    assert judged(issue("a", classic, key=edwards()), root=classic) == []
    # A namesake of the issuer in the chain does not end the search.
    assert (
        judged(issue("a", MIDDLE, key=edwards()), issue("Middle", OTHER, key=edwards(), ca=True), MIDDLE)
        == []
    )


def constrained() -> Pair:
    names = x509.NameConstraints([x509.DNSName("example.org")], None)
    return issue("Constrained", ROOT, key=edwards(), ca=True, extra=[names])


def remade(pair: Pair, issuer: Pair, extensions: Sequence[tuple[x509.ExtensionType, bool]],
           digest: SHA224 | None = None) -> Pair:  # fmt: skip
    """The same certificate with these extensions alone, signed again."""
    old = pair.certificate
    builder = x509.CertificateBuilder(
        issuer.certificate.subject, old.subject, pair.key.public_key(), 7,
        old.not_valid_before_utc, old.not_valid_after_utc,
        [x509.Extension(value.oid, critical, value) for value, critical in extensions],
    )  # fmt: skip
    return Pair(builder.sign(issuer.key, digest), pair.key, issuer)


def demanding() -> Pair:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    return remade(issue("a", ROOT, key=edwards()), ROOT, [(unknown, True)])


def no_signer() -> Pair:
    """An authority whose key is for no certificates."""
    usage = x509.KeyUsage(True, False, False, False, False, False, True, False, False)
    made = issue("Silent", ROOT, key=edwards(), ca=True)
    return remade(made, ROOT, [(x509.BasicConstraints(True, None), True), (usage, True)])


def narrow() -> list[Pair]:
    """A root that lets none issue below it."""
    pair = issue("Narrow", key=edwards(), ca=True)
    root = remade(pair, pair, [(x509.BasicConstraints(True, 0), True)])
    middle = issue("Below", root, key=edwards(), ca=True)
    return [issue("a", middle, key=edwards()), middle, root]


BAD: list[tuple[str, Callable[[], list[Pair]]]] = [
    ("another root of that name", lambda: [issue("a", OTHER, key=edwards())]),
    ("a missing link", lambda: [issue("a", MIDDLE, key=edwards())]),
    ("an issuer that is none", lambda: [issue("b", user := issue("a", ROOT, key=edwards()), key=edwards()), user]),
    ("an issuer that has expired", lambda: [
        issue("a", old := issue("Old", ROOT, key=edwards(), ca=True, start=NOW - 9 * 86_400, days=2)), old]),
    ("an authority whose key is for other uses", lambda: [issue("a", mute := no_signer(), key=edwards()), mute]),
    ("a short digest", lambda: [remade(issue("a", key=edwards()), CLASSIC, [], SHA224()), CLASSIC]),
    ("name constraints", lambda: [issue("a", limited := constrained(), key=edwards()), limited]),
    ("a critical extension", lambda: [demanding()]),
    ("a short RSA key", lambda: [issue("a", ROOT, key=rsa.generate_private_key(65537, 1024))]),
    ("a small curve", lambda: [issue("a", ROOT, key=ec.generate_private_key(ec.SECP224R1()))]),
]  # fmt: skip


@pytest.mark.rfc("5280", "6.1")
@pytest.mark.parametrize("make", [each[1] for each in BAD], ids=[each[0] for each in BAD])
def test_bad_paths(make: Callable[[], list[Pair]]) -> None:
    leaf, *others = make()
    assert judged(leaf, *others) == [ChainFlaw.UNTRUSTED]


def test_how_far_down_an_authority_may_issue() -> None:
    leaf, middle, root = narrow()
    assert judged(leaf, middle, root=root) == [ChainFlaw.UNTRUSTED]
    assert judged(issue("a", root, key=edwards()), root=root) == []


def test_a_changed_signature_and_a_revoked_certificate() -> None:
    leaf = issue("a", ROOT, key=edwards())
    other = issue("a", OTHER, key=leaf.key)
    assert judged(other) == [ChainFlaw.UNTRUSTED]
    under = issue("a", CLASSIC, key=edwards())
    chain = [under.certificate, CLASSIC.certificate]
    reasons = judge_chain(chain, [ROOT.certificate], NOW, [crl(CLASSIC, [under])]).reasons
    assert [reason.code for reason in reasons] == [ChainFlaw.REVOKED]
