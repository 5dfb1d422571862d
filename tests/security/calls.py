"""Calls with a signed identity: certificates, requests, and the request as it leaves its domain."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ringfence.message import Request, parse
from ringfence.message.fields import date
from ringfence.security.canonical import Party
from ringfence.security.identity import Signer, sign_request
from ringfence.security.tnauth import Credential, credential_from
from ringfence.security.verification import Verdict
from tests.security.pki import NOW, Pair, issue, tn_list

ROOT = issue("Test root", ca=True)
INFO = "https://cert.example.com/1.pem"
ALICE, BOB = Party("uri", "sip:alice@example.net"), Party("uri", "sip:bob@example.com")
FINGERPRINT = (
    "4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:3E:4B:65:2E:7D:46:3F:54:42:CD:54:F1"
)


def format_date(seconds: float) -> str:
    return date.format_date(datetime.fromtimestamp(seconds, UTC))


def credential(pair: Pair) -> Credential:
    return credential_from(pair.pem or [pair.certificate], [ROOT.certificate], NOW)


def signer(pair: Pair, info: str = INFO, **options: Any) -> Signer:
    assert isinstance(pair.key, ec.EllipticCurvePrivateKey)
    return Signer(pair.key, info, credential(pair), **options)


DOMAIN = issue("example.com", ROOT, names=[x509.UniformResourceIdentifier("sip:example.com")])
CARRIER = issue("SHAKEN 709J", ROOT, numbers=tn_list(spc=["709J"]))
KNOWN: dict[str, Credential | None] = {INFO: credential(DOMAIN)}
CARRIER_KNOWN: dict[str, Credential | None] = {INFO: credential(CARRIER)}


def invite(
    caller: str = "<sip:bob@example.com>",
    callee: str = "<sip:alice@example.net>",
    uri: str = "sip:alice@example.net",
    date: str | None = format_date(NOW),
    sdp: str = "",
    call_id: str = "a84b4c76e66710",
) -> Request:
    lines = [
        f"INVITE {uri} SIP/2.0",
        "Via: SIP/2.0/TLS pc33.example.com;branch=z9hG4bKnashds8",
        "Max-Forwards: 70",
        f"To: {callee}",
        f"From: {caller};tag=1928301774",
        f"Call-ID: {call_id}",
        "CSeq: 314159 INVITE",
        *([f"Date: {date}"] if date is not None else []),
        *(["Content-Type: application/sdp"] if sdp else []),
        f"Content-Length: {len(sdp)}",
    ]
    message = parse("\r\n".join([*lines, "", sdp]).encode())
    assert isinstance(message, Request)
    return message


def signed(request: Request, by: Pair = DOMAIN, **options: Any) -> Request:
    """The request as it leaves the authentication service."""
    made = sign_request(request, signer(by), NOW, **options)
    assert made.reasons == ()
    for name, value in made.fields:
        request.headers.add(name, value)
    return request


def codes(verdict: Verdict) -> list[str]:
    return [reason.code for finding in verdict.findings for reason in finding.reasons]
