"""What a proxy refuses before it forwards anything (RFC 3261 section 16.3)."""

from __future__ import annotations

import pytest

from ringfence.message import Request
from ringfence.transport.flow import Endpoint
from tests.conversations.network import Network
from tests.conversations.phones import Phone, network_is_quiet


@pytest.fixture
def dan(network: Network) -> Phone:
    network.names.host("example.net", "203.0.113.9")
    return Phone(network, "dan", "203.0.113.9", domain="example.net")


# -- Max-Forwards --------------------------------------------------------------------------------------


@pytest.mark.rfc("3261", "16.6")
@pytest.mark.parametrize(("received", "sent"), [(70, "69"), (1, "0"), (255, "254"), (None, "70")])
def test_max_forwards_goes_down_by_one(dan: Phone, bob: Phone, received: int | None, sent: str) -> None:
    dan >> dan.ask("MESSAGE", bob.aor, hops=received)
    bob << "MESSAGE"
    assert bob.request.headers.all("Max-Forwards") == [sent]


@pytest.mark.rfc("3261", "16.3")
def test_at_zero_nothing_is_forwarded(dan: Phone, alice: Phone, bob: Phone) -> None:
    dan >> dan.ask("MESSAGE", bob.aor, hops=0) << 483
    alice >> alice.ask("MESSAGE", "sip:dan@example.net", hops=0) << 483
    network_is_quiet(dan, bob)


@pytest.mark.rfc("3261", "16.3")
def test_options_and_register_may_end_here(dan: Phone, alice: Phone, bob: Phone) -> None:
    dan >> dan.ask("OPTIONS", bob.aor, hops=0) << 200
    request = alice.register()
    request.headers.set("Max-Forwards", 0)
    alice >> request << 401 >> alice.authorized() << 200
    network_is_quiet(bob)


@pytest.mark.parametrize("value", ["256", "-1", "many", ""])
def test_a_malformed_max_forwards_is_told(dan: Phone, bob: Phone, value: str) -> None:
    request = dan.ask("MESSAGE", bob.aor, hops=None)
    request.headers.add("Max-Forwards", value)
    dan >> request << 400
    assert "Max-Forwards" in dan.response.reason


# -- loops ---------------------------------------------------------------------------------------------


@pytest.mark.rfc("5393", "4.2")
def test_a_request_that_comes_back_unchanged_is_a_loop(dan: Phone, bob: Phone) -> None:
    dan >> dan.ask("MESSAGE", bob.aor)
    bob << "MESSAGE"
    looping = bob.request.copy()
    looping.uri = bob.aor
    looping.headers.prepend("Via", bob.via())
    bob >> looping << 482


@pytest.mark.rfc("5393", "4.2")
def test_one_that_comes_back_changed_spirals(network: Network, dan: Phone, bob: Phone) -> None:
    network.account("carol")
    carol = Phone(network, "carol", "198.51.100.30")
    carol >> carol.register() << 401 >> carol.authorized() << 200
    dan >> dan.ask("MESSAGE", bob.aor)
    bob << "MESSAGE"
    spiral = bob.request.copy()
    spiral.uri = carol.aor
    spiral.headers.prepend("Via", bob.via())
    bob >> spiral
    carol << "MESSAGE"
    assert len(carol.request.headers.all("Via")) == 4
    carol >> carol.answer(200)
    bob << 200


@pytest.mark.rfc("5393", "4.2.1")
def test_the_same_address_by_another_route_spirals(network: Network, dan: Phone, bob: Phone) -> None:
    dan >> dan.ask("MESSAGE", bob.aor)
    bob << "MESSAGE"
    spiral = bob.request.copy()
    spiral.uri = bob.aor
    spiral.headers.prepend("Via", bob.via())
    spiral.headers.add("Route", "<sip:example.net;lr>")
    bob >> spiral << 407  # to a third party, so that it is challenged; no loop


def test_a_loop_through_the_location_service_ends(network: Network, dan: Phone, alice: Phone) -> None:
    """A contact that leads back to us by another name."""
    network.account("bob")
    bob = Phone(network, "bob", "198.51.100.20")
    bob >> bob.register(contact="<sip:alice@example.com>") << 401 >> bob.authorized() << 200
    alice >> alice.register(contact="<sip:bob@example.com>") << 401 >> alice.authorized() << 200
    network.names.host("example.com", "192.0.2.1")
    ourselves = network.wires.wire("UDP", Endpoint("192.0.2.1", 5060))
    network.places["192.0.2.1"] = lambda message, _: network.soon.append(
        lambda: network.driver.received(message.to_bytes(), ourselves)
    )
    dan >> dan.ask("MESSAGE", "sip:bob@example.org") << 482
    assert sum(isinstance(message, Request) for message in network.traffic) == 3


# -- extensions, schemes -------------------------------------------------------------------------------


@pytest.mark.rfc("3261", "16.3")
def test_an_extension_that_the_proxy_does_not_know(dan: Phone, bob: Phone) -> None:
    dan >> dan.ask("MESSAGE", bob.aor, ("Proxy-Require", "privacy, teleport")) << 420
    assert dan.response.headers.get("Unsupported") == "teleport"
    dan >> dan.ask("MESSAGE", bob.aor, ("Require", "teleport"))  # that is for the phone to judge
    bob << "MESSAGE"


@pytest.mark.rfc("3261", "16.3")
@pytest.mark.parametrize("uri", ["urn:service:sos", "mailto:bob@example.org", "http://example.org/"])
def test_a_scheme_that_we_do_not_route(dan: Phone, uri: str) -> None:
    dan >> dan.ask("MESSAGE", uri) << 416


@pytest.mark.rfc("3261", "16.3")
def test_what_the_proxy_need_not_read_passes_unread(dan: Phone, bob: Phone) -> None:
    odd = [
        ("Date", "yesterday"),
        ("X-Strange", ";;;\t,"),
        ("Contact", ">><<"),
        ("Expires", "soon"),
        ("Warning", "1"),
    ]
    dan >> dan.ask("MESSAGE", bob.aor, *odd)
    bob << "MESSAGE"
    for name, value in odd:
        assert bob.request.headers.get(name) == value


@pytest.mark.rfc("3261", "8.1.1.3")
def test_a_request_without_a_from_tag_is_refused(dan: Phone, bob: Phone) -> None:
    request = dan.ask("MESSAGE", bob.aor)
    request.headers.set("From", "<sip:dan@example.net>")
    dan >> request << 400
    assert "From" in dan.response.reason


@pytest.mark.parametrize(
    ("name", "value"),
    [("To", "bob"), ("From", "<sip:>;tag=1"), ("Route", "<sip:192.0.2.1"), ("Proxy-Require", "a,,b")],
)
def test_what_the_proxy_must_read_is_told_when_it_is_malformed(
    dan: Phone, bob: Phone, name: str, value: str
) -> None:
    request = dan.ask("MESSAGE", bob.aor)
    request.headers.set(name, value)
    dan >> request << 400
    assert name in dan.response.reason
    network_is_quiet(bob)


@pytest.mark.rfc("3261", "16.6")
def test_a_request_uri_loses_what_it_must_not_have(network: Network, dan: Phone, alice: Phone) -> None:
    contact = "<sip:alice@198.51.100.10;method=INVITE?Subject=x>"
    alice >> alice.register(contact=contact) << 401 >> alice.authorized() << 200
    assert alice.response.headers.get(
        "Contact",
    ).startswith(contact)  # type: ignore[union-attr]
    dan >> dan.ask("MESSAGE", "sip:alice@example.org")
    alice << "MESSAGE"
    assert alice.request.uri == "sip:alice@198.51.100.10"
