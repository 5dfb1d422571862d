"""The verification service of RFC 8224: what is refused, with which code, and what is not."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.message import PeerError
from ringfence.message.multipart import join, make_entity
from ringfence.security import passport
from ringfence.security.canonical import NumberPlan, Party
from ringfence.security.chains import ChainFlaw
from ringfence.security.findings import Policy
from ringfence.security.identity import (
    MAX_IDENTITIES,
    IdentityFlaw,
    parse_identity,
    sign_request,
    write_identity,
)
from ringfence.security.mediakeys import media_keys
from ringfence.security.passport import Flaw
from ringfence.security.replay import ReplayWindow
from ringfence.security.tnauth import ScopeFlaw
from ringfence.security.verification import verify_request
from tests.security.calls import (
    BOB,
    CARRIER,
    CARRIER_KNOWN,
    FINGERPRINT,
    INFO,
    KNOWN,
    ROOT,
    codes,
    credential,
    format_date,
    invite,
    signed,
    signer,
)
from tests.security.pki import NOW, Pair, issue


@pytest.mark.rfc("8224", "6.2.2")
def test_no_identity_is_a_428() -> None:
    verdict = verify_request(invite(), KNOWN, NOW)
    assert (verdict.status, verdict.phrase, verdict.evidence) == (428, "Use Identity Header", "unsigned")


@pytest.mark.rfc("8224", "6.2")
def test_an_unsupported_type_is_ignored_and_alone_a_428() -> None:
    token = f"a.b.c;info=<{INFO}>;ppt=unheard"
    request = invite()
    request.headers.add("Identity", token)
    verdict = verify_request(request, KNOWN, NOW)
    assert (verdict.status, verdict.phrase) == (428, "Use Supported PASSporT Format")
    assert verify_request(signed(request), KNOWN, NOW).who == BOB


@pytest.mark.rfc("8224", "10")
def test_rfc_4474_is_recognised_and_not_trusted() -> None:
    request = invite()
    request.headers.add("Identity", '"CyI4+nAkHrH3ntmaxgr01TMxTmtjP7MASwliNRdupRI1vpkXRvZXx1ja9k=="')
    request.headers.add("Identity-Info", "<https://example.com/example.cer>;alg=rsa-sha1")
    verdict = verify_request(request, KNOWN, NOW)
    assert (verdict.status, codes(verdict)) == (428, [IdentityFlaw.LEGACY])


@pytest.mark.rfc("8224", "6.2.2")
def test_a_certificate_that_can_not_be_had_is_a_436() -> None:
    for known in ({}, {INFO: None}):
        verdict = verify_request(signed(invite()), known, NOW)
        assert (verdict.status, verdict.phrase) == (436, "Bad Identity Info")
    request = invite()
    request.headers.add("Identity", "a.b.c")
    assert verify_request(request, KNOWN, NOW).status == 436


@pytest.mark.rfc("8224", "6.2.2")
@pytest.mark.parametrize(
    "pair",
    [
        issue("lone", names=[x509.UniformResourceIdentifier("sip:example.com")]),
        issue(
            "old", ROOT, names=[x509.UniformResourceIdentifier("sip:example.com")], start=NOW - 9e6, days=1
        ),
        issue("wrong name", ROOT, names=[x509.UniformResourceIdentifier("sip:example.org")]),
        issue("alien", issue("Other", ca=True), names=[x509.UniformResourceIdentifier("sip:example.com")]),
        issue(
            "P-384",
            ROOT,
            key=ec.generate_private_key(ec.SECP384R1()),
            names=[x509.UniformResourceIdentifier("sip:example.com")],
        ),
    ],
    ids=lambda pair: pair.certificate.subject.rfc4514_string(),
)
def test_a_certificate_that_does_not_serve_is_a_437(pair: Pair) -> None:
    verdict = verify_request(signed(invite()), {INFO: credential(pair)}, NOW)
    assert (verdict.status, verdict.phrase, verdict.who) == (437, "Unsupported Credential", None)


@pytest.mark.rfc("8224", "6.2.2")
@pytest.mark.parametrize("later", [61, 3600, -61])
def test_a_stale_date_is_a_403(later: int) -> None:
    for compact in (True, False):
        verdict = verify_request(signed(invite(), compact=compact), KNOWN, NOW + later)
        assert (verdict.status, verdict.phrase) == (403, "Stale Date")


@pytest.mark.rfc("8224", "12.1")
def test_an_outdated_date_is_refused_though_iat_is_fresh() -> None:
    request = signed(invite())
    request.headers.set("Date", format_date(NOW - 3600))
    assert verify_request(request, KNOWN, NOW).status == 403


@pytest.mark.rfc("8224", "6.2")
def test_a_date_changed_within_freshness_leaves_the_full_form_valid() -> None:
    request = signed(invite())
    request.headers.set("Date", format_date(NOW - 5))
    assert verify_request(request, KNOWN, NOW).who == BOB
    short = signed(invite(), compact=True)
    short.headers.set("Date", format_date(NOW - 5))
    assert verify_request(short, KNOWN, NOW).status == 438


@pytest.mark.rfc("8224", "6.2.4")
@pytest.mark.parametrize("compact", [True, False])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("From", "<sip:mallory@example.com>;tag=1"),
        ("To", "<sip:carol@example.net>"),
        ("To", "<sips:alice@example.net>"),
    ],
)
def test_a_changed_party_is_a_438(name: str, value: str, compact: bool) -> None:
    request = signed(invite(), compact=compact)
    request.headers.set(name, value)
    verdict = verify_request(request, KNOWN, NOW)
    assert (verdict.status, verdict.phrase) == (438, "Invalid Identity Header")


@pytest.mark.rfc("8224", "8.5")
def test_spelling_does_not_break_a_signature() -> None:
    request = signed(invite(), compact=True)
    request.headers.set("From", '"Bob" <sip:B%6Fb:secret@EXAMPLE.com:5061;transport=tls>;tag=1928301774')
    request.headers.set("To", "sip:Alice@Example.net")
    assert verify_request(request, KNOWN, NOW).who == BOB


SDP = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
    f"a=fingerprint:sha-256 {FINGERPRINT}\r\n"
)


@pytest.mark.rfc("8224", "12.1")
@pytest.mark.parametrize("compact", [True, False])
def test_media_keys_are_bound_to_the_caller(compact: bool) -> None:
    request = signed(invite(sdp=SDP), compact=compact)
    assert verify_request(request, KNOWN, NOW).who == BOB
    request.set_body(SDP.replace("4A:AD", "4A:AE").encode(), "application/sdp")
    assert verify_request(request, KNOWN, NOW).status == 438
    request.set_body(SDP.partition("a=fingerprint")[0].encode(), "application/sdp")
    assert verify_request(request, KNOWN, NOW).status == 438


def test_media_keys_are_found_in_any_part_and_encoding() -> None:
    plain, coded = (
        make_entity("application/sdp", SDP.encode()),
        b64encode(SDP.replace("4A:AD", "AA:AD").encode()),
    )
    other = make_entity("application/sdp", coded, ("Content-Transfer-Encoding", "base64"))
    text = make_entity("text/plain", b"\na=fingerprint:sha-256 00:00\n")
    whole = join([text, plain, other], "boundary")
    request = invite()
    request.set_body(whole.body, str(whole.media_type))
    assert media_keys(request) == [
        ("sha-256", FINGERPRINT),
        ("sha-256", FINGERPRINT.replace("4A:AD", "AA:AD")),
    ]


@pytest.mark.rfc("8224", "4.1")
def test_a_baseline_token_without_the_media_keys_is_refused() -> None:
    request = signed(invite())
    request.set_body(SDP.encode(), "application/sdp")
    assert codes(verify_request(request, KNOWN, NOW)) == [IdentityFlaw.MEDIA]


@pytest.mark.rfc("8224", "12.1")
def test_a_replay_in_another_call_is_noticed() -> None:
    window = ReplayWindow(120)
    request = signed(invite())
    assert verify_request(request, KNOWN, NOW, replay=window).who == BOB
    assert (
        verify_request(request, KNOWN, NOW + 1, replay=window).who == BOB
    )  # the same call: a fork or a spiral
    request.headers.set("Call-ID", "another")
    verdict = verify_request(request, KNOWN, NOW + 2, replay=window)
    assert (verdict.status, codes(verdict)) == (438, [IdentityFlaw.REPLAYED])


def test_two_honest_requests_of_one_second_are_no_replay() -> None:
    window = ReplayWindow(120)
    for call_id in ("one", "two"):
        assert verify_request(signed(invite(call_id=call_id)), KNOWN, NOW, replay=window).who == BOB


def test_a_negated_signature_is_the_same_to_the_replay_window() -> None:
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    window = ReplayWindow(120)
    request = signed(invite())
    assert verify_request(request, KNOWN, NOW, replay=window).who == BOB
    token = passport.parse(parse_identity(request.headers.get("Identity") or "").token)
    other = order - int.from_bytes(token.signature[32:], "big")
    raw = token.signature[:32] + other.to_bytes(32, "big")
    text = token.signing_input.decode() + "." + urlsafe_b64encode(raw).rstrip(b"=").decode()
    request.headers.set("Identity", write_identity(text, INFO))
    assert verify_request(request, KNOWN, NOW).who == BOB
    request.headers.set("Call-ID", "another")
    assert verify_request(request, KNOWN, NOW, replay=window).status == 438


def test_the_window_is_bounded_and_forgets() -> None:
    window = ReplayWindow(120, limit=3)
    for n in range(10):
        window.remember(bytes([n]), "call", NOW + n)
    assert len(window) == 3
    assert window.replayed(b"\x09", "other", NOW + 10)
    assert not window.replayed(b"\x01", "other", NOW + 10)
    assert not window.replayed(b"\x09", "other", NOW + 200)
    window.remember(b"x", "call", NOW + 500)
    assert len(window) == 1


@pytest.mark.rfc("8224", "6.2.1")
def test_one_valid_header_field_is_enough() -> None:
    request = invite()
    request.headers.add("Identity", write_identity("..AA", "https://nowhere.example/1"))
    request.headers.add("Identity", "garbage (")
    verdict = verify_request(signed(request), KNOWN, NOW)
    assert (verdict.status, verdict.who, len(verdict.findings)) == (None, BOB, 3)


@pytest.mark.rfc("8224", "6.2.2")
def test_a_mixture_of_failures_is_a_438_and_a_uniform_one_its_own_code() -> None:
    request = invite()
    request.headers.add("Identity", write_identity("..AA", "https://nowhere.example/1"))
    assert verify_request(request, KNOWN, NOW).status == 436
    request.headers.add("Identity", write_identity("..AA", INFO))
    assert verify_request(request, KNOWN, NOW).status == 438
    garbage = invite()
    garbage.headers.add("Identity", "garbage (")
    assert verify_request(garbage, KNOWN, NOW).status == 400


@pytest.mark.rfc("8224", "4.1")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("info=<https://cert.", "info=<https://evil."),
        ("alg=ES256", "alg=ES384"),
        ("alg=ES256", "alg=ES256;ppt=shaken"),
    ],
)
def test_parameters_must_mirror_the_token(old: str, new: str) -> None:
    request = signed(invite())
    value = request.headers.get("Identity") or ""
    request.headers.set("Identity", value.replace(old, new))
    known = KNOWN | {"https://evil.example.com/1.pem": KNOWN[INFO]}
    assert IdentityFlaw.MISMATCH in codes(verify_request(request, known, NOW))
    assert verify_request(request, known, NOW).status == 438


def test_claim_constraints_are_enforced() -> None:
    constraints = bytes.fromhex("300e a00c 300a 1608") + b"bingo!!!"
    bound = issue("example.com", ROOT, names=[x509.DNSName("example.com")], constraints=constraints)
    assert sign_request(invite(), signer(bound), NOW).reasons[0].code == ScopeFlaw.CLAIM
    assert sign_request(invite(), signer(bound), NOW, extra={"bingo!!!": "yes"}).reasons == ()


def test_a_signer_with_an_untrusted_certificate_says_so() -> None:
    lone = issue("lone", names=[x509.DNSName("example.com")])
    assert sign_request(invite(), signer(lone), NOW).reasons[0].code == ChainFlaw.SELF_SIGNED


def test_the_number_of_header_fields_is_bounded() -> None:
    request = invite()
    for _ in range(MAX_IDENTITIES + 1):
        request.headers.add("Identity", write_identity("..AA", INFO))
    with pytest.raises(PeerError) as caught:
        verify_request(request, KNOWN, NOW)
    assert (caught.value.status, caught.value.header) == (400, "Identity")


def test_an_incomplete_extension_is_an_invalid_passport() -> None:
    request = invite("<tel:+12155550121>")
    made = sign_request(request, signer(CARRIER), NOW, ppt="shaken", extra={"attest": "X"})
    request.headers.add(*made.fields[-1])
    verdict = verify_request(request, CARRIER_KNOWN, NOW)
    assert (verdict.status, verdict.phrase) == (438, "Invalid PASSporT")
    assert codes(verdict) == [Flaw.CLAIM, Flaw.CLAIM]


@pytest.mark.rfc("8224", "8.3")
def test_a_dial_plan_makes_both_ends_agree() -> None:
    plan = NumberPlan(country_code="1", national_prefix="1", international_prefix="011", bare_digits=True)
    request = signed(
        invite("<sip:12155550121@example.com>", "<sip:011358401234567@example.com>"), CARRIER, plan=plan
    )
    assert verify_request(request, CARRIER_KNOWN, NOW, Policy(plan=plan)).who == Party("tn", "12155550121")
    token = passport.parse(parse_identity(request.headers.get("Identity") or "").token)
    assert token.dest == (Party("tn", "358401234567"),)


def test_a_line_that_can_not_be_split_leaves_the_others_alone() -> None:
    request = invite()
    request.headers.add("Identity", 'a.b.c;info=<https://x.example/1, "')
    assert verify_request(request, KNOWN, NOW).status == 400
    assert verify_request(signed(request), KNOWN, NOW).who == BOB


def test_several_values_may_stand_in_one_line() -> None:
    request = signed(invite())
    request.headers.set("Identity", f"{write_identity('..AA', INFO)}, {request.headers.get('Identity')}")
    verdict = verify_request(request, KNOWN, NOW)
    assert (verdict.who, len(verdict.findings)) == (BOB, 2)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.characters(codec="ascii", exclude_characters="\r\n"), max_size=60), max_size=4))
def test_any_identity_header_fields_give_a_verdict(lines: list[str]) -> None:
    request = invite()
    for line in lines:
        request.headers.add("Identity", line)
    assert verify_request(request, KNOWN, NOW).status in (400, 428, 436, 437, 438)
