"""Other domains and carriers that the configuration names (RFC 3324, RFC 3325, RFC 5922, RFC 5923)."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ringfence.roles.peers import Peer, PeerRole, Peers
from ringfence.transport.flow import PeerCertificate
from tests.conversations.network import Network
from tests.conversations.phones import Phone, network_is_quiet
from tests.security.pki import Pair, issue

ASSERTED = "P-Asserted-Identity"
ROOT = issue("Root", ca=True)


def certificate(domain: str, *, verified: bool = True) -> PeerCertificate:
    """What a connection of this domain shows."""
    names = [x509.UniformResourceIdentifier(f"sip:{domain}")]
    der = issue(domain, ROOT, names=names).certificate.public_bytes(Encoding.DER)
    return PeerCertificate(der, verified, (der,))


NET = certificate("example.net")
TRUSTED = Peer("net", "example.net", frozenset({"example.net"}), transport="TLS", trusted=True)
CARRIER = Peer("carrier", networks=(ip_network("203.0.113.64/28"),), trusted=True)
FRIEND = Peer("friend", "friend.example", frozenset({"friend.example"}))


@pytest.fixture
def peers(network: Network) -> Network:
    network.policy.peers = Peers((TRUSTED, CARRIER, FRIEND))
    network.names.host("example.net", "203.0.113.9")
    network.names.host("friend.example", "203.0.113.30")
    network.names.host("stranger.example", "203.0.113.50")
    return network


@pytest.fixture
def dan(peers: Network) -> Phone:
    """A proxy of example.net, known by its certificate."""
    return Phone(peers, "dan", "203.0.113.9", "TLS", domain="example.net", peer=NET)


@pytest.fixture
def carrier(peers: Network) -> Phone:
    """A carrier's gateway, known by its address."""
    return Phone(peers, "gateway", "203.0.113.65", domain="carrier.example")


@pytest.fixture
def stranger(peers: Network) -> Phone:
    return Phone(peers, "eve", "203.0.113.50", domain="stranger.example")


def asserted(phone: Phone) -> list[str]:
    return phone.last.headers.values(ASSERTED)


# -- who is a peer -------------------------------------------------------------------------------------


@pytest.mark.rfc("5922", "7.4")
@pytest.mark.parametrize(
    "shown",
    [
        None,
        certificate("example.net", verified=False),
        certificate("evil.example"),
        certificate("sub.example.net"),
    ],
    ids=["none", "not verified", "another name", "a part of the domain"],
)
def test_without_its_certificate_a_peer_is_a_stranger(peers: Network, shown: PeerCertificate | None) -> None:
    eve = Phone(peers, "eve", "203.0.113.50", "TLS", domain="example.net", peer=shown)
    eve >> eve.ask("MESSAGE", "sip:x@stranger.example") << 407
    eve >> eve.ask("MESSAGE", "sip:bob@example.org", from_="<sip:alice@example.org>") << 407


def test_a_trusted_peer_is_not_challenged(dan: Phone, carrier: Phone, bob: Phone) -> None:
    for peer in (dan, carrier):
        peer >> peer.ask("MESSAGE", "sip:bob@example.org", from_="<sip:alice@example.org>")
        bob << "MESSAGE" >> bob.answer(200)
        peer << 200


def test_a_trusted_peer_may_send_through_us(dan: Phone, stranger: Phone) -> None:
    dan >> dan.ask("MESSAGE", "sip:eve@stranger.example")
    stranger << "MESSAGE"


def test_an_address_outside_the_network_is_none(peers: Network) -> None:
    eve = Phone(peers, "eve", "203.0.113.80", domain="carrier.example")
    eve >> eve.ask("MESSAGE", "sip:x@stranger.example") << 407


def test_a_peer_that_is_not_trusted_may_call_our_users_and_nobody_else(peers: Network, bob: Phone) -> None:
    friend = Phone(
        peers, "fred", "203.0.113.30", "TLS", domain="friend.example", peer=certificate("friend.example")
    )
    friend >> friend.ask("MESSAGE", "sip:bob@example.org")
    bob << "MESSAGE"
    friend >> friend.ask("MESSAGE", "sip:eve@stranger.example") << 407
    friend >> friend.ask("MESSAGE", "sip:bob@example.org", from_="<sip:alice@example.org>") << 407


