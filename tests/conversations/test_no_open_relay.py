"""Who may send what through us: our users, whoever calls our users, and whoever is in a call that we let in."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from ringfence.message import Request
from ringfence.roles.peers import Peer, Peers
from ringfence.roles.policy import ChallengeMode
from ringfence.store.records import DEFAULT_METHODS, Rights
from tests.conversations.network import Network
from tests.conversations.phones import Phone, network_is_quiet


@pytest.fixture
def dan(network: Network) -> Phone:
    """A phone of another domain."""
    network.names.host("example.net", "203.0.113.9")
    return Phone(network, "dan", "203.0.113.9", domain="example.net")


@pytest.fixture
def talking(network: Network, dan: Phone, bob: Phone) -> Phone:
    """Dan, who has called Bob."""
    dan >> dan.invite("sip:bob@example.org") << 100
    bob << "INVITE" >> bob.answer(200)
    dan << 200
    return dan.begin()


# -- strangers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method", ["INVITE", "OPTIONS", "MESSAGE", "SUBSCRIBE", "REFER", "PUBLISH", "FROBNICATE"]
)
def test_a_stranger_may_call_our_users(dan: Phone, bob: Phone, method: str) -> None:
    dan >> dan.ask(method, "sip:bob@example.org")
    bob << method


@pytest.mark.parametrize(
    "method", ["INVITE", "OPTIONS", "MESSAGE", "SUBSCRIBE", "BYE", "INFO", "REGISTER", "FROBNICATE"]
)
def test_a_stranger_may_not_call_through_us(network: Network, dan: Phone, method: str) -> None:
    network.names.host("example.com.invalid", "203.0.113.10")
    victim = Phone(network, "victim", "203.0.113.10", domain="victim.example")
    dan >> dan.ask(method, "sip:victim@203.0.113.10") << 407
    dan >> dan.ask(method, "sip:x@example.org", ("Route", "<sip:203.0.113.10;lr>")) << 407
    dan >> dan.ask(method, "sip:x@203.0.113.10", ("Route", "<sip:192.0.2.1;lr>")) << 407
    dan >> dan.ask(method, "sip:x@example.org;maddr=203.0.113.10") << 407
    network_is_quiet(victim)


def test_a_stranger_who_names_an_address_of_ours_is_challenged(
    network: Network, dan: Phone, bob: Phone
) -> None:
    for address in ("alice@example.org", "alice@EXAMPLE.com", "alice@192.0.2.1", "nobody@proxy.example.org"):
        dan >> dan.ask("MESSAGE", "sip:bob@example.org", from_=f"<sip:{address}>") << 407
    dan >> dan.ask("MESSAGE", "sip:bob@example.org", from_="<tel:+358401234567>") << 407
    network_is_quiet(bob)


def test_a_stranger_does_not_learn_who_exists(network: Network, dan: Phone) -> None:
    dan >> dan.ask("MESSAGE", "sip:alice@example.org") << 480
    first = dan.response.reason
    dan >> dan.ask("MESSAGE", "sip:nobody@example.org") << 480
    assert dan.response.reason == first


def test_a_user_is_told_that_there_is_no_such_address(alice: Phone) -> None:
    alice >> alice.ask("MESSAGE", "sip:nobody@example.org") << 407 >> alice.authorized() << 404
    alice >> alice.ask("MESSAGE", "sip:bob@example.org") << 407 >> alice.authorized() << 480


@pytest.mark.rfc("3261", "11")
def test_anybody_may_ask_what_the_domain_can_do(dan: Phone) -> None:
    dan >> dan.ask("OPTIONS", "sip:example.org") << 200
    for name in ("Allow", "Accept", "Accept-Encoding", "Accept-Language", "Supported"):
        assert name in dan.response.headers
    dan >> dan.ask("OPTIONS", "sip:example.org", ("Require", "teleport")) << 420
    assert dan.response.headers.get("Unsupported") == "teleport"
    dan >> dan.ask("MESSAGE", "sip:example.org") << 404


def test_methods_that_need_no_credentials_still_go_nowhere_else(
    network: Network, dan: Phone, bob: Phone
) -> None:
    network.policy.unauthenticated_methods = frozenset({"OPTIONS", "REGISTER"})
    dan >> dan.ask("OPTIONS", "sip:bob@example.org", from_="<sip:alice@example.org>")
    bob << "OPTIONS"
    dan >> dan.ask("OPTIONS", "sip:x@203.0.113.10") << 407
    dan >> dan.register(to="<sip:bob@example.org>", uri="sip:example.org") << 401


# -- users ---------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261", "22.1")
def test_from_is_an_address_of_the_account(network: Network, dan: Phone) -> None:
    network.account("alice", aliases=("sip:sales@example.org", "sip:+358401234567@example.org"))
    alice = Phone(network, "alice", "198.51.100.10")
    for address in ("bob@example.org", "alice@example.net", "+358409999999@example.org"):
        alice >> alice.ask("MESSAGE", "sip:dan@example.net", from_=f"<sip:{address}>") << 407
        alice >> alice.authorized() << 403
    own = (
        "alice@example.org",
        "%61lice@example.com",
        "alice@192.0.2.1",
        "sales@example.org",
        "+358401234567@example.org;user=phone",
    )
    for address in own:
        (
            alice
            >> alice.ask("MESSAGE", "sip:dan@example.net", from_=f"<sip:{address}>")
            << 407
            >> alice.authorized()
        )
        dan << "MESSAGE" >> dan.answer(200)
        alice << 200
    alice >> alice.ask("MESSAGE", "sip:dan@example.net", from_="<sip:anonymous@anonymous.invalid>") << 407
    alice >> alice.authorized()
    dan << "MESSAGE"


def allowed(network: Network, rights: Rights, uri: str, method: str = "MESSAGE") -> bool:
    network.account("alice", rights=rights)
    alice = Phone(network, "alice", "198.51.100.10")
    alice >> alice.ask(method, uri) << 407 >> alice.authorized()
    if alice.inbox and getattr(alice.inbox[0][0], "status", 0) == 403:
        return False
    alice.inbox.clear()
    return True


def test_rights_are_kept(network: Network, dan: Phone, bob: Phone) -> None:
    assert allowed(network, Rights(), "sip:dan@example.net")
    assert not allowed(network, Rights(deny=("sip:dan@",)), "sip:dan@example.net")
    assert not allowed(network, Rights(methods=DEFAULT_METHODS - {"MESSAGE"}), "sip:bob@example.org")
    assert not allowed(network, Rights(allow=()), "sip:bob@example.org")


def test_a_destination_is_the_same_however_it_is_written(network: Network, bob: Phone) -> None:
    rights = Rights(deny=("sip:bob@example.org",))
    for uri in (
        "sip:bob@example.org",
        "sips:bob@example.org",
        "sip:bob@example.com",
        "sip:bob@192.0.2.1",
        "sip:%62ob@EXAMPLE.ORG;x=y",
    ):
        assert not allowed(network, rights, uri), uri


def test_a_number_of_another_domain_needs_the_right_to_numbers(network: Network, dan: Phone) -> None:
    assert not allowed(network, Rights(), "sip:+358401234567@example.net")
    assert not allowed(network, Rights(), "sip:1234@example.net;user=phone")
    assert allowed(network, Rights(allow=("sip:", "tel:+358")), "sip:+358401234567@example.net")
    assert not allowed(network, Rights(allow=("sip:", "tel:+358")), "sip:+1900555@example.net")


# -- dialogs -------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261", "16.4")
def test_what_belongs_to_a_call_that_we_let_in_passes(talking: Phone, bob: Phone) -> None:
    talking >> talking.within("ACK")
    bob << "ACK"
    bob >> bob.within("INFO")
    talking << "INFO" >> talking.answer(200)
    bob << 200
    talking >> talking.within("INVITE")
    bob << "INVITE" >> bob.answer(200)
    talking << 100 << 200 >> talking.within("BYE")
    bob << "BYE" >> bob.answer(200)
    talking << 200


def forged(request: Request, how: str) -> Request:
    route = request.headers.get("Route") or ""
    if how == "another call":
        request.headers.set("Call-ID", "another")
    elif how == "no token":
        request.headers.set("Route", route.split(";rf=")[0] + ">")
    elif how == "a token of one's own":
        request.headers.set("Route", route.split(";rf=")[0] + ";rf=AAAAAAAAAAAA>")
    elif how == "no tag":
        request.headers.set("To", f"<{request.to.uri}>")
    return request


@pytest.mark.parametrize("how", ["another call", "no token", "a token of one's own", "no tag"])
def test_a_forged_dialog_is_challenged(network: Network, talking: Phone, bob: Phone, how: str) -> None:
    request = talking.within("INVITE")
    request.uri = "sip:victim@203.0.113.10"
    talking >> forged(request, how) << 407
    talking >> forged(talking.within("ACK"), how)
    if how == "no tag":
        bob << "ACK"  # of a callee that gives none: it goes to whom it belongs, and begins nothing
    network_is_quiet(bob, talking)


@pytest.fixture
def victim(network: Network) -> Phone:
    """Somebody of a third domain, who has nothing to do with any of this."""
    return Phone(network, "victim", "203.0.113.10", domain="victim.example")


ANYWHERE = "sip:victim@203.0.113.10"


@pytest.mark.parametrize("way", ["uri", "route", "maddr"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "REFER", "BYE", "ACK"])
def test_a_call_to_a_user_of_ours_is_no_pass_to_anywhere(
    talking: Phone, bob: Phone, victim: Phone, method: str, way: str
) -> None:
    request = talking.within(method)
    if way == "uri":
        request.uri = ANYWHERE
    elif way == "route":
        request.headers.add("Route", f"<{ANYWHERE};lr>")
    else:
        request.uri += ";maddr=203.0.113.10"
    talking >> request
    bob << method  # whatever it says: it takes the way of the call, to the phone that was called
    assert bob.arrived_by.remote.host == "198.51.100.20"
    network_is_quiet(victim)


def test_a_stranger_can_not_speak_for_the_user_it_calls(
    network: Network, dan: Phone, bob: Phone, victim: Phone
) -> None:
    dan.contact = ANYWHERE
    dan >> dan.invite("sip:bob@example.org") << 100
    bob << "INVITE" >> bob.answer(200)
    dan << 200
    request = bob.within("INVITE")
    request.uri = ANYWHERE
    request.headers.set("Via", "SIP/2.0/UDP 203.0.113.9:5060;branch=z9hG4bKstolen;rport")
    dan >> request << 407
    network_is_quiet(victim, bob)


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "BYE"])
def test_whom_our_user_has_called_may_send_to_that_user_only(
    alice: Phone, dan: Phone, victim: Phone, method: str
) -> None:
    alice >> alice.invite("sip:dan@example.net") << 407 >> alice.ack() >> alice.authorized() << 100
    dan << "INVITE" >> dan.answer(200)
    alice << 200
    request = dan.within(method)
    request.uri = ANYWHERE
    dan >> request << 407
    dan >> dan.within("INFO")
    alice << "INFO"
    network_is_quiet(victim)


@pytest.mark.parametrize("transport", ["UDP", "TLS"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_number_that_may_not_be_called_may_not_be_called_inside_a_dialog(
    network: Network, dan: Phone, victim: Phone, method: str, transport: str
) -> None:
    network.account("alice")
    alice = Phone(network, "alice", "198.51.100.10", transport)
    alice >> alice.invite("sip:dan@example.net") << 407 >> alice.ack() >> alice.authorized() << 100
    dan << "INVITE" >> dan.answer(200)
    alice << 200
    request = alice.begin().within(method)
    request.uri = "sip:+1900555@203.0.113.10"
    alice >> request
    if transport == "UDP":
        alice << 407 >> alice.authorized(alice.sent)
    alice << 403
    network_is_quiet(victim, dan)


@pytest.mark.parametrize("transport", ["UDP", "TLS"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "REFER", "SUBSCRIBE"])
def test_an_address_that_is_denied_is_denied_inside_a_dialog(
    network: Network, dan: Phone, victim: Phone, method: str, transport: str
) -> None:
    network.account("alice", rights=Rights(deny=("sip:victim@203.0.113.10",)))
    alice = Phone(network, "alice", "198.51.100.10", transport)
    alice >> alice.invite("sip:dan@example.net") << 407 >> alice.ack() >> alice.authorized() << 100
    dan << "INVITE" >> dan.answer(200)
    alice << 200
    request = alice.begin().within(method)
    request.uri = ANYWHERE
    alice >> request
    if transport == "UDP":
        alice << 407 >> alice.authorized(alice.sent)
    alice << 403
    # What goes to whom was called passes, once it is known who sends it; a BYE is nobody's call.
    alice >> alice.within(method)
    if transport == "UDP":
        alice << 407 >> alice.authorized(alice.sent)
    dan << method >> dan.answer(200)
    alice >> alice.within("BYE", cseq=90)
    dan << "BYE"
    network_is_quiet(victim)


@pytest.mark.parametrize("sender", ["peer", "callee"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "BYE", "ACK"])
def test_two_who_are_both_not_ours_reach_each_other_and_nobody_else(
    network: Network, dan: Phone, victim: Phone, method: str, sender: str
) -> None:
    """A trusted peer may send its calls through us; whom it calls must not make a relay of that."""
    network.policy.peers = Peers([Peer("carrier", networks=(ip_network("203.0.113.64/28"),), trusted=True)])
    carrier = Phone(network, "gateway", "203.0.113.65", domain="carrier.example")
    carrier >> carrier.invite("sip:dan@example.net") << 100
    dan << "INVITE" >> dan.answer(200)
    carrier << 200
    carrier.begin()
    dan >> dan.within("INFO")
    carrier << "INFO" >> carrier.answer(200)
    dan << 200
    request = dan.within(method)
    request.uri = ANYWHERE
    if sender == "peer":  # as the callee could write it, who has seen all that the caller writes
        request.headers.set("From", carrier.dialog.local)
        request.headers.set("To", carrier.dialog.remote)
    dan >> request
    if method != "ACK":
        dan << 407
    network_is_quiet(victim, carrier)


def test_a_phone_of_ours_that_answers_with_another_host_than_it_registered(
    network: Network, dan: Phone, bob: Phone, victim: Phone
) -> None:
    """Who calls it over UDP reaches it by the way that it answered on, and still reaches nobody else."""
    bob.contact = "sip:bob@198.51.100.99"
    dan >> dan.invite("sip:bob@example.org") << 100
    bob << "INVITE" >> bob.answer(200)
    dan << 200
    dan.begin()
    for method in ("ACK", "INFO", "BYE"):
        dan >> dan.within(method)
        bob << method
        assert bob.request.uri == "sip:bob@198.51.100.99"
        assert bob.arrived_by.remote.host == "198.51.100.20"
    network_is_quiet(victim)


def test_a_user_who_has_moved_proves_who_it_is(network: Network, alice: Phone, dan: Phone) -> None:
    alice >> alice.invite("sip:dan@example.net") << 407 >> alice.ack() >> alice.authorized() << 100
    dan << "INVITE" >> dan.answer(200)
    alice << 200
    moved = Phone(network, "alice", "198.51.100.77")
    moved.dialog = alice.begin().dialog
    moved >> moved.within("BYE") << 407 >> moved.authorized(moved.sent)
    dan << "BYE"


@pytest.mark.rfc("3261", "22.1")
def test_an_ack_outside_any_call_goes_nowhere(network: Network, dan: Phone) -> None:
    victim = Phone(network, "victim", "203.0.113.10", domain="victim.example")
    dan >> dan.ask("ACK", "sip:victim@203.0.113.10", to="<sip:victim@203.0.113.10>;tag=1")
    network_is_quiet(victim, dan)


def test_an_ack_to_a_user_of_ours_reaches_it(network: Network, dan: Phone, bob: Phone) -> None:
    network.policy.record_route = False
    dan >> dan.invite("sip:bob@example.org") << 100
    bob << "INVITE"
    assert "Record-Route" not in bob.request.headers
    dan >> dan.ask("ACK", "sip:bob@example.org", to="<sip:bob@example.org>;tag=1")
    bob << "ACK"


def test_without_record_route_later_requests_are_judged_anew(
    network: Network, alice: Phone, dan: Phone
) -> None:
    network.policy.record_route = False
    alice >> alice.invite("sip:dan@example.net") << 407 >> alice.ack() >> alice.authorized() << 100
    dan << "INVITE" >> dan.answer(200)
    alice << 200
    alice.begin()
    alice >> alice.within("BYE") << 407
    alice >> alice.authorized(alice.sent)
    dan << "BYE"


def test_where_nobody_is_challenged_everything_passes(network: Network, dan: Phone) -> None:
    network.policy.challenge = ChallengeMode.NONE
    victim = Phone(network, "victim", "203.0.113.10", domain="victim.example")
    dan >> dan.ask("MESSAGE", "sip:victim@203.0.113.10")
    victim << "MESSAGE"
    dan >> dan.ask("ACK", "sip:victim@203.0.113.10", to="<sip:victim@203.0.113.10>;tag=1")
    victim << "ACK"
