"""Who has answered is told inside the dialog, signed or asserted like any caller (RFC 4916)."""

from __future__ import annotations

import pytest

from ringfence.message import Request, parse_uri
from ringfence.security.canonical import Party
from ringfence.security.verification import verify_request
from tests.conversations.network import Network
from tests.conversations.phones import Phone
from tests.conversations.strangers import (
    ATLANTA,
    OURS,
    credential,
    now_of,
    proved,
    signed,
    signing,
    verification,
)

ASSERTED = "P-Asserted-Identity"


@pytest.fixture
def caller(network: Network) -> Phone:
    """Alice's phone, by TLS, and registered."""
    alice = Phone(network, "alice", "198.51.100.10", "TLS")
    alice >> alice.register() << 401 >> alice.authorized() << 200
    return alice


@pytest.fixture
def callee(network: Network) -> Phone:
    """Bob's phone, by TLS, and registered."""
    bob = Phone(network, "bob", "198.51.100.20", "TLS")
    bob >> bob.register() << 401 >> bob.authorized() << 200
    return bob


@pytest.fixture
def erin(network: Network) -> Phone:
    """The server of another domain, where Carol of atlanta.example answers."""
    network.names.host("elsewhere.example", "203.0.113.50")
    network.services.verification = verification()
    network.services.signing = signing()
    return Phone(network, "erin", "203.0.113.50", "TLS", domain="elsewhere.example")


def answered(caller: Phone, callee: Phone, uri: str) -> None:
    """A call that is up."""
    caller >> caller.invite(uri) << 100
    callee << "INVITE" >> callee.answer(200)
    caller << 200
    caller.begin()


def update(phone: Phone, who: str) -> Request:
    """An UPDATE that says who is there."""
    request = phone.within("UPDATE")
    request.headers.set("From", f"<{who}>;tag={request.from_.tag}")
    return request


@pytest.mark.rfc("4916", "4.2")
def test_a_user_of_ours_is_asserted_to_another_one(caller: Phone, callee: Phone) -> None:
    answered(caller, callee, "sip:bob@example.org")
    callee >> callee.within("UPDATE")
    caller << "UPDATE"
    assert caller.request.headers.values(ASSERTED) == ["<sip:bob@example.org>"]


def test_nobody_is_asserted_who_has_not_proved_it(caller: Phone, callee: Phone) -> None:
    answered(caller, callee, "sip:bob@example.org")
    callee >> update(callee, "sip:boss@example.org")
    caller << "UPDATE"
    assert ASSERTED not in caller.request.headers
    pretended = callee.within("UPDATE", (ASSERTED, "<sip:boss@example.org>"))
    pretended.headers.set("From", f"<sip:boss@example.org>;tag={pretended.from_.tag}")
    callee >> pretended
    caller << "UPDATE"
    assert ASSERTED not in caller.request.headers


@pytest.mark.rfc("3325", "7")
def test_who_keeps_it_private_is_not_told(caller: Phone, callee: Phone) -> None:
    answered(caller, callee, "sip:bob@example.org")
    callee >> callee.within("UPDATE", ("Privacy", "id"))
    caller << "UPDATE"
    assert ASSERTED not in caller.request.headers


@pytest.mark.rfc("3325", "7")
def test_a_stranger_on_a_connection_is_told_nothing(network: Network, callee: Phone) -> None:
    dan = Phone(network, "dan", "203.0.113.9", "TLS", domain="example.net")
    answered(dan, callee, "sip:bob@example.org")
    callee >> callee.within("UPDATE")
    dan << "UPDATE"
    assert ASSERTED not in dan.request.headers


