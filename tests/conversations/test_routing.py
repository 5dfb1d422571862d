"""Route, Record-Route, and who a Request-URI means (RFC 3261 sections 16.4 to 16.6)."""

from __future__ import annotations

import pytest

from ringfence.roles.policy import ChallengeMode
from tests.conversations.network import Network
from tests.conversations.phones import Phone, network_is_quiet


@pytest.fixture
def dan(network: Network) -> Phone:
    network.names.host("example.net", "203.0.113.9")
    return Phone(network, "dan", "203.0.113.9", domain="example.net")


def routes(phone: Phone, name: str = "Record-Route") -> list[str]:
    """The entries in the message taken last, without our proof."""
    return [value.split(";rf=")[0].rstrip(">") for value in phone.last.headers.values(name)]


def call(caller: Phone, callee: Phone, uri: str = "sip:bob@example.org") -> None:
    """A call that is answered; both sides have their dialog."""
    caller >> caller.invite(uri)
    if caller.inbox[0][0].status == 407:  # type: ignore[union-attr]
        caller << 407 >> caller.ack() >> caller.authorized()
    caller << 100
    callee << "INVITE" >> callee.answer(200)
    caller << 200
    caller.begin()
    caller >> caller.within("ACK")
    callee << "ACK"


def talk(one: Phone, other: Phone) -> None:
    """Both sides reach each other."""
    for sender, receiver in ((one, other), (other, one)):
        sender >> sender.within("INFO")
        receiver << "INFO" >> receiver.answer(200)
        sender << 200


# -- Record-Route --------------------------------------------------------------------------------------


@pytest.mark.rfc("3261", "16.6")
def test_one_entry_where_both_sides_are_alike(dan: Phone, bob: Phone) -> None:
    call(dan, bob)
    assert routes(bob, "Route") == []
    assert [route.split(";rf=")[0] for route in bob.dialog.routes] == ["<sip:192.0.2.1:5060;lr"]
    talk(dan, bob)


@pytest.mark.rfc("5658", "4")
@pytest.mark.parametrize(("transport", "entry"), [("TCP", ";transport=tcp"), ("TLS", ";transport=tls")])
def test_two_entries_where_the_transport_changes(
    network: Network, bob: Phone, transport: str, entry: str
) -> None:
    dan = Phone(network, "dan", "203.0.113.9", transport, domain="example.net")
    call(dan, bob)
    own, theirs = (route.split(";rf=")[0] for route in bob.dialog.routes)
    assert own == "<sip:192.0.2.1:5060;lr"
    assert theirs.startswith("<sip:")
    assert theirs.endswith(f"{entry};lr")
    talk(dan, bob)


@pytest.mark.rfc("5658", "4")
def test_two_entries_from_ipv6_to_ipv4(network: Network, bob: Phone) -> None:
    dan = Phone(network, "dan", "2001:db8::9", domain="example.net")
    call(dan, bob)
    assert [route.split(";rf=")[0] for route in bob.dialog.routes] == [
        "<sip:192.0.2.1:5060;lr",
        "<sip:[2001:db8::1]:5060;lr",
    ]
    talk(dan, bob)


def test_two_phones_on_connections_reach_each_other(network: Network) -> None:
    network.account("carol")
    alice, carol = (
        Phone(network, user, f"198.51.100.{host}", "TLS") for user, host in (("alice", 10), ("carol", 30))
    )
    for phone in (alice, carol):
        phone >> phone.register() << 401 >> phone.authorized() << 200
    call(alice, carol, "sip:carol@example.org")
    talk(alice, carol)
    assert network.wires.dialled == []  # all by the connections of the phones


def test_two_accounts_on_one_connection_reach_each_other(network: Network) -> None:
    """A gateway: both sides of the call are the same connection."""
    network.account("carol")
    gateway = Phone(network, "alice", "198.51.100.10", "TLS")
    gateway >> gateway.register() << 401 >> gateway.authorized() << 200
    other = gateway.register(to="<sip:carol@example.org>", from_="<sip:carol@example.org>", call_id="carol")
    gateway >> other << 401 >> gateway.authorized(user="carol") << 200
    gateway >> gateway.invite("sip:carol@example.org") << "INVITE"
    gateway >> gateway.answer(200) << 100 << 200
    gateway.begin()
    gateway >> gateway.within("BYE") << "BYE"


def test_a_phone_whose_connection_broke_comes_by_another(network: Network, bob: Phone) -> None:
    alice = Phone(network, "alice", "198.51.100.10", "TLS")
    alice >> alice.invite(bob.aor) << 407 >> alice.ack() >> alice.authorized() << 100
    bob << "INVITE" >> bob.answer(200)
    alice << 200
    alice.begin()
    alice.wire.close("broken")
    network.settle()
    again = Phone(network, "alice", "198.51.100.10", "TLS")
    again.dialog = alice.dialog
    again >> again.within("BYE")
    bob << "BYE" >> bob.answer(200)
    again << 200


