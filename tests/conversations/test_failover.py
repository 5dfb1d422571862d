"""Servers that are down, addresses that lead nowhere, requests too long for UDP (RFC 3263, RFC 3261 18.1.1)."""

from __future__ import annotations

import pytest

from ringfence.message import Request
from ringfence.transport.flow import Endpoint
from tests.conversations.network import Network
from tests.conversations.phones import Phone, network_is_quiet


@pytest.fixture
def servers(network: Network) -> tuple[Phone, Phone]:
    """Two servers of example.net over TCP."""
    network.names.service("_sip._tcp.example.net", (1, "a.example.net", 5060), (2, "b.example.net", 5060))
    network.names.host("a.example.net", "203.0.113.1")
    network.names.host("b.example.net", "203.0.113.2")
    return Phone(network, "a", "203.0.113.1", "TCP"), Phone(network, "b", "203.0.113.2", "TCP")


def message(alice: Phone, uri: str = "sip:dan@example.net", **more: bytes) -> Phone:
    """A MESSAGE of Alice that gets past the challenge."""
    alice >> alice.ask("MESSAGE", uri, **more) << 407  # type: ignore[arg-type]
    return alice >> alice.authorized()


@pytest.mark.rfc("3263", "4.3")
def test_a_503_means_the_next_server(alice: Phone, servers: tuple[Phone, Phone]) -> None:
    first, second = servers
    message(alice)
    first << "MESSAGE" >> first.answer(503)
    second << "MESSAGE"
    assert second.request.via.branch != first.last.via.branch
    second >> second.answer(200)
    alice << 200


@pytest.mark.rfc("3263", "4.3")
def test_a_server_that_takes_no_connection(
    network: Network, alice: Phone, servers: tuple[Phone, Phone]
) -> None:
    network.wires.dead.add(("TCP", Endpoint("203.0.113.1", 5060)))
    _, second = servers
    message(alice)
    second << "MESSAGE" >> second.answer(200)
    alice << 200


@pytest.mark.rfc("3263", "4.3")
def test_a_server_that_does_not_answer(network: Network, alice: Phone, servers: tuple[Phone, Phone]) -> None:
    first, second = servers
    alice >> alice.invite("sip:dan@example.net") << 407 >> alice.ack() >> alice.authorized() << 100
    first << "INVITE"
    network.wait(33)
    second << "INVITE" >> second.answer(200)
    alice << 200
    message(alice)  # does not wait for it again
    second << "MESSAGE" >> second.answer(200)
    alice << 200


@pytest.mark.rfc("3263", "4.3")
def test_a_server_that_has_begun_to_answer_is_kept(
    network: Network, alice: Phone, servers: tuple[Phone, Phone]
) -> None:
    first, second = servers
    alice >> alice.invite("sip:dan@example.net") << 407 >> alice.ack() >> alice.authorized() << 100
    first << "INVITE" >> first.answer(180)
    alice << 180
    first.arrived_by.close("broken")
    network.settle()
    alice << 500
    network_is_quiet(second)


@pytest.mark.rfc("3261", "16.7")
def test_when_all_are_down_the_answer_is_no_503(
    network: Network, alice: Phone, servers: tuple[Phone, Phone]
) -> None:
    first, second = servers
    message(alice)
    first << "MESSAGE" >> first.answer(503, ("Retry-After", "600"))
    second << "MESSAGE" >> second.answer(503, ("Retry-After", "600"))
    alice << 500
    assert "Retry-After" not in alice.response.headers


@pytest.mark.rfc("3261", "16.6")
def test_a_domain_that_has_no_address(alice: Phone) -> None:
    message(alice, "sip:dan@nowhere.example") << 500
    assert "no address" in alice.response.reason
    assert alice.response.to.tag


def test_a_domain_that_the_dns_is_asked_for(network: Network, alice: Phone) -> None:
    network.names.slow = True
    message(alice)
    network_is_quiet(alice)
    network.names.host("example.net", "203.0.113.9")
    dan = Phone(network, "dan", "203.0.113.9", domain="example.net")
    network.answer_names()
    dan << "MESSAGE" >> dan.answer(200)
    alice << 200