def test_nobody_registers_on_the_word_of_a_peer(dan: Phone) -> None:
    dan >> dan.register(to="<sip:bob@example.org>", uri="sip:example.org") << 401


@pytest.mark.rfc("5626", "5.3")
def test_a_peer_is_reached_as_dns_says_and_not_by_its_connection(dan: Phone, bob: Phone) -> None:
    dan >> dan.invite("sip:bob@example.org") << 100
    bob << "INVITE"
    assert all("@" not in route for route in bob.request.headers.values("Record-Route"))


# -- P-Asserted-Identity that comes in -----------------------------------------------------------------


@pytest.mark.rfc("3325", "5")
def test_what_a_trusted_peer_asserts_reaches_our_users(dan: Phone, bob: Phone) -> None:
    dan >> dan.ask(
        "MESSAGE", "sip:bob@example.org", (ASSERTED, '"Dan" <sip:dan@example.net>, <tel:+358401234>')
    )
    bob << "MESSAGE"
    assert asserted(bob) == ['"Dan" <sip:dan@example.net>', "<tel:+358401234>"]


@pytest.mark.rfc("3325", "5")
@pytest.mark.parametrize("name", [ASSERTED, "P-Preferred-Identity"])
def test_what_a_stranger_asserts_is_removed(stranger: Phone, bob: Phone, name: str) -> None:
    stranger >> stranger.ask("MESSAGE", "sip:bob@example.org", (name, "<sip:alice@example.org>"))
    bob << "MESSAGE"
    assert ASSERTED not in bob.request.headers
    assert "P-Preferred-Identity" not in bob.request.headers


@pytest.mark.rfc("3325", "5")
def test_what_a_user_asserts_is_removed_and_what_it_prefers_must_be_its_own(
    peers: Network, alice: Phone, dan: Phone
) -> None:
    peers.account("alice", aliases=("sip:sales@example.org",))
    alice >> alice.ask("MESSAGE", "sip:dan@example.net", (ASSERTED, "<sip:bob@example.org>")) << 407
    alice >> alice.authorized()
    dan << "MESSAGE"
    assert asserted(dan) == ["<sip:alice@example.org>"]
    (
        alice
        >> alice.ask("MESSAGE", "sip:dan@example.net", ("P-Preferred-Identity", "<sip:sales@example.org>"))
        << 407
    )
    alice >> alice.authorized()
    dan << "MESSAGE"
    assert asserted(dan) == ["<sip:sales@example.org>"]
    assert "P-Preferred-Identity" not in dan.request.headers
    (
        alice
        >> alice.ask("MESSAGE", "sip:dan@example.net", ("P-Preferred-Identity", "<sip:bob@example.org>"))
        << 407
    )
    alice >> alice.authorized() << 403


@pytest.mark.rfc("5876", "4.5")
def test_more_than_one_sip_and_one_tel_identity_is_too_much(dan: Phone, bob: Phone) -> None:
    values = "<sip:dan@example.net>, <sip:other@example.net>, <mailto:x@example.net>"
    dan >> dan.ask("MESSAGE", "sip:bob@example.org", (ASSERTED, values))
    bob << "MESSAGE"
    assert asserted(bob) == ["<sip:dan@example.net>"]


# -- and that goes out ---------------------------------------------------------------------------------


@pytest.mark.rfc("3325", "5")
@pytest.mark.parametrize("privacy", [(), (("Privacy", "id"),)])
def test_a_trusted_peer_is_told_who_calls(
    alice: Phone, dan: Phone, privacy: tuple[tuple[str, str], ...]
) -> None:
    anonymous = "Anonymous <sip:anonymous@anonymous.invalid>"
    (
        alice
        >> alice.ask("MESSAGE", "sip:dan@example.net", *privacy, from_=anonymous)
        << 407
        >> alice.authorized()
    )
    dan << "MESSAGE"
    assert asserted(dan) == ["<sip:alice@example.org>"]
    assert dan.request.headers.all("Privacy") == [value for _, value in privacy]


