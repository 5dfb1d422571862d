"""PASSporT tokens: written to the octet, read strictly, judged with every reason."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.message.errors import LocalError, PeerError
from ringfence.security import passport
from ringfence.security.canonical import Party
from ringfence.security.claims import canonical_json, claims_for, header_for
from ringfence.security.passport import Flaw
from tests.security import published

KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = KEY.public_key()
X5U = "https://cert.example.org/passport.cer"
NOW = 1471375418.0
ALICE = Party("uri", "sip:alice@example.com")
BOB = Party("tn", "12155551212")


def token(header: object, claims: object, key: ec.EllipticCurvePrivateKey = KEY) -> str:
    """A token over any JSON, signed as it stands: what an attacker or a sloppy signer would send."""
    parts = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
    signed = passport.sign(key, header_for(X5U), claims_for(BOB, [ALICE], 1))
    raw = passport.parse(signed)
    raw.signing_input = ".".join(parts).encode()
    der = key.sign(raw.signing_input, ec.ECDSA(passport.SHA256()))
    r, s = passport.decode_dss_signature(der)
    tail = urlsafe_b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).rstrip(b"=").decode()
    return f"{parts[0]}.{parts[1]}.{tail}"


def good_claims(**more: object) -> dict[str, object]:
    return claims_for(BOB, [ALICE], int(NOW), extra=more)


def codes(reasons: passport.Reasons) -> list[str]:
    return [reason.code for reason in reasons]


@pytest.mark.rfc("8225", "A")
def test_the_published_header_and_payload_are_written_to_the_octet() -> None:
    written = passport.sign(KEY, header_for(X5U), claims_for(BOB, [ALICE], 1471375418))
    assert written.rpartition(".")[0] == f"{published.RFC8225_HEADER}.{published.RFC8225_PAYLOAD}"


@pytest.mark.rfc("8225", "A")
def test_the_published_signature_fits_neither_printed_key() -> None:
    published_token = passport.parse(published.RFC8225_TOKEN)
    printed = load_pem_public_key(published.RFC8225_PUBLIC)
    private = load_pem_private_key(published.RFC8225_PRIVATE, None)
    assert passport.flaws_of(published_token) == ()
    for key in (printed, private.public_key()):
        assert codes(passport.verify(published_token, key, now=NOW)) == [Flaw.SIGNATURE]


@pytest.mark.rfc("8225", "A")
def test_what_we_sign_with_the_published_private_key_verifies() -> None:
    private = load_pem_private_key(published.RFC8225_PRIVATE, None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    ours = passport.parse(passport.sign(private, header_for(X5U), good_claims()))
    assert passport.verify(ours, private.public_key(), now=NOW) == ()


@pytest.mark.rfc("8224", "4.1.1")
def test_the_published_full_form_verifies_though_its_iat_is_a_string() -> None:
    full = passport.parse(published.RFC8224_FULL)
    assert full.iat == 1443208345
    assert passport.verify(full, load_pem_public_key(published.RFC8225_PUBLIC), now=1443208345) == ()


@pytest.mark.rfc("8946", "3")
@pytest.mark.parametrize("name", ["RFC8946_DIV", "RFC8946_ORIGINAL", "RFC8946_DIV_O"])
def test_the_published_diversion_tokens_verify(name: str) -> None:
    parsed = passport.parse(getattr(published, name))
    assert passport.verify(parsed, load_pem_public_key(published.RFC8946_PUBLIC), now=1443208345) == ()


@pytest.mark.rfc("8946", "3")
def test_the_published_div_token_is_written_to_the_octet() -> None:
    claims = claims_for(BOB, [Party("tn", "12155551214")], 1443208345, extra={"div": {"tn": "121555551213"}})
    header = header_for("https://www.example.com/cert.cer", "div")
    assert passport.sign(KEY, header, claims).rpartition(".")[0] == published.RFC8946_DIV.rpartition(".")[0]


@pytest.mark.rfc("8588", "8")
def test_shaken_claims_stand_in_lexicographic_order() -> None:
    claims = claims_for(
        Party("tn", "12155550121"),
        [Party("tn", "12155550131")],
        1443208345,
        extra={"origid": "123e4567-e89b-12d3-a456-426655440000", "attest": "A"},
    )
    assert canonical_json(claims) == (
        '{"attest":"A","dest":{"tn":["12155550131"]},"iat":1443208345,"orig":{"tn":"12155550121"},'
        '"origid":"123e4567-e89b-12d3-a456-426655440000"}'
    )
    assert canonical_json(header_for(X5U, "shaken")) == (
        '{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"https://cert.example.org/passport.cer"}'
    )


@pytest.mark.rfc("8225", "9.1")
def test_media_keys_are_sorted_and_without_colons() -> None:
    claims = claims_for(
        BOB,
        [ALICE],
        1443208345,
        [
            (
                "sha-256",
                "4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:3E:4B:65:2E:7D:46:3F:54:42:CD:54:F1",
            ),
            (
                "SHA-256",
                "02:1A:CC:54:27:AB:EB:9C:53:3F:3E:4B:65:2E:7D:46:3F:54:42:CD:54:F1:7A:03:A2:7D:F9:B0:7F:46:19:B2",
            ),
            (
                "sha-256",
                "02:1a:cc:54:27:ab:eb:9c:53:3f:3e:4b:65:2e:7d:46:3f:54:42:cd:54:f1:7a:03:a2:7d:f9:b0:7f:46:19:b2",
            ),
        ],
    )
    assert canonical_json(claims) == (
        '{"dest":{"uri":["sip:alice@example.com"]},"iat":1443208345,"mky":'
        '[{"alg":"sha-256","dig":"021ACC5427ABEB9C533F3E4B652E7D463F5442CD54F17A03A27DF9B07F4619B2"},'
        '{"alg":"sha-256","dig":"4AADB9B13F82183B540212DF3E5D496B19E57CAB3E4B652E7D463F5442CD54F1"}],'
        '"orig":{"tn":"12155551212"}}'
    )


@pytest.mark.rfc("8225", "5.2.1")
def test_destinations_are_numbers_first_each_in_order() -> None:
    dest = [Party("uri", "sip:bob@example.net"), Party("tn", "12125551212"), ALICE]
    assert claims_for(BOB, dest, 1)["dest"] == {
        "tn": ["12125551212"],
        "uri": ["sip:alice@example.com", "sip:bob@example.net"],
    }


@pytest.mark.rfc("8225", "9")
def test_json_is_deterministic_to_the_deepest_member() -> None:
    assert canonical_json({"b": {"d": True, "c": None}, "a": ["é", {"z": 1, "y": 2}]}) == (
        '{"a":["é",{"y":2,"z":1}],"b":{"c":null,"d":true}}'
    )


@pytest.mark.parametrize("claims", [{"iat": 1.5}, {"ключ": 1}, {"a": [{1: 2}]}, {"a": b"x"}])
def test_what_has_no_deterministic_form_is_our_own_error(claims: dict[str, object]) -> None:
    with pytest.raises(LocalError):
        canonical_json(claims)


@pytest.mark.rfc("8225", "7")
def test_the_compact_form_verifies_once_rebuilt() -> None:
    full = passport.sign(KEY, header_for(X5U), good_claims())
    short = passport.parse(passport.compact(full))
    assert short.compact
    assert short.signing_input == b""
    assert codes(passport.signature_flaws(short, PUBLIC)) == [Flaw.SIGNATURE]
    assert passport.verify(short.rebuilt(header_for(X5U), good_claims()), PUBLIC, now=NOW) == ()


@pytest.mark.parametrize("alg", ["none", "HS256", "RS256", "ES384", "es256", None, 7])
def test_no_algorithm_but_es256(alg: object) -> None:
    forged = token({"alg": alg, "typ": "passport", "x5u": X5U}, good_claims())
    assert codes(passport.verify(passport.parse(forged), PUBLIC, now=NOW)) == [Flaw.ALGORITHM]


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({"alg": "ES256", "typ": "JWT", "x5u": X5U}, Flaw.TYPE),
        ({"alg": "ES256", "typ": "passport"}, Flaw.CREDENTIAL_URL),
        ({"alg": "ES256", "typ": "passport", "x5u": X5U, "ppt": "unheard"}, Flaw.TYPE),
        ({"alg": "ES256", "typ": "passport", "x5u": X5U, "crit": ["b64"], "b64": False}, Flaw.CRITICAL),
    ],
)
def test_header_rules(header: dict[str, object], code: Flaw) -> None:
    assert codes(passport.flaws_of(passport.parse(token(header, good_claims())))) == [code]


@pytest.mark.parametrize(
    "change",
    [
        {"iat": None},
        {"iat": True},
        {"iat": 1.5},
        {"iat": "12x"},
        {"orig": {"tn": "1", "uri": "sip:a@b"}},
        {"orig": {"tn": ["1"]}},
        {"orig": []},
        {"dest": {}},
        {"dest": {"tn": [1]}},
        {"dest": {"uri": [f"sip:{n}@example.com" for n in range(passport.MAX_PARTIES + 1)]}},
        {"mky": {"alg": "sha-256", "dig": "00"}},
    ],
)
def test_claim_rules(change: dict[str, object]) -> None:
    parsed = passport.parse(token(header_for(X5U), {**good_claims(), **change}))
    assert codes(passport.flaws_of(parsed)) == [Flaw.CLAIM]


@pytest.mark.rfc("8588", "4")
@pytest.mark.parametrize(
    ("ppt", "claims", "flaws"),
    [
        ("shaken", {"attest": "A", "origid": "123e4567-e89b-12d3-a456-426655440000"}, 0),
        ("shaken", {"attest": "D", "origid": "123e4567-e89b-12d3-a456-426655440000"}, 1),
        ("shaken", {}, 2),
        ("div", {"div": {"tn": "1"}}, 0),
        ("div", {"div": {"tn": "1"}, "opt": "x"}, 1),
        ("div", {}, 1),
        ("div-o", {"div": {"tn": "1"}}, 1),
        ("rcd", {"rcd": {"nam": "Alice"}}, 0),
        ("rcd", {"rcd": "Alice"}, 1),
    ],
)
def test_each_type_has_its_claims(ppt: str, claims: dict[str, object], flaws: int) -> None:
    parsed = passport.parse(passport.sign(KEY, header_for(X5U, ppt), good_claims(**claims)))
    assert codes(passport.flaws_of(parsed)) == [Flaw.CLAIM] * flaws


@pytest.mark.rfc("8224", "6.2")
@pytest.mark.parametrize(
    ("age", "expected"), [(0, []), (60, []), (61, [Flaw.STALE]), (-60, []), (-61, [Flaw.FUTURE])]
)
def test_freshness_is_sixty_seconds_either_way(age: int, expected: list[str]) -> None:
    parsed = passport.parse(passport.sign(KEY, header_for(X5U), good_claims()))
    assert codes(passport.verify(parsed, PUBLIC, now=NOW + age)) == expected


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()).public_key(),
        rsa.generate_private_key(65537, 2048).public_key(),
        ed25519.Ed25519PrivateKey.generate().public_key(),
    ],
)
def test_a_key_that_es256_can_not_use(key: object) -> None:
    parsed = passport.parse(passport.sign(KEY, header_for(X5U), good_claims()))
    assert codes(passport.verify(parsed, key, now=NOW)) == [Flaw.KEY]


def test_only_p256_signs() -> None:
    with pytest.raises(LocalError, match="P-256"):
        passport.sign(ec.generate_private_key(ec.SECP384R1()), header_for(X5U), good_claims())


def encoded(text: str | bytes) -> str:
    return urlsafe_b64encode(text.encode() if isinstance(text, str) else text).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "..",
        "a.b",
        "a.b.c.d",
        "." + encoded("{}") + ".AA",  # only one part left out (RFC 7515 appendix F is not RFC 8225)
        encoded("{}") + "..AA",
        encoded("{}") + "." + encoded("[]") + ".AA",
        encoded("{}") + "." + encoded('{"a":1,"a":2}') + ".AA",
        encoded("{}") + "." + encoded('{"a":NaN}') + ".AA",
        encoded("{}") + "." + encoded(b'{"a":"\xff"}') + ".AA",
        encoded("{}") + "." + encoded('{"a":' + "[" * 5000 + "]" * 5000 + "}") + ".AA",
        encoded("{}") + "." + encoded('{"a":' + "9" * 5000 + "}") + ".AA",
        encoded("{}") + "." + encoded("{}") + ".AB",  # spare bits that are not zero: a second spelling
        encoded("{}") + "." + encoded("{}") + ".A",
        encoded("{}") + "." + encoded("{}") + ".AA==",
        encoded("{}") + "." + encoded("{}") + ".A+/A",
        encoded("{}") + "." + encoded("{} ") + " .AA",
        "x" * (passport.MAX_TOKEN + 1),
    ],
)
def test_what_is_no_token(bad: str) -> None:
    if bad == "..":
        assert passport.parse(bad).signature == b""  # a compact token whose signature can't verify
        return
    with pytest.raises(PeerError) as caught:
        passport.parse(bad)
    assert caught.value.status == 438
    assert caught.value.header == "Identity"


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec="ascii"), max_size=200))
def test_any_text_gives_a_token_or_a_peer_error(text: str) -> None:
    with suppress(PeerError):
        passport.flaws_of(passport.parse(text))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["orig", "dest", "iat", "mky", "div", "opt", "attest", "origid", "rcd", "alg", "ppt", "crit"]
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(NAMES, json_values), st.dictionaries(NAMES, json_values))
def test_any_json_is_judged_without_a_crash(header: dict[str, object], claims: dict[str, object]) -> None:
    made = passport.Passport(header, claims, b"x.y", b"", compact=False)
    assert passport.verify(made, PUBLIC, now=NOW)


@settings(max_examples=60, deadline=None)
@given(st.integers(min_value=0), st.integers(1, 255))
def test_a_flipped_bit_anywhere_is_noticed(position: int, flip: int) -> None:
    good = passport.sign(KEY, header_for(X5U), good_claims()).encode()
    at = position % len(good)
    bad = good[:at] + bytes([good[at] ^ flip]) + good[at + 1 :]
    with suppress(PeerError):
        assert passport.verify(passport.parse(bad.decode("latin-1")), PUBLIC, now=NOW)
