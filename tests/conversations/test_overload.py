"""Too much to do, here and at a next hop: what is refused, what is not, and what is said (RFC 7339)."""

from __future__ import annotations

import pytest

from ringfence.guard.neighbours import Neighbours, make_offer
from ringfence.guard.overload import Load, Overload
from ringfence.message import Request, cancel_for
from ringfence.message.params import parse_params
from tests.conversations.network import WALL, Network
from tests.conversations.phones import Phone, network_is_quiet

OFFER = ';oc;oc-algo="loss"'


@pytest.fixture
def overload(network: Network) -> Overload:
    network.services.overload = Overload()
    return network.services.overload


@pytest.fixture
def dan(network: Network) -> Phone:
    network.names.host("example.net", "203.0.113.9")
    return Phone(network, "dan", "203.0.113.9", domain="example.net")


def overloaded(overload: Overload) -> None:
    """Nothing new is taken: the share is so small that its first comes late."""
    for tick in range(30):
        overload.measure(Load(1.0, 0.0, 0.0), tick / 10, WALL + tick / 10)


def offering(request: Request) -> Request:
    request.headers.set("Via", f"{request.headers.get('Via')}{OFFER}")
    return request


# -- here ----------------------------------------------------------------------------------------------


@pytest.mark.rfc("7339", "5.10.2")
def test_too_much_is_refused_without_retry_after(overload: Overload, dan: Phone, bob: Phone) -> None:
    overloaded(overload)
    dan >> dan.ask("MESSAGE", bob.aor) << 503
    assert "Retry-After" not in dan.response.headers
    assert overload.shed == 1
    network_is_quiet(bob)


def test_a_refused_invite_leaves_no_state(
    network: Network, overload: Overload, dan: Phone, bob: Phone
) -> None:
    overloaded(overload)
    before = network.transactions
    dan >> dan.invite(bob.aor) << 503
    assert network.transactions == before
    dan >> dan.ack()
    network_is_quiet(bob, dan)


def test_a_call_that_is_set_up_goes_on(network: Network, overload: Overload, dan: Phone, bob: Phone) -> None:
    dan >> dan.invite(bob.aor) << 100
    bob << "INVITE"
    bob >> bob.answer(200)
    dan << 200
    dan.begin()
    overloaded(overload)
    dan >> dan.within("ACK")
    bob << "ACK"
    dan >> dan.within("BYE")
    bob << "BYE"
    bob >> bob.answer(200)
    dan << 200


def test_what_rings_is_cancelled(overload: Overload, dan: Phone, bob: Phone) -> None:
    dan >> dan.invite(bob.aor) << 100
    bob << "INVITE"
    bob >> bob.answer(180)
    dan << 180
    overloaded(overload)
    dan >> cancel_for(dan.sent) << 200
    bob << "CANCEL"


@pytest.mark.rfc("7339", "5.10.1")
def test_calls_for_help_are_taken(network: Network, overload: Overload, dan: Phone) -> None:
    network.policy.emergency_numbers = frozenset({"112"})
    overloaded(overload)
    dan >> dan.ask("INVITE", "sip:112@example.org") << 480  # there is no such user: it was looked for
    dan >> dan.ask("INVITE", "sip:113@example.org") << 503


@pytest.mark.rfc("7339", "5.10.1")
def test_a_priority_counts_for_those_who_are_known(
    network: Network, overload: Overload, dan: Phone, bob: Phone
) -> None:
    network.policy.priority_namespaces = frozenset({"ets"})
    overloaded(overload)
    dan >> dan.ask("MESSAGE", bob.aor, ("Resource-Priority", "ets.0")) << 503
    phone = Phone(network, "bob", "198.51.100.44", "TLS")
    phone.wire.user = ()
    phone >> phone.ask("MESSAGE", bob.aor, ("Resource-Priority", "ets.0")) << 407
    phone >> phone.ask("MESSAGE", bob.aor, ("Resource-Priority", "wps.0")) << 503


@pytest.mark.rfc("7339", "5.1")
def test_a_neighbour_that_offers_is_answered_in_its_via(overload: Overload, dan: Phone, bob: Phone) -> None:
    overload.measure(Load(0.0, 0.0, 0.0), 1.0, WALL)
    dan >> offering(dan.ask("MESSAGE", bob.aor))
    bob << "MESSAGE"
    assert "oc-algo" not in str(bob.request.headers.all("Via"))  # section 5.6: not handed on
    bob >> bob.answer(200)
    dan << 200
    params = dan.response.via.params
    assert (params.get("oc"), params.get("oc-validity"), params.get("oc-algo")) == ("0", "0", "loss")
    assert params.get("oc-seq")


