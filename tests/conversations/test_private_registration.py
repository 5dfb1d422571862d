"""Anonymous registration, and calls back to an anonymous Contact (RFC 3323 section 4.4)."""

from __future__ import annotations

import pytest

from ringfence.message import NameAddr
from ringfence.message.fields import CONTACT
from ringfence.roles.bridge.legs import NAME
from ringfence.roles.peers import Peers
from tests.conversations.network import Network
from tests.conversations.phones import SDP, Phone, named, network_is_quiet
from tests.conversations.test_peers import NET, TRUSTED

ELSEWHERE = "sip:alice@example.net"


@pytest.fixture
def registrar(network: Network) -> Phone:
    """The registrar of example.net, where alice has an account too, and a caller from there."""
    network.policy.peers = Peers((TRUSTED,))
    network.names.host("example.net", "203.0.113.9")
    return Phone(network, "registrar", "203.0.113.9", "TLS", domain="example.net", peer=NET)


def register(alice: Phone, registrar: Phone, *fields: tuple[str, str], cseq: int = 1) -> str:
    """Alice registers at example.net by our node; gives the Contact that the registrar has seen."""
    request = alice.register(
        ("Privacy", "user"),
        *fields,
        cseq=cseq,
        to=f"<{ELSEWHERE}>",
        uri="sip:example.net",
        from_=f"<{ELSEWHERE}>",
    )
    request.headers.set("From", f"<sip:alice@example.org>;tag={alice.tag}")
    alice >> request
    if alice.inbox:
        alice << named(alice.inbox[0][0])
        alice >> alice.authorized(request)
    registrar << "REGISTER"
    contact = registrar.request.headers.first(CONTACT)
    assert isinstance(contact, NameAddr)
    return str(contact.uri)


@pytest.mark.rfc("3323", "4.4")
def test_a_registrar_elsewhere_sees_an_anonymous_contact(
    network: Network, alice: Phone, registrar: Phone
) -> None:
    contact = register(alice, registrar, ("User-Agent", "alice's phone"))
    text = registrar.request.to_bytes().decode()
    assert NAME in contact
    assert "198.51.100.10" not in text
    assert "alice's phone" not in text
    assert registrar.request.headers.get("To") == f"<{ELSEWHERE}>"
    assert registrar.request.headers.count("Via") == 1
    registrar >> registrar.answer(200, ("Contact", f"<{contact}>;expires=600"))
    alice << 200
    own = alice.response.headers.first(CONTACT)
    assert isinstance(own, NameAddr)
    assert str(own.uri) == alice.contact


def test_a_refresh_has_the_same_contact_and_call_id(network: Network, alice: Phone, registrar: Phone) -> None:
    first = register(alice, registrar)
    call_id = registrar.request.call_id
    registrar >> registrar.answer(200)
    alice << 200
    assert register(alice, registrar, cseq=9) == first
    assert registrar.request.call_id == call_id


@pytest.mark.rfc("3323", "4.4")
def test_calls_to_an_anonymous_contact_pass_the_service(
    network: Network, alice: Phone, registrar: Phone
) -> None:
    """And the callee behind it is as private as it was."""
    contact = register(alice, registrar)
    registrar >> registrar.answer(200)
    alice << 200
    registrar >> registrar.invite(contact, to=f"<{ELSEWHERE}>") << 100
    alice << "INVITE" >> alice.answer(180)
    registrar << 180
    alice >> alice.answer(
        200, ("Server", "alice's phone"), body=SDP.replace(b"198.51.100.10", b"203.0.113.80")
    )
    registrar << 200
    text = registrar.response.to_bytes().decode()
    assert "198.51.100.10" not in text
    assert "alice's phone" not in text
    registrar.begin()
    registrar >> registrar.within("ACK", cseq=1)
    alice << "ACK" >> alice.within("BYE")
    registrar << "BYE" >> registrar.answer(200)
    alice << 200
    network_is_quiet(alice, registrar)


def test_a_made_up_contact_leads_nowhere(network: Network, alice: Phone, registrar: Phone) -> None:
    registrar >> registrar.invite(f"sip:{NAME}r-AAAA@192.0.2.1:5060") << 404 >> registrar.ack()


def test_whoever_is_called_by_nobody_may_call_back_while_the_call_lasts(
    network: Network, alice: Phone, bob: Phone
) -> None:
    alice >> alice.invite(bob.aor, ("Privacy", "user;header")) << 407 >> alice.ack()
    alice >> alice.authorized() << 100
    bob << "INVITE"
    contact = bob.request.headers.first(CONTACT)
    assert isinstance(contact, NameAddr)
    bob >> bob.answer(180)
    alice << 180
    bob.tag += "-back"
    bob >> bob.invite(str(contact.uri)) << 407 >> bob.ack() >> bob.authorized() << 100
    alice << "INVITE" >> alice.answer(486) << "ACK"
    bob << 486
    assert "198.51.100.10" not in bob.response.to_bytes().decode()


@pytest.mark.rfc("3325", "7")
def test_a_trusted_peer_is_told_who_calls_and_asked_to_keep_it(
    network: Network, alice: Phone, registrar: Phone
) -> None:
    alice >> alice.invite("sip:carol@example.net", ("Privacy", "user;header")) << 407 >> alice.ack()
    alice >> alice.authorized() << 100
    registrar << "INVITE"
    headers = registrar.request.headers
    assert headers.get("P-Asserted-Identity") == "<sip:alice@example.org>"
    assert headers.get("Privacy") == "id"
    assert str(registrar.request.from_.uri) == "sip:anonymous@anonymous.invalid"
