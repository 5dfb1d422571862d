"""Responses whose flow is gone when they are to be sent (RFC 3261 section 18.2.2, RFC 3263 section 5)."""

from __future__ import annotations

import pytest

from ringfence.message import Request
from ringfence.transport.answers import MAX_REFUSED
from ringfence.transport.flow import Endpoint
from tests.conversations.network import Network
from tests.conversations.phones import Phone, network_is_quiet

PROXY = "proxy.example.net"
SOURCE = Endpoint("203.0.113.9", 5070)


@pytest.fixture
def dan(network: Network) -> Phone:
    """A proxy of example.net, by TCP; DNS knows it, and two others that take its place."""
    network.names.service(f"_sip._tcp.{PROXY}", (1, "a.example.net", 5060), (2, "b.example.net", 5066))
    network.names.service(f"_sip._udp.{PROXY}", (1, "a.example.net", 5060), (2, "b.example.net", 5066))
    network.names.host("a.example.net", "203.0.113.1")
    network.names.host("b.example.net", "203.0.113.2")
    return Phone(network, "dan", SOURCE.host, "TCP", domain="example.net")


@pytest.fixture
def others(network: Network) -> tuple[Phone, Phone]:
    return Phone(network, "a", "203.0.113.1", "TCP"), Phone(network, "b", "203.0.113.2", "TCP")


def asks(dan: Phone, bob: Phone, sent_by: str, transport: str = "TCP") -> Request:
    """A MESSAGE that has reached Bob; its Via names this place."""
    request = dan.ask("MESSAGE", "sip:bob@example.org")
    request.headers.set("Via", f"SIP/2.0/{transport} {sent_by};branch=z9hG4bK{dan.tag}")
    dan >> request
    bob << "MESSAGE"
    return request


@pytest.mark.rfc("3261", "18.2.2")
def test_a_new_connection_to_where_it_came_from_at_the_port_of_the_via(
    network: Network, dan: Phone, bob: Phone
) -> None:
    asks(dan, bob, f"{PROXY}:5070")
    dan.wire.close("gone")
    network.settle()
    bob >> bob.answer(200)
    dan << 200
    assert dan.arrived_by.remote == SOURCE
    assert network.wires.dialled[-1] == ("TCP", SOURCE, PROXY)


@pytest.mark.rfc("3263", "5")
def test_when_that_takes_none_the_servers_of_the_sent_by_are_asked(
    network: Network, dan: Phone, bob: Phone, others: tuple[Phone, Phone]
) -> None:
    asks(dan, bob, PROXY)
    dan.wire.close("gone")
    network.wires.dead.add(("TCP", Endpoint(SOURCE.host, 5060)))
    network.settle()
    bob >> bob.answer(200)
    network.settle()
    first, second = others
    first << 200
    network_is_quiet(dan, second)


@pytest.mark.rfc("3263", "5")
def test_one_after_another(network: Network, dan: Phone, bob: Phone, others: tuple[Phone, Phone]) -> None:
    asks(dan, bob, PROXY)
    dan.wire.close("gone")
    network.wires.dead |= {("TCP", Endpoint(SOURCE.host, 5060)), ("TCP", Endpoint("203.0.113.1", 5060))}
    network.settle()
    bob >> bob.answer(200)
    network.settle()
    first, second = others
    second << 200
    assert second.arrived_by.remote == ("203.0.113.2", 5066)
    network_is_quiet(first)


def test_a_response_with_nowhere_to_go_is_given_up_and_counted(
    network: Network, dan: Phone, bob: Phone
) -> None:
    asks(dan, bob, "nowhere.example.net:5070")
    dan.wire.close("gone")
    network.wires.dead.add(("TCP", SOURCE))
    network.settle()
    bob >> bob.answer(200)
    network.settle()
    network_is_quiet(dan)
    assert network.driver.counts["responses undelivered"] == 1


@pytest.mark.rfc("3263", "5")
def test_a_datagram_that_is_refused(network: Network, bob: Phone, others: tuple[Phone, Phone]) -> None:
    """The network reports that nobody is there any more; whoever has taken over is asked for in DNS."""
    network.names.service(f"_sip._udp.{PROXY}", (1, "a.example.net", 5060))
    network.names.host("a.example.net", "203.0.113.1")
    dan = Phone(network, "dan", SOURCE.host, domain="example.net")
    asks(dan, bob, PROXY, "UDP")
    bob >> bob.answer(200)
    dan << 200
    network.driver.closed(dan.wire, "connection refused")
    first, _ = others
    first << 200
    assert first.arrived_by.transport == "UDP"


def test_looks_through_all_transactions_are_seldom(
    network: Network, bob: Phone, others: tuple[Phone, Phone]
) -> None:
    network.names.service(f"_sip._udp.{PROXY}", (1, "a.example.net", 5060))
    network.names.host("a.example.net", "203.0.113.1")
    dan = Phone(network, "dan", SOURCE.host, domain="example.net")
    asks(dan, bob, PROXY, "UDP")
    bob >> bob.answer(200)
    dan << 200
    for _ in range(5):
        network.driver.closed(dan.wire, "connection refused")
    first, _ = others
    first << 200
    network_is_quiet(first)


def test_who_asks_much_and_goes_has_few_answers_go_elsewhere(
    network: Network, bob: Phone, others: tuple[Phone, Phone]
) -> None:
    """Each look for another way asks the DNS and sends: not once for each of a thousand transactions, each second."""
    network.names.service(f"_sip._udp.{PROXY}", (1, "a.example.net", 5060))
    network.names.host("a.example.net", "203.0.113.1")
    dan = Phone(network, "dan", SOURCE.host, domain="example.net")
    for number in range(3 * MAX_REFUSED):
        request = dan.ask("MESSAGE", "sip:bob@example.org")
        request.headers.set("Via", f"SIP/2.0/UDP {PROXY};branch=z9hG4bK{number}")
        dan >> request
        bob << "MESSAGE"
        bob >> bob.answer(202)
        dan << 202
    network.driver.closed(dan.wire, "connection refused")
    first, _ = others
    for number in range(MAX_REFUSED):
        first << 202
        assert first.response.via.branch == f"z9hG4bK{3 * MAX_REFUSED - number - 1}"
    network_is_quiet(first)


def test_a_challenge_does_not_follow_where_the_via_points(
    network: Network, others: tuple[Phone, Phone]
) -> None:
    """Whoever asks and goes can't have the node write to somebody else."""
    network.names.service(f"_sip._tcp.{PROXY}", (1, "a.example.net", 5060))
    network.names.host("a.example.net", "203.0.113.1")
    eve = Phone(network, "eve", "203.0.113.66", "TCP", domain="example.net")
    network.wires.dead.add(("TCP", Endpoint("203.0.113.66", 5060)))
    request = eve.ask("MESSAGE", "sip:victim@203.0.113.1")
    request.headers.set("Via", f"SIP/2.0/TCP {PROXY};branch=z9hG4bKeve")
    eve.wire._closed = True  # it has gone while its request was read
    network.deliver(request, eve.wire)
    network.settle()
    network_is_quiet(*others, eve)
