"""Authenticated Identity Bodies (RFC 3893), in requests and responses, with what must not pass."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ringfence.message import Headers, LocalError, Request, Response, parse, parse_address
from ringfence.message.multipart import Entity, join, make_entity
from ringfence.security.aib import (
    AibFlaw,
    AibVerdict,
    aib_for_request,
    aib_for_response,
    find_aibs,
    judge_request,
    judge_response,
)
from ringfence.security.chains import ChainFlaw
from ringfence.security.cms_enveloped import Keyring
from ringfence.security.cms_fit import SignatureFlaw
from ringfence.security.cms_signed import Signatory
from ringfence.security.replay import ReplayWindow
from ringfence.security.smime import body_of, encrypted_body, put_body, signed_body
from ringfence.security.smime_signer import SignerFlaw, Speaks
from tests.security.pki import NOW, Pair, issue

ROOT = issue("Test root", ca=True)
ANCHORS = [ROOT.certificate]


def holder(uri: str) -> Pair:
    return issue(uri, ROOT, names=[x509.UniformResourceIdentifier(uri)])


ALICE, BOB, DOMAIN = holder("sip:alice@example.com"), holder("sip:bob@example.net"), holder("sip:example.com")
DATE = "Mon, 04 May 2026 12:00:00 GMT"  # NOW
SDP = make_entity("application/sdp", b"v=0\r\n")


def invite(method: str = "INVITE", **changes: str | None) -> Request:
    fields: dict[str, str | None] = {
        "Via": "SIP/2.0/UDP pc33.example.com;branch=z9hG4bKnashds8",
        "To": "Bob <sip:bob@example.net>",
        "From": "Alice <sip:alice@example.com>;tag=1928301774",
        "Call-ID": "a84b4c76e66710",
        "CSeq": f"314159 {method}",
        "Max-Forwards": "70",
        "Date": DATE,
        "Contact": "<sip:alice@pc33.example.com>",
    }
    fields |= {name.replace("_", "-"): value for name, value in changes.items()}
    return Request(method, "sip:bob@example.net", Headers((n, v) for n, v in fields.items() if v is not None))


def signed(entity: Entity, by: Pair = ALICE) -> Entity:
    return signed_body(entity, [Signatory(by.key, by.certificate)], NOW, "boundary42")


def carried(message: Request, part: Entity) -> Request:
    """The request with the AIB beside its SDP, through the wire."""
    put_body(message, join([SDP, part], "unique-boundary-1"))
    received = parse(message.to_bytes())
    assert isinstance(received, Request)
    return received


def judged(request: Request, now: float = NOW, replay: ReplayWindow | None = None) -> AibVerdict:
    (found,) = find_aibs(body_of(request), [keyring(BOB)])
    return judge_request(found, request, ANCHORS, now, replay=replay)


def keyring(pair: Pair) -> Keyring:
    assert isinstance(pair.key, ec.EllipticCurvePrivateKey)
    return Keyring(pair.key, pair.certificate)


def codes(verdict: AibVerdict) -> list[str]:
    return [reason.code for reason in verdict.reasons]


@pytest.mark.rfc("3893", "2")
def test_the_format_is_that_of_the_rfc() -> None:
    entity = aib_for_request(invite())
    assert entity.raw == (
        b"Content-Type: message/sipfrag\r\nContent-Disposition: aib; handling=optional\r\n\r\n"
        b"From: Alice <sip:alice@example.com>;tag=1928301774\r\nTo: Bob <sip:bob@example.net>\r\n"
        b"Contact: <sip:alice@pc33.example.com>\r\nDate: Mon, 04 May 2026 12:00:00 GMT\r\n"
        b"Call-ID: a84b4c76e66710\r\nCSeq: 314159 INVITE\r\n"
    )


@pytest.mark.rfc("3893", "7")
@pytest.mark.parametrize(("by", "speaks"), [(ALICE, Speaks.USER), (DOMAIN, Speaks.DOMAIN)])
def test_the_caller_is_proven_by_its_own_signature_or_its_domains(by: Pair, speaks: Speaks) -> None:
    verdict = judged(carried(invite(), signed(aib_for_request(invite()), by)))
    assert (verdict.reasons, str(verdict.identity)) == ((), "Alice <sip:alice@example.com>;tag=1928301774")
    assert verdict.signer is not None
    assert verdict.signer.speaks is speaks


@pytest.mark.rfc("3893", "8")
@pytest.mark.parametrize("order", ["encrypted then signed", "signed then encrypted"])
def test_an_encrypted_aib_names_an_anonymous_caller(order: str) -> None:
    entity = aib_for_request(invite())
    if order == "encrypted then signed":
        entity = signed(encrypted_body(entity, [BOB.certificate]))
    else:
        entity = encrypted_body(signed(entity), [BOB.certificate])
    outside = invite(From='"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1928301774')
    verdict = judged(carried(outside, entity))
    assert (verdict.reasons, verdict.identity and verdict.identity.display) == ((), "Alice")
    assert (
        find_aibs(body_of(carried(outside, encrypted_body(entity, [ALICE.certificate]))), [keyring(BOB)])
        == []
    )


def test_the_whole_body_may_be_the_aib() -> None:
    request = invite("MESSAGE", Contact=None)
    put_body(request, signed(aib_for_request(request)))
    assert judged(request).reasons == ()


@pytest.mark.rfc("3893", "2")
def test_an_unsigned_aib_proves_nothing() -> None:
    assert codes(judged(carried(invite(), aib_for_request(invite())))) == [AibFlaw.UNSIGNED]


@pytest.mark.rfc("3893", "2")
@pytest.mark.parametrize("name", ["From", "Date", "Call_ID", "Contact"])
def test_these_header_fields_are_required(name: str) -> None:
    with pytest.raises(LocalError):
        aib_for_request(invite(**{name: None}))
    whole = aib_for_request(invite())
    lines = [
        line for line in whole.body.split(b"\r\n") if not line.startswith(name.replace("_", "-").encode())
    ]
    entity = make_entity("message/sipfrag", b"\r\n".join(lines), ("Content-Disposition", "aib"))
    assert codes(judged(carried(invite(), signed(entity))))[:1] == [AibFlaw.INCOMPLETE]


@pytest.mark.rfc("3893", "10")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Call_ID", "another"),
        ("Contact", "<sip:mallory@192.0.2.66>"),
        ("Date", "Mon, 04 May 2026 12:00:01 GMT"),
        ("To", "<sip:carol@example.net>"),
        ("CSeq", "314160 INVITE"),
        ("From", "<sip:eve@example.com>;tag=1928301774"),
    ],
)
def test_an_aib_that_was_cut_and_pasted_is_named(name: str, value: str) -> None:
    verdict = judged(carried(invite(**{name: value}), signed(aib_for_request(invite()))))
    assert codes(verdict) == [AibFlaw.DIFFERENT]
    assert name.replace("_", "-") in verdict.reasons[0].detail


@pytest.mark.rfc("3893", "10")
def test_old_aibs_and_replays() -> None:
    request = carried(invite(), signed(aib_for_request(invite())))
    assert codes(judged(request, NOW + 3601)) == [AibFlaw.STALE]
    window = ReplayWindow(3600)
    assert judged(request, replay=window).reasons == ()
    assert judged(request, replay=window).reasons == ()  # the same dialog may carry it again
    again = carried(invite(From="Alice <sip:alice@example.com>;tag=2"), signed(tagless()))
    assert codes(judged(again, NOW + 60, replay=window)) == [AibFlaw.REPLAYED]


def tagless() -> Entity:
    return aib_for_request(invite(From="Alice <sip:alice@example.com>"))


@pytest.mark.rfc("3893", "7")
def test_who_may_not_sign() -> None:
    stranger = issue("sip:alice@example.com", names=[x509.UniformResourceIdentifier("sip:alice@example.com")])
    assert codes(judged(carried(invite(), signed(aib_for_request(invite()), stranger)))) == [
        ChainFlaw.SELF_SIGNED
    ]
    assert codes(judged(carried(invite(), signed(aib_for_request(invite()), BOB)))) == [
        SignerFlaw.OTHER_ADDRESS
    ]
    entity = signed(aib_for_request(invite()))
    broken = Entity(entity.headers, entity.raw.replace(b"pc33", b"pc34"), len(entity.raw) - len(entity.body))
    assert codes(judged(carried(invite(Contact="<sip:alice@pc34.example.com>"), broken))) == [
        SignatureFlaw.DIGEST
    ]


# ---- responses ----


def answer(**changes: str) -> Response:
    fields = {
        "To": "Bob <sip:bob@example.net>;tag=314159",
        "From": "Alice <sip:alice@example.com>;tag=1928301774",
        "Call-ID": "a84b4c76e66710",
        "CSeq": "314159 INVITE",
        "Contact": "<sip:bob@192.0.2.4>",
    } | {name.replace("_", "-"): value for name, value in changes.items()}
    return Response(200, "OK", Headers(fields.items()))


@pytest.mark.rfc("3893", "6")
def test_the_responder_is_proven() -> None:
    response = answer()
    entity = aib_for_response(invite(), response, parse_address("Bob <sip:bob@example.net>"), NOW)
    assert b"\r\nTo:" not in entity.raw
    put_body(response, signed(entity, BOB))
    (found,) = find_aibs(body_of(response))
    verdict = judge_response(found, response, ANCHORS, NOW)
    assert (verdict.reasons, verdict.identity and verdict.identity.display) == ((), "Bob")
    for changed, code in (
        (answer(Call_ID="x"), AibFlaw.DIFFERENT),
        (answer(CSeq="1 INVITE"), AibFlaw.DIFFERENT),
    ):
        assert codes(judge_response(found, changed, ANCHORS, NOW)) == [code]
    assert codes(judge_response(found, response, ANCHORS, NOW + 4000)) == [AibFlaw.STALE]


@pytest.mark.rfc("3893", "6")
def test_a_to_in_the_aib_of_a_response_is_named() -> None:
    response = answer()
    entity = make_entity(
        "message/sipfrag",
        aib_for_response(invite(), response, parse_address("<sip:bob@example.net>"), NOW).body
        + b"To: <sip:b@c>\r\n",
        ("Content-Disposition", "aib"),
    )
    put_body(response, signed(entity, BOB))
    (found,) = find_aibs(body_of(response))
    assert codes(judge_response(found, response, ANCHORS, NOW)) == [AibFlaw.TO_PRESENT]


def test_an_answer_to_an_invite_needs_a_contact() -> None:
    response = answer()
    response.headers.remove("Contact")
    with pytest.raises(LocalError):
        aib_for_response(invite(), response, parse_address("<sip:bob@example.net>"), NOW)
    message = invite("MESSAGE")
    assert aib_for_response(message, response, parse_address("<sip:bob@example.net>"), NOW).body


def test_a_body_without_aib_has_none() -> None:
    request = carried(invite(), make_entity("text/plain", b"hello"))
    assert find_aibs(body_of(request)) == []
    assert find_aibs(body_of(invite())) == []