@pytest.mark.rfc("5626", "5.3.1")
def test_a_request_to_a_connection_that_broke_fails(network: Network, bob: Phone) -> None:
    alice = Phone(network, "alice", "198.51.100.10", "TLS")
    call(alice, bob)
    alice.wire.close("broken")
    network.settle()
    bob >> bob.within("BYE") << 430


@pytest.mark.rfc("5626", "5.3.1")
def test_a_flow_token_that_is_not_ours(network: Network, alice: Phone, bob: Phone) -> None:
    alice >> alice.ask("MESSAGE", bob.aor, ("Route", "<sip:Zm9yZ2Vk@192.0.2.1;lr>")) << 403
    network_is_quiet(bob)


def test_a_phone_behind_a_nat_is_reached_where_it_speaks_from(network: Network, bob: Phone) -> None:
    alice = Phone(network, "alice", "10.0.0.5", behind="198.51.100.99")
    alice >> alice.register() << 401 >> alice.authorized() << 200
    call(alice, bob)
    talk(alice, bob)
    bob >> bob.ask("MESSAGE", "sip:alice@example.org") << 407 >> bob.authorized()
    alice << "MESSAGE"
    assert alice.request.uri == "sip:alice@10.0.0.5:5060"
    assert alice.arrived_by is alice.wire


@pytest.mark.rfc("3261", "16.6")
def test_requests_that_make_no_dialog_are_not_recorded(dan: Phone, bob: Phone) -> None:
    for method in ("MESSAGE", "OPTIONS", "PUBLISH"):
        dan >> dan.ask(method, bob.aor)
        bob << method
        assert "Record-Route" not in bob.request.headers


@pytest.mark.rfc("6665", "4.3")
def test_every_notify_is_recorded(dan: Phone, bob: Phone) -> None:
    dan >> dan.ask("SUBSCRIBE", bob.aor, ("Event", "presence"))
    bob << "SUBSCRIBE" >> bob.answer(200)
    dan << 200
    bob >> bob.within("NOTIFY", ("Event", "presence"), ("Subscription-State", "active"))
    dan << "NOTIFY"
    assert routes(dan) == ["<sip:192.0.2.1:5060;lr"]


@pytest.mark.rfc("3261", "16.6")
def test_a_re_invite_is_not_recorded_again(dan: Phone, bob: Phone) -> None:
    call(dan, bob)
    dan >> dan.within("INVITE") << 100
    bob << "INVITE"
    assert "Record-Route" not in bob.request.headers


def test_record_route_can_be_turned_off(network: Network, dan: Phone, bob: Phone) -> None:
    network.policy.record_route = False
    dan >> dan.invite(bob.aor) << 100
    bob << "INVITE"
    assert "Record-Route" not in bob.request.headers


def test_other_record_routes_stay(dan: Phone, bob: Phone) -> None:
    dan >> dan.invite(bob.aor, ("Record-Route", "<sip:p2.example.net;lr>, <sip:p1.example.net;lr>")) << 100
    bob << "INVITE"
    assert routes(bob) == ["<sip:192.0.2.1:5060;lr", "<sip:p2.example.net;lr", "<sip:p1.example.net;lr"]


# -- Route ---------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261", "16.4")
@pytest.mark.parametrize(
    "route",
    ["<sip:192.0.2.1;lr>", "<sip:proxy.example.org;lr>", "<sip:example.org:5060;lr>", "<sips:[2001:db8::1]:5061;lr>",
     "<sip:192.0.2.1:5061;transport=tls;lr>, <sip:example.com;lr>"],
)  # fmt: skip
def test_our_own_routes_are_removed(dan: Phone, bob: Phone, route: str) -> None:
    dan >> dan.ask("MESSAGE", bob.aor, ("Route", route))
    bob << "MESSAGE"
    assert "Route" not in bob.request.headers


@pytest.mark.rfc("3261", "16.12.1.1")
def test_a_loose_route_is_followed(network: Network, alice: Phone) -> None:
    network.names.host("p2.example.net", "203.0.113.20")
    proxy = Phone(network, "p2", "203.0.113.20")
    (
        alice
        >> alice.ask(
            "MESSAGE", "sip:dan@example.net", ("Route", "<sip:192.0.2.1;lr>, <sip:p2.example.net;lr>")
        )
        << 407
    )
    alice >> alice.authorized()
    proxy << "MESSAGE"
    assert proxy.request.uri == "sip:dan@example.net"
    assert proxy.request.headers.values("Route") == ["<sip:p2.example.net;lr>"]


@pytest.mark.rfc("3261", "16.12.1.2")
def test_a_strict_route_takes_the_request_uri(network: Network, alice: Phone) -> None:
    network.names.host("strict.example.net", "203.0.113.20")
    proxy = Phone(network, "strict", "203.0.113.20")
    route = "<sip:strict.example.net>, <sip:p3.example.net;lr>"
    alice >> alice.ask("MESSAGE", "sip:dan@example.net", ("Route", route)) << 407 >> alice.authorized()
    proxy << "MESSAGE"
    assert proxy.request.uri == "sip:strict.example.net"
    assert proxy.request.headers.values("Route") == ["<sip:p3.example.net;lr>", "<sip:dan@example.net>"]