@pytest.mark.rfc("3325", "7")
def test_others_are_told_nothing(alice: Phone, stranger: Phone, dan: Phone) -> None:
    alice >> alice.ask("MESSAGE", "sip:eve@stranger.example") << 407 >> alice.authorized()
    stranger << "MESSAGE"
    assert ASSERTED not in stranger.request.headers
    dan >> dan.ask("MESSAGE", "sip:eve@stranger.example", (ASSERTED, "<sip:dan@example.net>"))
    stranger << "MESSAGE"
    assert ASSERTED not in stranger.request.headers


@pytest.mark.rfc("3325", "7")
def test_id_privacy_is_kept_towards_our_users(dan: Phone, bob: Phone) -> None:
    dan >> dan.ask("MESSAGE", "sip:bob@example.org", (ASSERTED, "<sip:dan@example.net>"), ("Privacy", "id"))
    bob << "MESSAGE"
    assert ASSERTED not in bob.request.headers


@pytest.mark.rfc("3325", "7")
def test_one_who_asks_for_no_privacy_is_told_of(dan: Phone, stranger: Phone) -> None:
    fields = ((ASSERTED, "<sip:dan@example.net>"), ("Privacy", "none"))
    dan >> dan.ask("MESSAGE", "sip:eve@stranger.example", *fields)
    stranger << "MESSAGE"
    assert asserted(stranger) == ["<sip:dan@example.net>"]


@pytest.mark.rfc("3324", "4")
def test_a_peer_that_could_be_somebody_else_is_told_nothing(peers: Network, alice: Phone) -> None:
    """Where the hop is no TLS, whoever is at the address might be anybody."""
    peers.policy.peers = Peers((Peer("net", "example.net", frozenset({"example.net"}), trusted=True),))
    dan = Phone(peers, "dan", "203.0.113.9", domain="example.net")
    alice >> alice.ask("MESSAGE", "sip:dan@example.net") << 407 >> alice.authorized()
    dan << "MESSAGE"
    assert ASSERTED not in dan.request.headers


# -- responses -----------------------------------------------------------------------------------------


@pytest.mark.rfc("3325", "5")
def test_what_our_users_assert_in_responses_is_removed(dan: Phone, bob: Phone) -> None:
    dan >> dan.ask("MESSAGE", "sip:bob@example.org")
    bob << "MESSAGE" >> bob.answer(200, (ASSERTED, "<sip:ceo@example.org>"))
    dan << 200
    assert ASSERTED not in dan.response.headers


@pytest.mark.rfc("3325", "7")
@pytest.mark.parametrize(("privacy", "told"), [("", True), ("id", False)])
def test_what_a_trusted_peer_asserts_in_responses(alice: Phone, dan: Phone, privacy: str, told: bool) -> None:
    alice >> alice.ask("MESSAGE", "sip:dan@example.net") << 407 >> alice.authorized()
    dan << "MESSAGE"
    more = [("Privacy", privacy)] if privacy else []
    dan >> dan.answer(200, (ASSERTED, "<sip:dan@example.net>"), *more)
    alice << 200
    assert (ASSERTED in alice.response.headers) == told


# -- how a peer is reached -----------------------------------------------------------------------------


def test_calls_to_a_peer_take_its_transport(peers: Network, alice: Phone, dan: Phone) -> None:
    alice >> alice.ask("MESSAGE", "sip:dan@example.net") << 407 >> alice.authorized()
    dan << "MESSAGE"
    assert dan.request.uri == "sip:dan@example.net"
    assert peers.wires.dialled[-1] == ("TLS", ("203.0.113.9", 5061), "example.net")


@pytest.mark.rfc("5923", "8.2")
def test_a_connection_that_a_peer_offers_is_used(peers: Network, dan: Phone, alice: Phone) -> None:
    request = dan.ask("OPTIONS", "sip:example.org")
    request.headers.set("Via", f"{dan.via()};alias")
    dan >> request << 200
    alice >> alice.ask("MESSAGE", "sip:dan@example.net") << 407 >> alice.authorized()
    dan << "MESSAGE"
    assert dan.arrived_by is dan.wire
    network_is_quiet(dan)


