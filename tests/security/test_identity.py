"""The Identity header field: read, and written by the authentication service of RFC 8224."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.message import PeerError, Request, parse, parse_uri
from ringfence.security import passport
from ringfence.security.canonical import Party
from ringfence.security.findings import Policy
from ringfence.security.identity import (
    IdentityFlaw,
    parse_identity,
    sign_request,
    write_identity,
)
from ringfence.security.tnauth import Credential
from ringfence.security.verification import verify_request
from tests.security import published
from tests.security.calls import (
    BOB,
    CARRIER,
    CARRIER_KNOWN,
    DOMAIN,
    KNOWN,
    ROOT,
    codes,
    credential,
    format_date,
    invite,
    signed,
    signer,
)
from tests.security.pki import NOW, issue, tn_list

# ---- syntax ----


@pytest.mark.rfc("8224", "4")
@pytest.mark.parametrize(
    ("text", "info", "ppt"),
    [
        ("a.b.c;info=<https://x.example/1>", "https://x.example/1", None),
        ("a.b.c;info=<https://x.example/1>;alg=ES256;ppt=shaken", "https://x.example/1", "shaken"),
        ('a.b.c ; info=<https://x.example/a;b?c=d> ; ppt="div"', "https://x.example/a;b?c=d", "div"),
        ("a.b.c;ppt=shaken;info=<https://x.example/1>;new=thing;flag", "https://x.example/1", "shaken"),
        ("..c;info=<cid:1@example.com>", "cid:1@example.com", None),
    ],
)
def test_parameters_in_any_order(text: str, info: str, ppt: str | None) -> None:
    header = parse_identity(text)
    assert (header.info, header.ppt, header.alg, header.flaws) == (info, ppt, "ES256", ())


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", IdentityFlaw.SYNTAX),
        ("a.b.c;info=<https://x.example/1", IdentityFlaw.SYNTAX),
        ("a b;info=<https://x.example/1>", IdentityFlaw.SYNTAX),
        ("a.b.c;info=<https://x.example/1>;ppt=a;PPT=b", IdentityFlaw.SYNTAX),
        ("a.b.c;;info=<https://x.example/1>", IdentityFlaw.SYNTAX),
        ("a.b.c", IdentityFlaw.INFO),
        ("a.b.c;info=https://x.example/1", IdentityFlaw.INFO),
        ("a.b.c;info=<no-uri>", IdentityFlaw.INFO),
        ('"CyI4+nAkHrH3ntmaxgr01TMxTmtjP7MASwliNRdupRI1vpkXRvZXx1ja9k=="', IdentityFlaw.LEGACY),
    ],
)
def test_what_is_wrong_is_told(text: str, code: IdentityFlaw) -> None:
    assert [flaw.code for flaw in parse_identity(text).flaws] == [code]


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec="ascii", exclude_characters="\r\n"), max_size=80))
def test_any_text_is_read_without_a_crash(text: str) -> None:
    parse_identity(text)


# ---- signing and verifying ----


@pytest.mark.rfc("8224", "6.1")
@pytest.mark.parametrize("compact", [False, True])
def test_what_we_sign_verifies(compact: bool) -> None:
    verdict = verify_request(signed(invite(), compact=compact), KNOWN, NOW)
    assert (verdict.status, verdict.who) == (None, BOB)
    assert verdict.evidence == "PASSporT signed by example.com"


@pytest.mark.rfc("8224", "6.1")
def test_a_date_is_added_when_there_is_none() -> None:
    request = signed(invite(date=None), compact=True)
    assert request.headers.get("Date") == format_date(NOW)
    assert verify_request(request, KNOWN, NOW).who == BOB


@pytest.mark.rfc("8224", "6.1")
@pytest.mark.parametrize("age", [-61, 61])
def test_a_request_with_a_wrong_date_is_not_signed(age: int) -> None:
    with pytest.raises(PeerError) as caught:
        sign_request(invite(date=format_date(NOW + age)), signer(DOMAIN), NOW)
    assert (caught.value.status, caught.value.reason) == (403, "Stale Date")


@pytest.mark.rfc("8224", "6.1")
@pytest.mark.parametrize(
    "caller", ["<sip:eve@example.org>", "<tel:+12155551212>", "<sip:+12155551212@example.com>"]
)
def test_nothing_is_signed_without_authority(caller: str) -> None:
    made = sign_request(invite(caller), signer(DOMAIN), NOW)
    assert made.fields == ()
    assert made.reasons


def test_a_private_federation_lets_the_domain_speak_for_its_numbers() -> None:
    request = invite("<sip:+12155551212@example.com>")
    made = sign_request(request, signer(DOMAIN, numbers_by_domain=True), NOW)
    request.headers.add(*made.fields[-1])
    assert verify_request(request, KNOWN, NOW, Policy(numbers_by_domain=True)).who == Party(
        "tn", "12155551212"
    )
    assert verify_request(request, KNOWN, NOW).status == 437
    forged = invite("<sip:+12155551212@example.org>")
    assert sign_request(forged, signer(DOMAIN, numbers_by_domain=True), NOW).fields == ()


@pytest.mark.rfc("8588", "6")
def test_shaken_attestation_is_signed_in_full_form() -> None:
    extra = {"attest": "A", "origid": "123e4567-e89b-12d3-a456-426655440000"}
    request = invite("<sip:12155550121@example.com;user=phone>", "<tel:+1-215-555-0131>", "tel:+12155550131")
    signed(request, CARRIER, ppt="shaken", extra=extra, compact=True)
    assert ";ppt=shaken" in (request.headers.get("Identity") or "")
    verdict = verify_request(request, CARRIER_KNOWN, NOW)
    assert (verdict.who, verdict.attestation) == (Party("tn", "12155550121"), "A")
    assert verdict.evidence == "shaken A signed by SHAKEN 709J"


@pytest.mark.rfc("8224", "8")
def test_the_asserted_identity_can_be_signed_instead_of_an_anonymous_from() -> None:
    request = invite('"Anonymous" <sip:anonymous@anonymous.invalid>')
    asserted = parse_uri("sip:bob@example.com")
    signed(request, asserted=asserted, compact=True)
    assert codes(verify_request(request, KNOWN, NOW)) == [IdentityFlaw.ORIGIN]
    assert verify_request(request, KNOWN, NOW, asserted=[asserted]).who == BOB


@pytest.mark.rfc("8224", "5.1")
def test_the_published_request_gives_the_published_claims() -> None:
    request = parse(published.RFC8224_INVITE)
    assert isinstance(request, Request)
    numbers = issue("range", ROOT, numbers=tn_list(ranges=[("12155551000", 1000)]), start=0, days=40000)
    made = sign_request(request, signer(numbers, "https://cert.example.org/passport.cer"), 1443208345)
    token = passport.parse(parse_identity(made.fields[0][1]).token)
    assert token.signing_input.decode() == (
        f"{published.RFC8225_HEADER}.eyJkZXN0Ijp7InVyaSI6WyJzaXA6YWxpY2VAZXhhbXBsZS5jb20iXX0sImlhdC"
        "I6MTQ0MzIwODM0NSwib3JpZyI6eyJ0biI6IjEyMTU1NTUxMjEyIn19"
    )


@pytest.mark.rfc("8224", "4.1.1")
def test_the_published_identity_verifies_in_full_form_only() -> None:
    """The published signature covers an iat that is a string, which nobody can rebuild from the Date."""
    info = "https://cert.example.org/passport.cer"
    numbers = issue("range", ROOT, numbers=tn_list(ranges=[("12155551000", 1000)]), start=0, days=40000)
    known = credential(numbers)
    known = Credential(
        **{name: getattr(known, name) for name in Credential.__slots__}
        | {"key": load_pem_public_key(published.RFC8225_PUBLIC)}
    )
    for token, status in ((published.RFC8224_FULL, None), (f"..{published.RFC8224_SIGNATURE}", 438)):
        request = parse(published.RFC8224_INVITE)
        assert isinstance(request, Request)
        request.headers.add("Identity", write_identity(token, info))
        assert verify_request(request, {info: known}, 1443208345).status == status