@pytest.mark.rfc("7339", "5.11")
def test_a_100_and_what_follows_say_it_too(overload: Overload, dan: Phone, bob: Phone) -> None:
    overload.share = 0.5
    overload.measure(Load(0.0, 0.0, 0.0), 1.0, WALL)
    request = offering(dan.invite(bob.aor))
    while not overload.takes(False):
        pass
    overload.active = False
    dan >> request << 100
    assert dan.response.via.params.get("oc") == "45"
    bob << "INVITE"
    bob >> bob.answer(180)
    dan << 180
    assert dan.response.via.params.get("oc") == "45"


def test_who_does_not_offer_sees_nothing_of_it(overload: Overload, dan: Phone, bob: Phone) -> None:
    dan >> dan.ask("MESSAGE", bob.aor)
    bob << "MESSAGE"
    bob >> bob.answer(200)
    dan << 200
    assert "oc" not in dan.response.via.params


# -- a node that stops ---------------------------------------------------------------------------------


def test_a_node_that_stops_takes_nothing_new(overload: Overload, dan: Phone, bob: Phone) -> None:
    overload.drain()
    dan >> dan.ask("MESSAGE", bob.aor) << 503
    assert dan.response.headers.get("Retry-After")
    network_is_quiet(bob)


# -- next hops -----------------------------------------------------------------------------------------


@pytest.fixture
def hops(network: Network) -> Neighbours:
    network.services.neighbours = Neighbours()
    network.policy.overload_offer = make_offer(["loss", "rate"])
    return network.services.neighbours


def call_dan(alice: Phone) -> None:
    alice >> alice.ask("MESSAGE", "sip:dan@example.net") << 407 >> alice.authorized()


@pytest.mark.rfc("7339", "4.1")
def test_next_hops_are_offered_it_and_phones_are_not(
    hops: Neighbours, alice: Phone, dan: Phone, bob: Phone
) -> None:
    call_dan(alice)
    dan << "MESSAGE"
    assert 'oc;oc-algo="loss,rate"' in str(dan.request.via)
    alice >> alice.ask("MESSAGE", bob.aor) << 407 >> alice.authorized()
    bob << "MESSAGE"
    assert "oc" not in bob.request.via.params


def test_inside_a_dialog_it_is_offered_to_those_who_took_it_up(
    hops: Neighbours, alice: Phone, dan: Phone
) -> None:
    alice >> alice.invite("sip:dan@example.net") << 407 >> alice.authorized() << 100
    dan << "INVITE"
    dan >> dan.answer(200)
    alice << 200
    alice.begin()
    alice >> alice.within("ACK")
    dan << "ACK"
    assert "oc" not in dan.request.via.params
    hops.heard(dan.wire.remote, parse_params(";oc=0;oc-validity=0;oc-seq=1.0"), 0.0)
    alice >> alice.within("BYE")
    dan << "BYE"
    assert "oc" in dan.request.via.params


@pytest.mark.rfc("7339", "5.5")
@pytest.mark.rfc("7339", "5.10")
def test_what_a_next_hop_does_not_want_is_refused_here(hops: Neighbours, alice: Phone, dan: Phone) -> None:
    call_dan(alice)
    dan << "MESSAGE"
    answer = dan.answer(200)
    via = answer.via
    params = (
        via.params.with_("oc", "100")
        .with_("oc-algo", '"loss"')
        .with_("oc-validity", "1000")
        .with_("oc-seq", "1.1")
    )
    answer.headers.set_top("Via", type(via)(via.transport, via.host, via.port, params))
    dan >> answer
    alice << 200
    call_dan(alice)
    alice << 503
    assert "Retry-After" not in alice.response.headers
    assert hops.held_back == 1
    network_is_quiet(dan)
    alice.network.wait(1.1)
    call_dan(alice)
    dan << "MESSAGE"


@pytest.mark.rfc("3261", "16.7")
@pytest.mark.rfc("3261", "21.5.4")
def test_a_503_with_retry_after_stays_here(hops: Neighbours, alice: Phone, dan: Phone) -> None:
    call_dan(alice)
    dan << "MESSAGE"
    dan >> dan.answer(503, ("Retry-After", "30"))
    alice << 500  # it says nothing about us
    assert "Retry-After" not in alice.response.headers
    call_dan(alice)
    alice << 503
    network_is_quiet(dan)
    alice.network.wait(31.0)
    call_dan(alice)
    dan << "MESSAGE"


def test_what_one_server_does_not_want_goes_to_the_other(
    network: Network, hops: Neighbours, alice: Phone
) -> None:
    network.names.service("_sip._udp.example.net", (1, "a.example.net", 5060), (2, "b.example.net", 5060))
    network.names.host("a.example.net", "203.0.113.1")
    network.names.host("b.example.net", "203.0.113.2")
    first = Phone(network, "first", "203.0.113.1", domain="example.net")
    second = Phone(network, "second", "203.0.113.2", domain="example.net")
    hops.unavailable(first.wire.remote, 30.0, network.clock.now)
    call_dan(alice)
    second << "MESSAGE"
    network_is_quiet(first)
