"""Phones that keep connections open to be called on (RFC 5626), also through an edge (RFC 3327)."""

from __future__ import annotations

import pytest

from tests.conversations.network import Network
from tests.conversations.phones import Phone, network_is_quiet

URN = '"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"'
OUTBOUND = ("Supported", "path, outbound")


def contact(phone: Phone, reg_id: int | None = 1, more: str = "") -> str:
    number = "" if reg_id is None else f";reg-id={reg_id}"
    return f"<{phone.contact}>;+sip.instance={URN}{number}{more}"


@pytest.fixture
def first(network: Network) -> Phone:
    """Alice's phone, registered over TLS as flow 1."""
    alice = Phone(network, "alice", "198.51.100.10", "TLS")
    alice >> alice.register(OUTBOUND, contact=contact(alice)) << 401 >> alice.authorized() << 200
    return alice


@pytest.fixture
def second(network: Network, first: Phone) -> Phone:
    """The same phone, registered a moment later as flow 2."""
    network.wait(10)
    alice = Phone(network, "alice", "198.51.100.10", "TLS")
    network.places["198.51.100.10"] = lambda message, wire: (
        first.inbox if wire is first.wire else alice.inbox
    ).append((message, wire))
    alice >> alice.register(OUTBOUND, contact=contact(alice, 2), call_id="second") << 401
    alice >> alice.authorized() << 200
    return alice


@pytest.fixture
def dan(network: Network) -> Phone:
    return Phone(network, "dan", "203.0.113.9", domain="example.net")


@pytest.mark.rfc("5626", "6")
def test_the_registrar_says_that_it_does_outbound(first: Phone) -> None:
    assert first.response.headers.get("Require") == "outbound"
    assert "reg-id=1" in (first.response.headers.get("Contact") or "")
    assert URN in (first.response.headers.get("Contact") or "")


@pytest.mark.rfc("5626", "6")
@pytest.mark.parametrize(
    ("fields", "value"),
    [((), URN + ";reg-id=1"), ((OUTBOUND,), URN), ((OUTBOUND,), None)],
)
def test_what_is_no_outbound_is_an_ordinary_registration(
    network: Network, fields: tuple[tuple[str, str], ...], value: str | None
) -> None:
    alice = Phone(network, "alice", "198.51.100.10", "TLS")
    made = f"<{alice.contact}>;+sip.instance={value}" if value else f"<{alice.contact}>;reg-id=1"
    alice >> alice.register(*fields, contact=made) << 401 >> alice.authorized() << 200
    assert "Require" not in alice.response.headers
    assert "reg-id" not in (alice.response.headers.get("Contact") or "")


@pytest.mark.rfc("5626", "7")
def test_a_call_takes_the_latest_flow_of_an_instance_and_no_other(
    dan: Phone, first: Phone, second: Phone
) -> None:
    dan >> dan.invite("sip:alice@example.org") << 100
    second << "INVITE"
    assert second.arrived_by is second.wire
    network_is_quiet(first)


@pytest.mark.rfc("5626", "7")
@pytest.mark.parametrize("status", [430, 408])
def test_another_flow_is_tried_when_one_is_dead(dan: Phone, first: Phone, second: Phone, status: int) -> None:
    dan >> dan.invite("sip:alice@example.org") << 100
    second << "INVITE" >> second.answer(status)
    first << "INVITE" >> first.answer(200)
    dan << 200


@pytest.mark.rfc("5626", "7")
@pytest.mark.parametrize("status", [486, 603, 500])
def test_a_phone_that_has_answered_is_not_asked_again(
    dan: Phone, first: Phone, second: Phone, status: int
) -> None:
    dan >> dan.invite("sip:alice@example.org") << 100
    second << "INVITE" >> second.answer(status)
    dan << status
    network_is_quiet(first)


@pytest.mark.rfc("5626", "7")
def test_a_flow_that_breaks_during_the_call_set_up(
    network: Network, dan: Phone, first: Phone, second: Phone
) -> None:
    dan >> dan.invite("sip:alice@example.org") << 100
    second << "INVITE"
    second.wire.close("broken")
    network.settle()
    first << "INVITE" >> first.answer(200)
    dan << 200


@pytest.mark.rfc("5626", "7")
def test_what_was_registered_over_a_flow_ends_with_it(
    network: Network, dan: Phone, first: Phone, second: Phone
) -> None:
    second.wire.close("broken")
    network.settle()
    dan >> dan.invite("sip:alice@example.org") << 100
    first << "INVITE" >> first.answer(180)
    dan << 180
    first.wire.close("broken")
    network.settle()
    dan << 480
    dan >> dan.invite("sip:alice@example.org") << 480  # "Endpoints should never receive a 430"


@pytest.mark.rfc("5626", "6")
def test_a_flow_is_replaced_whatever_its_contact(network: Network, dan: Phone, first: Phone) -> None:
    again = Phone(network, "alice", "198.51.100.11", "TLS")
    (
        again
        >> again.register(OUTBOUND, contact=contact(again), call_id="anew")
        << 401
        >> again.authorized()
        << 200
    )
    assert len(again.response.headers.all("Contact")) == 1
    dan >> dan.invite("sip:alice@example.org") << 100
    again << "INVITE"
    network_is_quiet(first)


@pytest.mark.rfc("5626", "6")
def test_only_one_contact_of_a_request_is_a_flow(first: Phone) -> None:
    both = f"{contact(first)}, <sip:alice@198.51.100.77>"
    first >> first.register(OUTBOUND, contact=both, cseq=20) << 400
    without = f"{contact(first)}, <sip:alice@198.51.100.77>;expires=0"
    first >> first.register(OUTBOUND, contact=without, cseq=30) << 200


