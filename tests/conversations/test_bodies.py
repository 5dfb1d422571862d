"""Destinations that want bodies signed or encrypted, and what is said of those that are."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from structlog.testing import capture_logs

from ringfence.message import Request
from ringfence.roles.bodies import Body, Exposure, Rule, body_kind
from ringfence.roles.signatures import Authorities
from ringfence.security.cms import AES256_CBC
from ringfence.security.cms_signed import Signatory
from ringfence.security.smime import encrypted_body, entity_of, put_body, signed_body
from tests.conversations.network import WALL, Network
from tests.conversations.phones import Phone
from tests.security.bodies import opaque_body
from tests.security.pki import Pair, issue

BOB = "sip:bob@example.org"
PAIR = issue("bob", names=[x509.UniformResourceIdentifier(BOB)], start=WALL - 60)
OWN = Signatory(PAIR.key, PAIR.certificate)


def protected(request: Request, how: str) -> Request:
    entity = entity_of(request)
    made = {
        "signed": lambda: signed_body(entity, [OWN], WALL, "boundary"),
        "opaque": lambda: opaque_body(entity, [OWN], WALL),
        "encrypted": lambda: encrypted_body(entity, [PAIR.certificate]),
        "encrypted for older peers": lambda: encrypted_body(entity, [PAIR.certificate], AES256_CBC),
    }
    put_body(request, made[how]())
    return request


@pytest.fixture
def alice(network: Network) -> Phone:
    alice = Phone(network, "alice", "198.51.100.10", "TLS")
    alice >> alice.register() << 401 >> alice.authorized() << 200
    return alice


@pytest.mark.parametrize("to", ["*", "example.org", BOB])
@pytest.mark.parametrize(
    ("require", "how", "passes"),
    [
        (Body.SIGNED, None, False),
        (Body.SIGNED, "signed", True),
        (Body.SIGNED, "opaque", True),
        (Body.SIGNED, "encrypted", True),
        (Body.ENCRYPTED, None, False),
        (Body.ENCRYPTED, "signed", False),
        (Body.ENCRYPTED, "opaque", False),
        (Body.ENCRYPTED, "encrypted", True),
        (Body.ENCRYPTED, "encrypted for older peers", True),
    ],
)
def test_a_destination_demands(
    network: Network, alice: Phone, bob: Phone, to: str, require: Body, how: str | None, passes: bool
) -> None:
    network.policy.bodies = (Rule(to, require),)
    request = alice.invite(BOB)
    alice >> (protected(request, how) if how else request)
    if passes:
        alice << 100
        bob << "INVITE"
        assert bob.request.body == request.body
        return
    alice << 403
    assert f"must be {require} end to end" in (alice.response.headers.get("Warning") or "")
    assert not bob.inbox


@pytest.mark.parametrize(
    ("uri", "to"),
    [
        (BOB, "<sip:somebody@example.net>"),
        ("sip:bob@example.com", "<sip:bob@example.com>"),
        ("sips:bob@EXAMPLE.org", "<sips:x@y.example>"),
    ],
)
def test_no_other_spelling_gets_around_it(
    network: Network, alice: Phone, bob: Phone, uri: str, to: str
) -> None:
    network.policy.bodies = (Rule(BOB, Body.ENCRYPTED),)
    alice >> alice.invite(uri, to=to) << 403


def test_others_are_not_concerned(network: Network, alice: Phone, bob: Phone) -> None:
    network.policy.bodies = (Rule("sip:board@example.org", Body.ENCRYPTED), Rule("example.net", Body.SIGNED))
    alice >> alice.invite(BOB) << 100
    bob << "INVITE"


def test_a_call_without_an_offer_may_pass(network: Network, alice: Phone, bob: Phone) -> None:
    network.policy.bodies = (Rule("*", Body.ENCRYPTED),)
    alice >> alice.invite(BOB, body=b"") << 100
    bob << "INVITE"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/pkcs7-mime; smime-type=enveloped-data", b"v=0\r\n"),
        ("multipart/signed; boundary=x", b"--x\r\n\r\nv=0\r\n--x--\r\n"),
        ("multipart/signed; boundary=x", b"v=0\r\n"),
        ("multipart/signed", b"v=0\r\n"),
        ("application/sdp", b"v=0\r\n"),
    ],
)
def test_a_name_does_not_protect(content_type: str, body: bytes, alice: Phone) -> None:
    request = alice.invite(BOB)
    request.set_body(body, content_type)
    assert body_kind(request) is Body.OPEN


def test_the_log_says_who_could_read_and_who_could_change(network: Network, alice: Phone, bob: Phone) -> None:
    with capture_logs() as lines:
        alice >> protected(alice.invite(BOB), "encrypted") << 100
    told = next(line for line in lines if line["event"] == "protected end to end")
    assert "the body: the other end alone" in told["read"]
    assert told["change"].endswith("nobody unnoticed, where it is signed inside or sealed (AES-GCM)")
    assert told["limits"] == "no media relay, no scan for malware, no hiding of addresses in the body"


@pytest.mark.parametrize(
    ("exposure", "said"),
    [
        (
            Exposure(True, True, Body.OPEN),
            "could read all of it: the servers on the way; could change all of it: the servers on the way",
        ),
        (
            Exposure(True, False, Body.SIGNED),
            "could read all of it: the servers on the way and whoever listens beyond this hop; could change header "
            "fields that no copy inside protects: the servers on the way and whoever is between them; the body: "
            "nobody unnoticed; no media relay and no hiding of addresses in the body: it would break the signature",
        ),
        (
            Exposure(False, False, Body.ENCRYPTED),
            "could read header fields: the servers on the way and whoever listens on this hop; the body: the other end "
            "alone; could change header fields that no copy inside protects: the servers on the way and whoever is "
            "between them; the body: nobody unnoticed, where it is signed inside or sealed (AES-GCM); "
            "no media relay, no scan for malware, no hiding of addresses in the body",
        ),
    ],
)
def test_the_verdict_in_words(exposure: Exposure, said: Any) -> None:
    assert str(exposure) == said


# -- signatures ----------------------------------------------------------------------------------------

ROOT = issue("Our CA", ca=True, start=WALL - 60)
ALICE_URI = "sip:alice@example.org"


def signed_by(request: Request, name: str, root: Pair | None = ROOT) -> Request:
    pair = issue(name, root, names=[x509.UniformResourceIdentifier(name)], start=WALL - 60)
    put_body(request, signed_body(entity_of(request), [Signatory(pair.key, pair.certificate)], WALL, "b"))
    return request


@pytest.fixture
def verifying(network: Network) -> Network:
    network.policy.bodies = (Rule(BOB, Body.SIGNED, verify=True),)
    network.policy.authorities = Authorities((ROOT.certificate,))
    return network


@pytest.mark.rfc("3261", "23.3")
def test_a_good_signature_passes_and_is_told(verifying: Network, alice: Phone, bob: Phone) -> None:
    with capture_logs() as lines:
        alice >> signed_by(alice.invite(BOB), ALICE_URI) << 100
    bob << "INVITE"
    told = next(line for line in lines if line["event"] == "protected end to end")
    assert told["signature"] == f"signed by {ALICE_URI}"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda request: signed_by(request, "sip:mallory@example.org"), "the certificate is for sip:mallory"),
        (lambda request: signed_by(request, ALICE_URI, None), "its signature is not good"),
        (lambda request: changed(signed_by(request, ALICE_URI)), "the content is not what was signed"),
    ],
    ids=["somebody else's", "nobody vouches", "changed"],
)
def test_a_signature_that_is_not_good_is_refused(
    verifying: Network, alice: Phone, bob: Phone, spoil: Any, said: str
) -> None:
    alice >> spoil(alice.invite(BOB)) << 403
    assert said in (alice.response.headers.get("Warning") or "")
    assert not bob.inbox


def changed(request: Request) -> Request:
    request.body = request.body.replace(b"m=audio 4000", b"m=audio 4002")
    return request


def test_nothing_is_verified_in_what_is_encrypted(verifying: Network, alice: Phone, bob: Phone) -> None:
    with capture_logs() as lines:
        alice >> protected(alice.invite(BOB), "encrypted") << 100
    bob << "INVITE"
    assert next(line for line in lines if line["event"] == "protected end to end")["signature"] == "hidden"


@pytest.mark.parametrize(
    ("exposure", "facts"),
    [
        (Exposure(True, True, Body.OPEN), ("servers", "servers")),
        (Exposure(True, False, Body.SIGNED), ("servers and listeners", "nobody")),
        (Exposure(False, False, Body.ENCRYPTED), ("the other end", "nobody")),
    ],
)
def test_the_verdict_for_the_ledger(exposure: Exposure, facts: tuple[str, str]) -> None:
    assert exposure.facts == facts
