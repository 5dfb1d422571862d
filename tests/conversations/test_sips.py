"""What is called by ``sips`` stays secure on every hop (RFC 5630, RFC 3261 section 26.2)."""

from __future__ import annotations

import pytest

from ringfence.message import Request
from ringfence.message.fields.warning import WARNING
from tests.conversations.network import Network
from tests.conversations.phones import Phone, network_is_quiet


@pytest.fixture
def secure(network: Network) -> Phone:
    """Alice's phone, registered with a sips contact."""
    alice = Phone(network, "alice", "198.51.100.10", "TLS", scheme="sips")
    alice >> alice.register() << 401 >> alice.authorized() << 200
    return alice


@pytest.fixture
def dan(network: Network) -> Phone:
    network.names.host("example.net", "203.0.113.9")
    return Phone(network, "dan", "203.0.113.9", "TLS", domain="example.net")


def warning(phone: Phone) -> int:
    found = phone.response.headers.first(WARNING)
    return found.code if found is not None else 0


def all_hops_are_tls(network: Network) -> None:
    """No request was written to a wire without TLS."""
    for message in network.traffic:
        if isinstance(message, Request):
            assert message.via.transport in {"TLS", "WSS"}


@pytest.mark.rfc("5630", "5.3")
def test_a_sips_call_reaches_a_sips_contact(network: Network, dan: Phone, secure: Phone) -> None:
    dan >> dan.invite("sips:alice@example.org") << 100
    secure << "INVITE"
    assert secure.request.uri == secure.contact
    assert all(route.startswith("<sips:") for route in secure.request.headers.values("Record-Route"))
    all_hops_are_tls(network)


@pytest.mark.rfc("5630", "5.3")
def test_a_sips_call_to_one_who_has_no_sips_contact(network: Network, dan: Phone, bob: Phone) -> None:
    network.traffic.clear()
    dan >> dan.invite("sips:bob@example.org") << 480
    assert warning(dan) == 380
    network_is_quiet(bob)
    all_hops_are_tls(network)


@pytest.mark.rfc("5630", "5.3")
def test_a_sip_call_to_a_sips_contact_goes_by_tls_with_nothing_but_the_scheme_changed(
    network: Network, secure: Phone
) -> None:
    dan = Phone(network, "dan", "203.0.113.9", domain="example.net")
    network.traffic.clear()
    dan >> dan.ask("MESSAGE", "sip:alice@example.org")
    secure << "MESSAGE"
    assert secure.request.uri == secure.contact.replace("sips:", "sip:")
    secure.wire.close("gone")
    network.settle()
    dan >> dan.ask("MESSAGE", "sip:alice@example.org")
    secure << "MESSAGE"
    assert secure.request.via.transport == "TLS"
    assert network.wires.dialled[-1][0] == "TLS"


@pytest.mark.rfc("5630", "5.2")
def test_the_schemes_of_a_registration_agree(network: Network) -> None:
    alice = Phone(network, "alice", "198.51.100.10", "TLS")
    sips = "<sips:alice@198.51.100.10>"
    alice >> alice.register(contact=sips) << 401 >> alice.authorized() << 400
    alice >> alice.register(contact="<sip:alice@198.51.100.10>", uri="sips:example.org", cseq=20) << 400
    path = ("Path", "<sip:p.example.net;lr>")
    alice >> alice.register(("Supported", "path"), path, contact=sips, uri="sips:example.org", cseq=30) << 400
    path = ("Path", "<sips:p.example.net;lr>")
    alice >> alice.register(("Supported", "path"), path, contact=sips, uri="sips:example.org", cseq=40) << 200


@pytest.mark.rfc("5630", "5.1.1.1")
def test_sip_and_sips_versions_of_a_contact_replace_each_other(secure: Phone) -> None:
    plain = secure.register(
        contact=f"<{secure.contact.replace('sips:', 'sip:')}>", uri="sip:example.org", cseq=20
    )
    secure >> plain << 200
    assert len(secure.response.headers.all("Contact")) == 1


@pytest.mark.rfc("5630", "5.2")
def test_sip_and_sips_addresses_are_one(secure: Phone) -> None:
    secure >> secure.register(contact="", uri="sip:example.org", to="<sip:alice@example.org>", cseq=20) << 200
    assert len(secure.response.headers.all("Contact")) == 1


@pytest.mark.rfc("3261", "26.2.2")
@pytest.mark.parametrize(
    "uri", ["sips:dan@example.net", "sips:dan@203.0.113.9", "sips:dan@example.net;transport=tcp"]
)
def test_a_sips_call_that_leaves_goes_by_tls(network: Network, secure: Phone, dan: Phone, uri: str) -> None:
    secure >> secure.ask("MESSAGE", uri)
    dan << "MESSAGE"
    assert dan.request.uri == uri
    all_hops_are_tls(network)


@pytest.mark.rfc("5630", "3.1.3")
def test_a_sips_call_never_goes_by_what_is_no_tls(network: Network, secure: Phone) -> None:
    network.traffic.clear()
    secure >> secure.ask("MESSAGE", "sips:dan@203.0.113.9;transport=udp")
    assert secure.inbox[0][0].status in {480, 500}  # type: ignore[union-attr]
    assert not [message for message in network.traffic if isinstance(message, Request)]


@pytest.mark.rfc("3261", "16.6")
def test_a_sips_request_by_a_sip_route_goes_by_tls(network: Network, secure: Phone) -> None:
    """16.6 step 7: "as if the input URI were a SIPS URI"."""
    network.names.host("p.example.net", "203.0.113.20")
    proxy = Phone(network, "p", "203.0.113.20", "TLS")
    secure >> secure.ask("MESSAGE", "sips:dan@example.net", ("Route", "<sip:p.example.net;lr>"))
    proxy << "MESSAGE"
    assert network.wires.dialled[-1] == ("TLS", ("203.0.113.20", 5061), "p.example.net")


@pytest.mark.rfc("3261", "16.6")
def test_a_sips_route_makes_a_sips_record_route(network: Network, dan: Phone) -> None:
    alice = Phone(network, "alice", "198.51.100.10", "TLS")
    network.names.host("p.example.net", "203.0.113.20")
    proxy = Phone(network, "p", "203.0.113.20", "TLS")
    alice >> alice.invite("sip:dan@example.net", ("Route", "<sips:p.example.net;lr>")) << 407 >> alice.ack()
    alice >> alice.authorized() << 100
    proxy << "INVITE"
    assert all(route.startswith("<sips:") for route in proxy.request.headers.values("Record-Route"))


@pytest.mark.rfc("3261", "16.7")
def test_a_sips_dialog_stays_secure(network: Network, dan: Phone, secure: Phone) -> None:
    dan.contact = "sips:dan@203.0.113.9:5061"
    network.traffic.clear()
    dan >> dan.invite("sips:alice@example.org") << 100
    secure << "INVITE" >> secure.answer(200)
    dan << 200
    dan.begin()
    dan >> dan.within("ACK")
    secure << "ACK" >> secure.within("BYE")
    dan << "BYE" >> dan.answer(200)
    secure << 200
    all_hops_are_tls(network)


def test_tls_that_cannot_be_had_is_no_reason_for_plaintext(network: Network, secure: Phone) -> None:
    network.names.host("example.net", "203.0.113.9")
    network.wires.dead.add(("TLS", ("203.0.113.9", 5061)))  # type: ignore[arg-type]
    network.traffic.clear()
    secure >> secure.invite("sips:dan@example.net") << 100 << 500
    assert len([message for message in network.traffic if isinstance(message, Request)]) <= 1
