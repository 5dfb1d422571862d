"""No octet of a protected message may change unnoticed, and nothing that arrives may do harm."""

from __future__ import annotations

import time
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence.client.certificates import Certificates
from ringfence.client.peer import Evidence, caller
from ringfence.client.protection import Protection, Wish
from ringfence.client.secure import Secure, judged
from ringfence.message import Headers, PeerError, Request, sip_uri
from ringfence.message.multipart import join, make_entity
from ringfence.security.smime import certificates_body, put_body
from tests.client.keys import authority, person, smime

ALICE, BOB = "sip:alice@example.org", "sip:bob@example.org"
SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
_numbers = count(1)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Pair:
    def __init__(self, directory: Path) -> None:
        root = authority(directory)

        def side(name: str, address: str) -> Secure:
            settings = smime(directory / name, person(address, root), trust=directory / "people.pem")
            return Secure(Certificates(settings), lambda: f"token{next(_numbers)}")

        self.alice, self.bob = side("alice", ALICE), side("bob", BOB)
        own = self.bob.certificates.own
        assert own is not None
        self.alice.certificates.accept(sip_uri(BOB), own.certificate)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(tmp_path_factory.mktemp("pair"))


def invite() -> Request:
    number = next(_numbers)
    fields = [
        ("Via", f"SIP/2.0/TLS 192.0.2.1;branch=z9hG4bK{number}"),
        ("From", f"<{ALICE}>;tag=a"),
        ("To", f"<{BOB}>"),
        ("Call-ID", f"call{number}"),
        ("CSeq", "1 INVITE"),
        ("Contact", "<sip:alice@192.0.2.1>"),
        ("Subject", "Lunch"),
    ]
    request = Request("INVITE", BOB, Headers(fields))
    request.set_body(SDP, "application/sdp")
    return request


def opened_by(secure: Secure, request: Request) -> tuple[Request, Protection | None] | None:
    """What is inside; None for what is refused."""
    status = 0
    try:
        return secure.open(request)
    except PeerError as error:
        status = error.status
    assert status in (400, 413, 415, 493)
    return None


def sent(pair: Pair, wish: Wish) -> Request:
    request = invite()
    pair.alice.protect(request, wish)
    return request


@pytest.mark.parametrize(
    "wish", [Wish(sign=True), Wish(tunnel=True), Wish(sign=True, encrypt=True, tunnel=True)]
)
@QUICK
@given(place=st.integers(0, 10_000), octet=st.integers(1, 255))
def test_an_octet_that_changed_is_noticed(pair: Pair, wish: Wish, place: int, octet: int) -> None:
    request = sent(pair, wish)
    body = bytearray(request.body)
    body[place % len(body)] ^= octet
    request.body = bytes(body)
    found = opened_by(pair.bob, request)
    if found is None:
        return
    opened, protection = found
    assert protection is not None
    if judged(caller(opened, trusted=False), protection).evidence is Evidence.CLAIMED:
        assert protection.warnings, "a signature that does not count, and nobody is told why"
        return
    # What was hit is outside what is signed: a boundary's line, or the certificate, which then is one that nobody
    # vouches for.
    assert protection.intact
    assert opened.body == SDP
    assert protection.changed == ()


@QUICK
@given(st.binary(max_size=2_000), st.sampled_from(["application/pkcs7-mime", "multipart/signed; boundary=x"]))
def test_any_octets_give_a_message_or_an_error(pair: Pair, body: bytes, content_type: str) -> None:
    request = invite()
    request.set_body(body, content_type)
    found = opened_by(pair.bob, request)
    assert found is None or found[1] is None or not found[1].intact


def test_large_and_nested_bodies_are_bounded(pair: Pair) -> None:
    request = invite()
    request.set_body(bytes(1 << 19), "application/pkcs7-mime")
    with pytest.raises(PeerError) as caught:
        pair.bob.open(request)
    assert caught.value.status == 413
    request = invite()
    for _ in range(6):
        pair.alice.protect(request, Wish(sign=True))
    with pytest.raises(PeerError, match="nest"):
        pair.bob.open(request)
    entity = make_entity("text/plain", b"x")
    for number in range(40):
        entity = join([entity], f"b{number}", "mixed")
    request = invite()
    put_body(request, entity)
    with pytest.raises(PeerError, match="nest"):
        pair.bob.open(request)


def test_certificates_alone_are_no_session(pair: Pair) -> None:
    request = invite()
    put_body(request, certificates_body(pair.alice.certificates.shown()))
    opened, protection = pair.bob.open(request)
    assert opened.body == b""
    assert protection is not None
    assert not protection.signed


def test_an_old_copy_is_told(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    request = sent(pair, Wish(tunnel=True))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 7_200)
    _, protection = pair.bob.open(request)
    assert protection is not None
    assert protection.warnings[0].endswith("s old")
