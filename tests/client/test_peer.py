"""Who is at the other end, and on what evidence."""

from __future__ import annotations

import pytest

from ringfence.client.peer import Evidence, callee, caller
from ringfence.message import Headers, Request, Response, parse_address


def request(*headers: tuple[str, str]) -> Request:
    return Request(
        "INVITE", "sip:bob@example.org", Headers([("From", '"A" <sip:al%69ce@example.org>;tag=1'), *headers])
    )


def test_a_from_is_a_claim() -> None:
    peer = caller(request(), trusted=True)
    assert (peer.identity, peer.display, peer.evidence) == ("sip:alice@example.org", "A", Evidence.CLAIMED)
    assert str(peer) == "A <sip:alice@example.org> (claimed)"


@pytest.mark.rfc("3325", "9.1")
@pytest.mark.parametrize(
    "value", ["<sip:alice@example.org>, <tel:+358401>", "<tel:+358401>, <sip:alice@example.org>"]
)
def test_our_server_asserts(value: str) -> None:
    peer = caller(request(("P-Asserted-Identity", value)), trusted=True)
    assert (peer.identity, peer.evidence) == ("sip:alice@example.org", Evidence.ASSERTED)


def test_a_number_alone() -> None:
    peer = caller(request(("P-Asserted-Identity", "<tel:+358401>")), trusted=True)
    assert peer.identity == "tel:+358401"


@pytest.mark.rfc("3325", "5")
def test_anybody_else_asserts_nothing() -> None:
    peer = caller(request(("P-Asserted-Identity", "<sip:queen@example.org>")), trusted=False)
    assert peer.identity == "sip:alice@example.org"


def test_an_assertion_that_cannot_be_read() -> None:
    assert caller(request(("P-Asserted-Identity", "<<")), trusted=True).evidence is Evidence.CLAIMED


@pytest.mark.parametrize(
    ("word", "trusted", "evidence"),
    [
        ('verified;evidence="a";by="b";who="sip:alice@example.org"', True, Evidence.ASSERTED),
        ('verified;evidence="a";by="b";who="sip:alice@example.org"', False, Evidence.CLAIMED),
        ('verified;evidence="a";by="b";who="sip:mallory@example.org"', True, Evidence.CLAIMED),
        ('verified;evidence="a";by="b"', True, Evidence.CLAIMED),
        ('unverified;evidence="a";by="b";who="sip:alice@example.org"', True, Evidence.CLAIMED),
        ('failed;evidence="a";by="b"', True, Evidence.CLAIMED),
        ('"', True, Evidence.CLAIMED),
    ],
)
def test_our_server_has_verified_the_from(word: str, trusted: bool, evidence: Evidence) -> None:
    assert caller(request(("Ringfence-Caller", word)), trusted=trusted).evidence is evidence


def test_anonymous() -> None:
    hidden = Request("INVITE", "sip:b@c", Headers([("From", "<sip:anonymous@anonymous.invalid>;tag=1")]))
    assert caller(hidden, trusted=True).anonymous


def test_whom_we_called() -> None:
    to = parse_address("<sips:bob@example.org>")
    assert callee(to)[:3] == ("sips:bob@example.org", "", Evidence.CALLED)
    answer = Response(200, None, Headers([("P-Asserted-Identity", "<sip:carol@example.org>")]))
    assert callee(to, answer, trusted=True).identity == "sip:carol@example.org"
    assert callee(to, answer).identity == "sips:bob@example.org"
