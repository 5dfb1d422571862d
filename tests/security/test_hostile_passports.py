"""Requests with tokens as other signers, sloppy and hostile, spell them: which are believed, how others are answered.

Every token here is signed with the right key, over the octets that it has, so what is refused is refused for what it
says.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from ringfence.message import Request, parse
from ringfence.security.identity import IdentityFlaw
from ringfence.security.passport import Flaw
from ringfence.security.verification import Verdict, verify_request
from tests.security.calls import CARRIER, CARRIER_KNOWN, DOMAIN, INFO, KNOWN, codes, credential, invite
from tests.security.pki import NOW, Pair, issue

IAT = int(NOW)
HEADER = f'{{"alg":"ES256","typ":"passport","x5u":"{INFO}"}}'
CLAIMS = f'{{"dest":{{"uri":["sip:alice@example.net"]}},"iat":{IAT},"orig":{{"uri":"sip:bob@example.com"}}}}'
PARAMETERS = f";info=<{INFO}>;alg=ES256"


def part(text: str) -> str:
    return urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def tail(signing_input: str, by: Pair = DOMAIN) -> str:
    assert isinstance(by.key, ec.EllipticCurvePrivateKey)
    r, s = decode_dss_signature(by.key.sign(signing_input.encode(), ec.ECDSA(SHA256())))
    return urlsafe_b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).rstrip(b"=").decode()


def token(header: str = HEADER, claims: str = CLAIMS, by: Pair = DOMAIN) -> str:
    both = f"{part(header)}.{part(claims)}"
    return f"{both}.{tail(both, by)}"


def verified(value: str, request: Request | None = None, known: object = KNOWN) -> Verdict:
    request = request or invite()
    request.headers.add("Identity", value)
    return verify_request(request, known, NOW)  # type: ignore[arg-type]


# ---- spellings that are believed ----


@pytest.mark.rfc("8225", "9")
@pytest.mark.parametrize(
    ("header", "claims"),
    [
        (HEADER, CLAIMS),
        (json.dumps(json.loads(HEADER), indent=2) + "\n", json.dumps(json.loads(CLAIMS), indent=2)),
        (json.dumps(dict(reversed(json.loads(HEADER).items()))), CLAIMS),
        (HEADER.replace("/", "\\/"), CLAIMS.replace("alice", "\\u0061lice")),
        (HEADER, CLAIMS.replace(str(IAT), f'"{IAT}"')),
        (HEADER, CLAIMS.replace('["sip:alice@example.net"]', '"sip:alice@example.net"')),
        (HEADER, CLAIMS.replace("[", '["sip:zoe@example.net",')),
        (HEADER, CLAIMS.replace('{"uri":[', '{"tn":["12155551213"],"uri":[')),
        (HEADER, CLAIMS[:-1] + ',"later":{"a":[1,2.5,null]}}'),
        (HEADER[:-1] + ',"kid":"1"}', CLAIMS),
        (HEADER, CLAIMS[:-1] + ',"mky":[]}'),
    ],
    ids=[
        "as we write it", "white space", "any order", "escapes", "iat of digits in quotes", "dest without a list",
        "several dest", "dest of both kinds", "unknown claims", "unknown header", "no media keys",
    ],
)  # fmt: skip
def test_what_is_signed_is_what_came(header: str, claims: str) -> None:
    """A verifier that wrote the token anew, in its own order, would refuse most of these."""
    verdict = verified(token(header, claims) + PARAMETERS)
    assert codes(verdict) == []
    assert verdict.status is None


@pytest.mark.parametrize(
    "parameters", [f";info=<{INFO}>", f";alg=ES256 ; info = <{INFO}>", f";info=<{INFO}>;x=y"]
)
def test_parameters_may_be_left_out_moved_and_added(parameters: str) -> None:
    assert verified(token() + parameters).status is None


# ---- and those that are not ----


def changed(old: str, new: str, where: str = CLAIMS) -> str:
    assert old in where
    return where.replace(old, new)


@pytest.mark.rfc("8224", "6.2.2")
@pytest.mark.parametrize(
    ("header", "claims", "code"),
    [
        (HEADER, changed(str(IAT), "9" * 400), Flaw.CLAIM),
        (HEADER, changed(str(IAT), "-" + "9" * 400), Flaw.CLAIM),
        (HEADER, changed(str(IAT), f"{IAT}.5"), Flaw.CLAIM),
        (HEADER, changed(str(IAT), "true"), Flaw.CLAIM),
        (HEADER, changed(str(IAT), "null"), Flaw.CLAIM),
        (HEADER, changed(str(IAT), "1e400"), Flaw.CLAIM),
        (HEADER, changed(str(IAT), "NaN"), Flaw.TYPE),
        (HEADER, changed(str(IAT), f"{IAT},\"iat\":1"), Flaw.TYPE),
        (HEADER, "\ufeff" + CLAIMS, Flaw.TYPE),
        (HEADER, CLAIMS + "{}", Flaw.TYPE),
        (HEADER, "", Flaw.TYPE),
        (HEADER, changed('"uri":"sip:bob', '"uri":"sip:\\ud800bob'), IdentityFlaw.ORIGIN),
        (HEADER, changed("bob", "Bob"), IdentityFlaw.ORIGIN),
        (HEADER, changed('{"uri":"sip:bob@example.com"}', '"sip:bob@example.com"'), Flaw.CLAIM),
        (HEADER, changed("[", "[7,"), Flaw.CLAIM),
        (HEADER, changed("alice", "mallory"), IdentityFlaw.DESTINATION),
        (HEADER, changed('"dest"', '"Dest"'), Flaw.CLAIM),
        (changed("ES256", "none", HEADER), CLAIMS, Flaw.ALGORITHM),
        (changed("ES256", "HS256", HEADER), CLAIMS, Flaw.ALGORITHM),
        (changed("ES256", "ES384", HEADER), CLAIMS, Flaw.ALGORITHM),
        (changed('"ES256"', '["ES256"]', HEADER), CLAIMS, Flaw.ALGORITHM),
        (changed("passport", "JWT", HEADER), CLAIMS, Flaw.TYPE),
        (changed("1.pem", "2.pem", HEADER), CLAIMS, IdentityFlaw.MISMATCH),
        (changed(f'"{INFO}"', f'["{INFO}"]', HEADER), CLAIMS, Flaw.CREDENTIAL_URL),
        (HEADER[:-1] + ',"ppt":"shaken"}', CLAIMS, Flaw.CLAIM),
        (HEADER[:-1] + ',"ppt":7}', CLAIMS, Flaw.TYPE),
        (HEADER[:-1] + ',"crit":["later"],"later":1}', CLAIMS, Flaw.CRITICAL),
    ],
)  # fmt: skip
def test_a_good_signature_over_something_else_is_a_438(header: str, claims: str, code: str) -> None:
    verdict = verified(token(header, claims) + PARAMETERS)
    assert code in codes(verdict)
    assert verdict.proof is None
    assert verdict.status == 438
    assert verdict.evidence.encode("ascii", "backslashreplace")


@pytest.mark.parametrize("alg", ["none", "HS256", "ES384", "RS256"])
def test_another_algorithm_inside_and_outside_is_still_another(alg: str) -> None:
    value = token(changed("ES256", alg, HEADER)) + PARAMETERS.replace("ES256", alg)
    assert Flaw.ALGORITHM in codes(verified(value))


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_padding_is_not_base64url(cut: int) -> None:
    """RFC 7515 section 2; one token must not have two spellings."""
    parts = token().split(".")
    parts[cut] += "=" * (-len(parts[cut]) % 4 or 4)
    assert verified(".".join(parts) + PARAMETERS).status in (400, 438)


@pytest.mark.rfc("8224", "8.3")
@pytest.mark.parametrize(
    ("written", "status"),
    [
        ("12155551212", None), ("+12155551212", None), ("+1 (215) 555-1212", None), ("1.215.555.1212", None),
        ("+12155551213", 438), ("tel:+12155551212", 438), ("x12155551212", 438), ("12155551212;ext=1", 438), ("", 438),
    ],
)  # fmt: skip
def test_a_number_is_the_same_however_it_is_written(written: str, status: int | None) -> None:
    """In a request, where the two sides make the same digits of it, and in the claims of those who leave that out."""
    claims = f'{{"dest":{{"tn":["12155551213"]}},"iat":{IAT},"orig":{{"tn":"{written}"}}}}'
    for caller in (
        "<tel:+1-215-555-1212>",
        "<sip:+1(215)555.1212@example.com>",
        "<sip:12155551212@x;user=phone>",
    ):
        request = invite(caller=caller, callee="<tel:+12155551213>")
        verdict = verified(token(claims=claims, by=CARRIER) + PARAMETERS, request, CARRIER_KNOWN)
        assert verdict.status == status


@pytest.mark.rfc("8224", "4")
def test_without_info_nothing_can_be_fetched() -> None:
    assert verified(token() + ";alg=ES256").status == 436


@pytest.mark.parametrize(
    "url", ["https://\u00fcmlaut.example/1.pem", "http://cert.example.com/1.pem", "cid:1@x"]
)
def test_a_certificate_that_is_nowhere_to_be_had(url: str) -> None:
    request = parse(invite().to_bytes())
    assert isinstance(request, Request)
    value = token(HEADER.replace(INFO, url)) + f";info=<{url}>"
    request.headers.add("Identity", value.encode().decode("utf-8", "surrogateescape"))
    assert verify_request(request, {url: None}, NOW).status in (436, 438)


# ---- as other RFCs print it ----

RFC8443 = (
    "eyJhbGciOiJFUzI1NiIsInBwdCI6InJwaCIsInR5cCI6InBhc3Nwb3J0"
    "IiwieDV1IjoiaHR0cHM6Ly93d3cuZXhhbXBsZS5jb20vY2VydC5jZXIifQo.eyJkZ"
    "XN0Ijp7WyJ0biI6IjEyMTI1NTUwMTEzIl19LCJpYXQiOiIxNDQzMjA4MzQ1Iiwib3"
    "JpZyI6eyJ0biI6IjEyMTU1NTUwMTEyIn0sInJwaCI6eyJhdXRoIjpbImV0cy4wIiw"
    "id3BzLjAiXX19Cg.s37S6VC8HM6Dl6YzJeQDsrZcwJ0lizxhUrA7f_98oWBHvo-cl"
    "-n8MIhoCr18vYYFy3blXvs3fslM_oos2P2Dyw;info=<https://www.example."
    'org/cert.cer>;alg=ES256;ppt="rph"'
)


@pytest.mark.rfc("8443", "4.1")
def test_a_resource_priority_token_says_nothing_of_the_caller() -> None:
    """We give nobody priority. Its printed claims are no JSON, and its x5u is not its info."""
    assert verified(RFC8443).status == 428
    request = invite()
    request.headers.add("Identity", RFC8443)
    assert verified(token() + PARAMETERS, request).status is None


@pytest.mark.rfc("8224", "10")
def test_the_printed_headers_of_rfc_4474_are_answered() -> None:
    """Of RFC 4474 section 10.1; RFC 4916 section 5.1 prints the same kind."""
    request = invite()
    request.headers.add("Identity-Info", "<https://atlanta.example.com/atlanta.cer>;alg=rsa-sha1")
    verdict = verified(
        '"ZYNBbHC00VMZr2kZt6VmCvPonWJMGvQTBDqghoWeLxJfzB2a1pxAr3VgrB0SsSAa'
        "ifsRdiOPoQZYOy2wrVghuhcsMbHWUSFxI6p6q5TOQXHMmz6uEo3svJsSH49thyGn"
        'FVcnyaZ++yRlBYYQTLqWzJ+KVhPKbfU/pryhVn9Yc6U="',
        request,
    )
    assert codes(verdict) == [IdentityFlaw.LEGACY]
    assert (verdict.status, verdict.phrase) == (428, "Use Supported PASSporT Format")


def test_a_certificate_of_somebody_else_with_the_right_name_outside() -> None:
    """The URL of the real certificate, and a signature with another key: nothing but the signature tells."""
    other = Pair(DOMAIN.certificate, ec.generate_private_key(ec.SECP256R1()))
    verdict = verified(token(by=other) + PARAMETERS)
    assert codes(verdict) == [Flaw.SIGNATURE]
    assert verdict.status == 438


def test_the_certificate_counts_not_the_words_in_its_subject() -> None:
    evil = issue(
        "example.com", DOMAIN.issuer, names=[x509.UniformResourceIdentifier("sip:example.com.evil.example")]
    )
    verdict = verified(token(by=evil) + PARAMETERS, known={INFO: credential(evil)})
    assert verdict.status == 437