@pytest.mark.rfc("3263", "4.1")
def test_the_best_transport_of_a_domain_is_taken(network: Network, alice: Phone) -> None:
    network.names.service("_sip._udp.example.net", (1, "u.example.net", 5060))
    network.names.service("_sips._tcp.example.net", (1, "t.example.net", 5061))
    network.names.host("t.example.net", "203.0.113.5")
    dan = Phone(network, "dan", "203.0.113.5", "TLS", domain="example.net")
    message(alice)
    dan << "MESSAGE"
    # What the server has to prove is the domain, not the name that DNS gave (RFC 5922 section 7.3).
    assert network.wires.dialled[-1] == ("TLS", ("203.0.113.5", 5061), "example.net")


# -- size ----------------------------------------------------------------------------------------------

LONG = b"x" * 1000


@pytest.fixture
def dan(network: Network) -> Phone:
    network.names.host("example.net", "203.0.113.9")
    return Phone(network, "dan", "203.0.113.9", domain="example.net")


@pytest.mark.rfc("3261", "18.1.1")
def test_a_long_request_goes_by_tcp(alice: Phone, dan: Phone) -> None:
    message(alice, body=LONG)
    dan << "MESSAGE"
    assert dan.request.via.transport == "TCP"
    message(alice, body=b"short")
    dan << "MESSAGE"
    assert dan.request.via.transport == "UDP"


@pytest.mark.rfc("3261", "18.1.1")
def test_and_by_udp_where_there_is_no_tcp(network: Network, alice: Phone, dan: Phone) -> None:
    network.wires.dead.add(("TCP", Endpoint("203.0.113.9", 5060)))
    message(alice, body=LONG)
    dan << "MESSAGE"
    assert dan.request.via.transport == "UDP"


@pytest.mark.rfc("3261", "18.1.1")
@pytest.mark.parametrize("uri", ["sip:dan@203.0.113.9", "sip:dan@203.0.113.9:5060"])
def test_also_to_an_address(alice: Phone, dan: Phone, uri: str) -> None:
    message(alice, uri, body=LONG)
    dan << "MESSAGE"
    assert dan.request.via.transport == "TCP"


def test_a_transport_that_was_asked_for_is_kept(alice: Phone, dan: Phone) -> None:
    message(alice, "sip:dan@203.0.113.9;transport=udp", body=LONG)
    dan << "MESSAGE"
    assert dan.request.via.transport == "UDP"


@pytest.mark.rfc("3261", "18.1.1")
def test_a_long_request_whose_domain_the_dns_is_asked_for(network: Network, alice: Phone, dan: Phone) -> None:
    network.names.slow = True
    message(alice, body=LONG)
    network.answer_names()
    network.answer_names()
    dan << "MESSAGE"
    assert dan.request.via.transport == "TCP"


# -- one bad contact -----------------------------------------------------------------------------------


def test_a_contact_that_leads_nowhere_spoils_nothing(network: Network, bob: Phone, dan: Phone) -> None:
    extra = bob.register(contact="<sip:bob@nowhere.example>", call_id="extra")
    bob >> extra << 401 >> bob.authorized() << 200
    dan >> dan.invite("sip:bob@example.org") << 100
    bob << "INVITE" >> bob.answer(200)
    dan << 200


def test_a_path_that_cannot_be_followed_spoils_nothing(network: Network, bob: Phone, dan: Phone) -> None:
    path = [("Supported", "path"), ("Path", "<tel:+358;lr>")]
    extra = bob.register(*path, contact="<sip:bob@198.51.100.77>", call_id="extra")
    bob >> extra << 401 >> bob.authorized() << 200
    dan >> dan.invite("sip:bob@example.org") << 100
    bob << "INVITE" >> bob.answer(486)
    dan << 486
    assert not [
        message for message in network.traffic if isinstance(message, Request) and message.uri == "tel:+358"
    ]