def test_a_stranger_cannot_offer_a_connection(peers: Network, alice: Phone, dan: Phone) -> None:
    eve = Phone(peers, "eve", "203.0.113.9", "TLS")
    peers.places["203.0.113.9"] = lambda message, wire: (eve.inbox if wire is eve.wire else dan.inbox).append(
        (message, wire)
    )
    request = eve.ask("OPTIONS", "sip:example.org", from_="<sip:eve@stranger.example>")
    request.headers.set("Via", f"{eve.via()};alias")
    eve >> request << 200
    alice >> alice.ask("MESSAGE", "sip:dan@example.net") << 407 >> alice.authorized()
    dan << "MESSAGE"
    network_is_quiet(eve)


def test_a_peer_that_comes_by_tls_is_not_known_by_the_address_of_a_datagram(
    peers: Network, carrier: Phone
) -> None:
    networks = (ip_network("203.0.113.64/28"),)
    peers.policy.peers = Peers((Peer("carrier", networks=networks, transport="TLS", trusted=True),))
    carrier >> carrier.ask("MESSAGE", "sip:x@203.0.113.50") << 407
    secure = Phone(peers, "gateway", "203.0.113.66", "TLS", domain="carrier.example")
    secure >> secure.ask("MESSAGE", "sip:x@example.org") << 480


def test_a_peer_that_comes_by_connections_is_not_known_by_the_address_of_a_datagram(
    peers: Network, carrier: Phone
) -> None:
    networks = (ip_network("203.0.113.64/28"),)
    peers.policy.peers = Peers((Peer("carrier", networks=networks, transport="TCP", trusted=True),))
    carrier >> carrier.ask("MESSAGE", "sip:x@203.0.113.50") << 407
    connected = Phone(peers, "gateway", "203.0.113.66", "TCP", domain="carrier.example")
    connected >> connected.ask("MESSAGE", "sip:x@example.org") << 480


@pytest.mark.parametrize("role", [PeerRole.DOMAIN, PeerRole.EDGE])
def test_one_domains_authority_does_not_vouch_for_another_peer(peers: Network, role: PeerRole) -> None:
    """TLS trusts both; a certificate for the name of the trusted one is easily made by the other."""

    def shown(root: Pair) -> PeerCertificate:
        names = [x509.UniformResourceIdentifier("sip:example.net")]
        pair = issue("example.net", root, names=names)
        chain = tuple(one.certificate.public_bytes(Encoding.DER) for one in (pair, root))
        return PeerCertificate(chain[0], True, chain)

    roots = frozenset({ROOT.certificate.public_bytes(Encoding.DER)})
    peer = Peer("net", "", frozenset({"example.net"}), transport="TLS", trusted=True, role=role, roots=roots)
    peers.policy.peers = Peers((peer,))
    other = issue("Another root", ca=True)
    for root, inside in ((ROOT, True), (other, False)):
        phone = Phone(peers, "dan", "203.0.113.9", "TLS", domain="example.net", peer=shown(root))
        assert (peers.policy.peers.recognise(phone.wire) is peer) is inside
        assert peers.policy.peers.trusted_at(phone.wire, "example.net") is inside


def test_the_old_way_to_claim_who_calls_is_taken_off_too(network: Network, alice: Phone, bob: Phone) -> None:
    """Remote-Party-ID (draft-ietf-sip-privacy-04), which many phones still show."""
    alice >> alice.invite(bob.aor, ("Remote-Party-ID", "<sip:boss@example.org>;party=calling")) << 407
    alice >> alice.ack() >> alice.authorized() << 100
    bob << "INVITE"
    assert "boss" not in str(bob.request.to_bytes())


@pytest.mark.rfc("7315", "4.6")
def test_who_is_charged_is_not_for_a_phone_to_say(network: Network, alice: Phone, bob: Phone) -> None:
    charging = ("P-Charging-Vector", "icid-value=1;orig-ioi=boss.example")
    alice >> alice.invite(bob.aor, charging, ("P-Charging-Function-Addresses", "ccf=boss.example")) << 407
    alice >> alice.ack() >> alice.authorized() << 100
    bob << "INVITE"
    assert "boss" not in str(bob.request.to_bytes())