@pytest.mark.rfc("5626", "6")
@pytest.mark.parametrize("value", ["0", "x", "2147483648"])
def test_a_malformed_reg_id(first: Phone, value: str) -> None:
    bad = f"<{first.contact}>;+sip.instance={URN};reg-id={value}"
    first >> first.register(OUTBOUND, contact=bad, cseq=20) << 400


@pytest.mark.rfc("5626", "6")
def test_a_first_hop_without_outbound(network: Network, first: Phone) -> None:
    request = first.register(OUTBOUND, contact=contact(first), cseq=20)
    request.headers.prepend("Via", "SIP/2.0/TLS p1.example.net;branch=z9hG4bKp1")
    first >> request << 439
    request = first.register(OUTBOUND, ("Path", "<sip:p1.example.net;lr>"), contact=contact(first), cseq=30)
    request.headers.prepend("Via", "SIP/2.0/TLS p1.example.net;branch=z9hG4bKp2")
    first >> request << 439
    request = first.register(
        OUTBOUND, ("Path", "<sip:t@p1.example.net;lr;ob>"), contact=contact(first), cseq=40
    )
    request.headers.prepend("Via", "SIP/2.0/TLS p1.example.net;branch=z9hG4bKp3")
    first >> request << 200
    assert first.response.headers.get("Require") == "outbound"


@pytest.mark.rfc("5626", "7")
def test_an_edge_that_lost_the_flow(network: Network, first: Phone, dan: Phone) -> None:
    """The edge answers 430: another flow is tried, and without one the caller hears 480."""
    network.names.host("p1.example.net", "203.0.113.20")
    edge = Phone(network, "edge", "203.0.113.20")
    request = first.register(
        OUTBOUND, ("Path", "<sip:t@p1.example.net;lr;ob>"), contact=contact(first), cseq=40
    )
    request.headers.prepend("Via", "SIP/2.0/TLS p1.example.net;branch=z9hG4bKp3")
    first >> request << 200
    dan >> dan.invite("sip:alice@example.org") << 100
    edge << "INVITE"
    assert edge.request.headers.values("Route") == ["<sip:t@p1.example.net;lr;ob>"]
    edge >> edge.answer(430)
    dan << 480


# -- as the edge of another domain ---------------------------------------------------------------------


@pytest.fixture
def home(network: Network) -> Phone:
    """The registrar of example.net, where Alice has an account too."""
    network.names.host("example.net", "203.0.113.9")
    return Phone(network, "home", "203.0.113.9", domain="example.net")


@pytest.mark.rfc("5626", "5.1")
@pytest.mark.rfc("3327", "5.2")
def test_a_registration_elsewhere_gets_our_path(network: Network, first: Phone, home: Phone) -> None:
    there = first.register(
        OUTBOUND, contact=contact(first), uri="sip:example.net", to="<sip:alice@example.net>"
    )
    first >> there
    home << "REGISTER"
    (path,) = home.request.headers.values("Path")
    assert path.endswith("@192.0.2.1:5060;lr;ob>")
    home >> home.answer(200)
    first << 200
    # A call that the home domain sends down the path needs no credentials, and can go nowhere else.
    home >> home.invite(first.contact, ("Route", path)) << 100
    first << "INVITE"
    assert "Route" not in first.request.headers
    home >> home.invite("sip:alice@example.net", ("Route", path), from_="<sip:bob@example.org>") << 407
    first.wire.close("broken")
    network.settle()
    home << 430  # the call that was being set up
    home >> home.invite(first.contact, ("Route", path)) << 430


@pytest.mark.rfc("3327", "5.2")
def test_no_path_for_one_who_does_not_know_it(first: Phone, home: Phone) -> None:
    first >> first.register(uri="sip:example.net", to="<sip:alice@example.net>")
    home << "REGISTER"
    assert "Path" not in home.request.headers


# -- connections that are reused without being asked for -----------------------------------------------


def test_a_phone_on_a_connection_is_called_on_it(network: Network, dan: Phone) -> None:
    alice = Phone(network, "alice", "198.51.100.10", "TCP")
    alice >> alice.register() << 401 >> alice.authorized() << 200
    dan >> dan.ask("MESSAGE", "sip:alice@example.org")
    alice << "MESSAGE"
    assert alice.arrived_by is alice.wire


def test_when_that_connection_is_gone_its_contact_is_tried(network: Network, dan: Phone) -> None:
    alice = Phone(network, "alice", "198.51.100.10", "TCP")
    alice >> alice.register() << 401 >> alice.authorized() << 200
    alice.wire.close("idle")
    network.settle()
    dan >> dan.ask("MESSAGE", "sip:alice@example.org")
    alice << "MESSAGE"
    assert alice.arrived_by.remote == ("198.51.100.10", 5060)


@pytest.mark.rfc("7118", "5.2")
def test_a_browser_is_only_reached_by_its_connection(network: Network, dan: Phone) -> None:
    alice = Phone(network, "alice", "198.51.100.10", "WSS")
    made = "<sip:x@df7jal23ls0d.invalid;transport=ws>"
    alice >> alice.register(contact=made) << 401 >> alice.authorized() << 200
    dan >> dan.ask("MESSAGE", "sip:alice@example.org")
    alice << "MESSAGE"
    alice.wire.close("gone")
    network.settle()
    dan >> dan.ask("MESSAGE", "sip:alice@example.org") << 480


def test_a_contact_elsewhere_is_reached_there(network: Network, alice: Phone, dan: Phone) -> None:
    other = Phone(network, "other", "198.51.100.77")
    alice >> alice.register(contact="<sip:alice@198.51.100.77>") << 401 >> alice.authorized() << 200
    dan >> dan.ask("MESSAGE", "sip:alice@example.org")
    other << "MESSAGE"