@pytest.mark.rfc("3261", "16.4")
def test_a_strict_router_before_us_has_put_our_route_into_the_request_uri(dan: Phone, bob: Phone) -> None:
    call(dan, bob)
    request = dan.within("INFO")
    own = request.headers.get("Route") or ""
    request.headers.set("Route", f"<{request.uri}>")
    request.uri = own.strip("<>")
    dan >> request
    bob << "INFO"
    assert bob.request.uri == bob.contact
    assert "Route" not in bob.request.headers


# -- what a Request-URI means --------------------------------------------------------------------------


@pytest.mark.rfc("3261", "16.5")
@pytest.mark.parametrize(
    "uri",
    ["sip:bob@example.org", "sip:bob@EXAMPLE.COM", "sip:bob@192.0.2.1", "sip:bob@192.0.2.1:5060;transport=tcp",
     "sip:bob@[2001:db8:0::1]", "sip:bob@proxy.example.org", "sip:%62ob@example.org", "sip:bob:pw@example.org;user=ip",
     "sip:bob@example.org.", "sip:bob@example.org:5060;transport=udp"],
)  # fmt: skip
def test_an_address_of_ours_however_it_is_written(dan: Phone, bob: Phone, uri: str) -> None:
    dan >> dan.ask("MESSAGE", uri)
    bob << "MESSAGE"
    assert bob.request.uri == bob.contact


@pytest.mark.rfc("3261", "16.4")
def test_a_maddr_of_ours_has_done_its_work(dan: Phone, bob: Phone) -> None:
    dan >> dan.ask("MESSAGE", "sip:bob@example.org;maddr=192.0.2.1")
    bob << "MESSAGE"
    dan >> dan.ask("MESSAGE", "sip:bob@example.org:5060;maddr=192.0.2.1;transport=udp")
    bob << "MESSAGE"


@pytest.mark.parametrize("maddr", ["[::zz]", ":", "%5b", "a:b"])
def test_a_maddr_that_is_no_address_is_somebody_elses(dan: Phone, maddr: str) -> None:
    dan >> dan.ask("MESSAGE", f"sip:bob@example.org;maddr={maddr}") << 407


@pytest.mark.rfc("3261", "16.4")
def test_a_maddr_of_another_port_of_ours_is_sent_there(network: Network, alice: Phone, bob: Phone) -> None:
    (
        alice
        >> alice.ask("MESSAGE", "sip:bob@example.org;maddr=192.0.2.1;transport=tcp")
        << 407
        >> alice.authorized()
    )
    message, wire = network.lost.pop()
    assert (wire.transport, wire.remote) == ("TCP", ("192.0.2.1", 5060))
    assert message.uri == "sip:bob@example.org;maddr=192.0.2.1;transport=tcp"  # type: ignore[attr-defined]


@pytest.mark.rfc("3261", "16.5")
def test_a_maddr_of_somebody_else_is_the_only_target(network: Network, alice: Phone, dan: Phone) -> None:
    alice >> alice.ask("MESSAGE", "sip:bob@example.org;maddr=203.0.113.9") << 407 >> alice.authorized()
    dan << "MESSAGE"
    assert dan.request.uri == "sip:bob@example.org;maddr=203.0.113.9"


@pytest.mark.rfc("3261", "19.1.6")
def test_a_number_is_an_address_of_our_domain(network: Network, dan: Phone, bob: Phone) -> None:
    network.account("bob", aliases=("sip:+358401234567@example.org",))
    dan >> dan.ask("MESSAGE", "tel:+358-40-1234567")
    bob << "MESSAGE"
    assert bob.request.uri == bob.contact
    dan >> dan.ask("MESSAGE", "sip:+358401234567@example.org;user=phone")
    bob << "MESSAGE"
    dan >> dan.ask("MESSAGE", "tel:+358409999999") << 480


def test_a_number_with_a_route_goes_there_as_it_is(network: Network, alice: Phone) -> None:
    network.names.host("gateway.example.net", "203.0.113.20")
    gateway = Phone(network, "gateway", "203.0.113.20")
    alice >> alice.ask("MESSAGE", "tel:+358401234567", ("Route", "<sip:gateway.example.net;lr>")) << 407
    alice >> alice.authorized() << 403  # numbers cost money: the account has no right to them
    network.policy.challenge = ChallengeMode.NONE
    alice >> alice.ask("MESSAGE", "tel:+358401234567", ("Route", "<sip:gateway.example.net;lr>"))
    gateway << "MESSAGE"
    assert gateway.request.uri == "tel:+358401234567"


# -- a connection that a peer offers -------------------------------------------------------------------


@pytest.mark.rfc("5923", "8.1")
def test_tls_hops_offer_their_connection(network: Network, alice: Phone) -> None:
    dan = Phone(network, "dan", "203.0.113.9", "TLS", domain="example.net")
    network.names.host("example.net", "203.0.113.9")
    alice >> alice.ask("MESSAGE", "sip:dan@example.net;transport=tls") << 407 >> alice.authorized()
    dan << "MESSAGE"
    assert "alias" in dan.request.via.params
    assert network.wires.dialled[-1] == ("TLS", ("203.0.113.9", 5061), "example.net")
