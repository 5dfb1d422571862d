"""How the node knows itself, and what it calls itself."""

from __future__ import annotations

import pytest

from ringfence.message import SipUri, sip_uri
from ringfence.roles.addresses import Addresses, Listener
from ringfence.transport.flow import Endpoint
from tests.conversations.network import Network, Wire


def addresses(*listeners: Listener, names: tuple[str, ...] = ("example.org",)) -> Addresses:
    return Addresses(list(listeners), frozenset(names))


UDP = Listener("UDP", "192.0.2.1", 5060, "192.0.2.1")
TLS = Listener("TLS", "0.0.0.0", 5061, "sip.example.org")
UDP6 = Listener("UDP", "2001:db8::1", 5060, "[2001:db8::1]")
ODD = Listener("UDP", "192.0.2.1", 5080, "192.0.2.1")


def means(known: Addresses, text: str) -> bool:
    uri = sip_uri(text)
    assert isinstance(uri, SipUri)
    return known.means_us(uri)


@pytest.mark.parametrize(
    "text",
    ["sip:example.org", "sip:x@EXAMPLE.org:5060", "sip:192.0.2.1", "sip:192.0.2.1:5061", "sips:sip.example.org",
     "sip:[2001:db8::1]", "sip:[2001:DB8:0:0::1]:5060;lr"],
)  # fmt: skip
def test_what_means_us(text: str) -> None:
    assert means(addresses(UDP, TLS, UDP6), text)


@pytest.mark.parametrize(
    "text",
    ["sip:example.net", "sip:sub.example.org", "sip:example.org:5070", "sip:192.0.2.2", "sip:[2001:db8::2]",
     "sip:0.0.0.0"],
)  # fmt: skip
def test_what_does_not(text: str) -> None:
    assert not means(addresses(UDP, TLS, UDP6), text)


def test_another_server_may_have_the_usual_port_of_our_address() -> None:
    known = addresses(ODD)
    assert means(known, "sip:192.0.2.1:5080")
    assert not means(known, "sip:192.0.2.1")
    assert means(known, "sip:example.org")  # a name is ours whatever the port


def wire(transport: str, host: str, local: str) -> Wire:
    made = Wire(Network(), transport, Endpoint(host, 40_000))
    made.local = Endpoint(local, 33_333)
    return made


@pytest.mark.rfc("3261", "18.1.1")
@pytest.mark.parametrize(
    ("transport", "remote", "local", "said"),
    [
        ("UDP", "198.51.100.1", "192.0.2.1", "192.0.2.1:5060"),
        ("UDP", "2001:db8::9", "2001:db8::1", "[2001:db8::1]:5060"),
        ("TLS", "198.51.100.1", "192.0.2.7", "sip.example.org:5061"),
        ("TLS", "127.0.0.1", "127.0.0.1", "127.0.0.1:5061"),
        ("TLS", "::1", "::1", "[::1]:5061"),
        ("TCP", "198.51.100.1", "192.0.2.1", "192.0.2.1:33333"),
    ],
)
def test_what_a_via_says(transport: str, remote: str, local: str, said: str) -> None:
    """A port that we listen on, where there is one; a wildcard's name, but not towards loopback."""
    assert addresses(UDP, TLS, UDP6).sent_by(wire(transport, remote, local)) == said


def test_the_listener_of_the_very_address_is_best() -> None:
    other = Listener("UDP", "192.0.2.9", 5090, "192.0.2.9")
    assert addresses(UDP, other).sent_by(wire("UDP", "198.51.100.1", "192.0.2.9")) == "192.0.2.9:5090"


def test_a_listener_on_all_addresses_is_at_those_of_loopback_and_at_those_that_it_has_told() -> None:
    known = addresses(Listener("TLS", "0.0.0.0", 5061, "0.0.0.0"))
    assert means(known, "sips:127.0.0.1:5061;lr")
    assert not means(known, "sips:192.0.2.7:5061;lr")
    assert known.sent_by(wire("TLS", "198.51.100.9", "192.0.2.7")) == "192.0.2.7:5061"
    assert means(known, "sips:192.0.2.7:5061;lr")


def test_a_route_that_means_the_place_it_came_to_is_ours_though_nothing_has_been_told() -> None:
    known = addresses(Listener("TLS", "0.0.0.0", 5061, "localhost"))
    flow = Wire(Network(), "TLS", Endpoint("198.51.100.9", 40_000))
    flow.local = Endpoint("192.0.2.7", 5061)
    for text, expected in (
        ("sips:192.0.2.7:5061;lr", True),
        ("sips:192.0.2.8:5061", False),
        ("sips:192.0.2.7", False),
    ):
        uri = sip_uri(text)
        assert known.is_here(uri, flow) is expected


@pytest.mark.rfc("3261", "18.1.1")
def test_a_connection_that_is_not_there_yet_of_a_transport_without_a_port() -> None:
    """A long request goes by TCP from a node that listens on UDP alone; a port 0 in its Via is malformed."""
    made = wire("TCP", "", "")
    made.local = Endpoint("", 0)
    assert addresses(UDP).sent_by(made) == "192.0.2.1:5060"


def test_nodes_of_one_network_are_told_names_on_loopback_too() -> None:
    near = wire("TLS", "127.0.0.1", "127.0.0.1")
    assert addresses(TLS).sent_by(near) == "127.0.0.1:5061"
    assert Addresses([TLS], by_name=True).sent_by(near) == "sip.example.org:5061"