@pytest.mark.rfc("4916", "4.5")
@pytest.mark.rfc("8224", "6.1")
def test_who_of_us_has_answered_is_signed_where_it_leaves(
    network: Network, callee: Phone, erin: Phone
) -> None:
    erin.contact = "sip:erin@elsewhere.example;transport=tls"
    invite = erin.invite("sip:bob@example.org", ("Record-Route", "<sip:elsewhere.example;transport=tls;lr>"))
    invite.headers.prepend("Via", "SIP/2.0/TLS elsewhere.example;branch=z9hG4bKproxy")
    erin >> invite << 100
    callee << "INVITE" >> callee.answer(200)
    erin << 200
    callee >> callee.within("UPDATE")
    erin << "UPDATE"
    verdict = verify_request(
        erin.request, {"https://example.org/cert.pem": credential(OURS)}, now_of(network)
    )
    assert verdict.who == Party("uri", "sip:bob@example.org")


@pytest.mark.rfc("4916", "4.5")
def test_a_server_that_is_reached_by_its_own_connection_is_no_phone_of_ours(
    network: Network, callee: Phone, erin: Phone
) -> None:
    """One that hides its topology: its call looks as if a phone had sent it, and is answered on the same connection."""
    erin >> erin.invite("sip:bob@example.org") << 100
    callee << "INVITE" >> callee.answer(200)
    erin << 200
    callee >> callee.within("UPDATE")
    erin << "UPDATE"
    known = {"https://example.org/cert.pem": credential(OURS)}
    verdict = verify_request(erin.request, known, now_of(network))
    assert verdict.who == Party("uri", "sip:bob@example.org")


def test_between_two_of_ours_nothing_is_signed(network: Network, caller: Phone, callee: Phone) -> None:
    network.services.signing = signing()
    answered(caller, callee, "sip:bob@example.org")
    callee >> callee.within("UPDATE")
    caller << "UPDATE"
    assert "Identity" not in caller.request.headers


@pytest.mark.rfc("3261", "26.3.2.2")
def test_the_connection_of_a_domain_tells_who_has_answered_there(network: Network, caller: Phone) -> None:
    """Between domains that sign nothing: the certificate of the connection is for the domain."""
    network.names.host("atlanta.example", "203.0.113.50")
    network.services.verification = verification()
    server = Phone(network, "carol", "203.0.113.50", "TLS", domain="atlanta.example", peer=proved(ATLANTA))
    answered(caller, server, "sip:sales@atlanta.example;transport=tls")
    server >> update(server, "sip:carol@atlanta.example")
    caller << "UPDATE"
    told = caller.request.headers.get("Ringfence-Caller") or ""
    assert told.startswith('verified;evidence="TLS certificate for atlanta.example"')
    assert told.endswith(';who="sip:carol@atlanta.example"')
    caller >> caller.answer(200)
    server << 200
    server >> update(server, "sip:carol@elsewhere.example")
    caller << "UPDATE"
    assert "Ringfence-Caller" not in caller.request.headers


@pytest.mark.rfc("4916", "4.6")
@pytest.mark.rfc("8224", "6.2")
def test_who_has_answered_elsewhere_is_verified_and_told(
    network: Network, caller: Phone, erin: Phone
) -> None:
    answered(caller, erin, "sip:erin@elsewhere.example;transport=tls")
    erin >> signed(network, update(erin, "sip:carol@atlanta.example"))
    caller << "UPDATE"
    assert caller.request.headers.values(ASSERTED) == [
        "<sip:carol@atlanta.example;verstat=TN-Validation-Passed>"
    ]
    assert (caller.request.headers.get("Ringfence-Caller") or "").startswith("verified;")
    caller >> caller.answer(200)
    erin << 200
    forged = signed(network, update(erin, "sip:carol@atlanta.example"))
    forged.headers.set("From", f"<sip:dave@atlanta.example>;tag={forged.from_.tag}")
    erin >> forged << 438
    erin >> update(erin, "sip:carol@atlanta.example")
    caller << "UPDATE"
    assert ASSERTED not in caller.request.headers
    assert parse_uri("sip:carol@atlanta.example") == caller.request.from_.uri
