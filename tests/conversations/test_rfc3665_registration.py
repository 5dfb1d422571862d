"""The registration flows of RFC 3665 section 2, and RFC 3261 section 10 step by step."""

from __future__ import annotations

import pytest

from ringfence.message.fields import CONTACT, STAR
from ringfence.store.records import Rights
from tests.conversations.network import Network
from tests.conversations.phones import Phone, network_is_quiet


def contacts(phone: Phone) -> list[str]:
    """The contacts in the response taken last, without what follows the URI."""
    return [str(contact.uri) for contact in phone.response.headers.every(CONTACT) if contact is not STAR]  # type: ignore[union-attr]


def expires(phone: Phone) -> list[int]:
    """How long each contact of the response lives."""
    found = phone.response.headers.every(CONTACT)
    return [int(contact.params.get("expires") or -1) for contact in found]  # type: ignore[union-attr]


def register(phone: Phone, *more: tuple[str, str], **how: object) -> Phone:
    """A REGISTER that answers the challenge by itself."""
    phone >> phone.register(*more, **how) << 401  # type: ignore[arg-type]
    return phone >> phone.authorized()


@pytest.mark.rfc("3665", "2.1")
@pytest.mark.rfc("3261", "10.3")
def test_a_new_registration(network: Network, alice: Phone) -> None:
    alice >> alice.register() << 401
    assert network.transactions == 0
    alice >> alice.authorized() << 200
    assert contacts(alice) == [alice.contact]
    assert expires(alice) == [3600]
    assert "Date" in alice.response.headers
    network_is_quiet(alice)


@pytest.mark.rfc("3665", "2.2")
@pytest.mark.rfc("3261", "10.2.4")
def test_a_second_contact_is_added_and_a_known_one_refreshed(network: Network, alice: Phone) -> None:
    register(alice) << 200
    register(alice, contact="<sip:alice@198.51.100.11>", call_id="other") << 200
    assert sorted(contacts(alice)) == ["sip:alice@198.51.100.10:5060", "sip:alice@198.51.100.11"]
    network.wait(1000)
    register(alice, cseq=20) << 200
    assert sorted(expires(alice)) == [2600, 3600]


@pytest.mark.rfc("3665", "2.3")
@pytest.mark.rfc("3261", "10.2.3")
def test_a_register_without_contact_only_asks(network: Network, alice: Phone) -> None:
    register(alice) << 200
    register(alice, contact="", cseq=20) << 200
    assert contacts(alice) == [alice.contact]
    register(alice, contact=f"<{alice.contact}>;expires=0", cseq=30) << 200
    register(alice, contact="", cseq=40) << 200
    assert contacts(alice) == []


@pytest.mark.rfc("3665", "2.4")
@pytest.mark.rfc("3261", "10.2.2")
def test_a_star_removes_every_contact(network: Network, alice: Phone) -> None:
    register(alice) << 200
    register(alice, contact="<sip:alice@198.51.100.11>", call_id="other") << 200
    register(alice, ("Expires", "0"), contact="*", cseq=20) << 200
    assert contacts(alice) == []


@pytest.mark.rfc("3665", "2.5")
def test_a_wrong_password_is_challenged_anew(network: Network, alice: Phone) -> None:
    alice >> alice.register() << 401 >> alice.authorized(password="wrong") << 401
    assert "stale" not in (alice.response.headers.get("WWW-Authenticate") or "")
    assert network.transactions == 0


@pytest.mark.rfc("3261", "10.3")
@pytest.mark.parametrize(
    ("fields", "contact"),
    [
        ((), "*"),
        ((("Expires", "60"),), "*"),
        ((("Expires", "0"),), "*, <sip:alice@198.51.100.10>"),
    ],
)
def test_a_star_stands_alone_with_expires_0(
    network: Network, alice: Phone, fields: tuple[tuple[str, str], ...], contact: str
) -> None:
    register(alice) << 200
    register(alice, *fields, contact=contact, cseq=20) << 400
    assert "Contact" in alice.response.reason
    assert len(network.store.bindings.lookup("sip:alice@example.org", 0)) == 1


@pytest.mark.rfc("3261", "10.3")
def test_a_registration_that_is_too_brief(network: Network, alice: Phone) -> None:
    register(alice, ("Expires", "20")) << 423
    assert alice.response.headers.get("Min-Expires") == "60"
    network.policy.registrar.min_expires = 7200
    register(alice, ("Expires", "3600"), cseq=20) << 200  # "if and only if" it is under an hour


@pytest.mark.rfc("3261", "10.3")
def test_the_expires_parameter_wins_over_the_header_field_and_both_over_the_default(
    network: Network, alice: Phone
) -> None:
    register(alice, ("Expires", "600"), contact=f"<{alice.contact}>;expires=300") << 200
    assert expires(alice) == [300]
    register(alice, ("Expires", "600"), cseq=20) << 200
    assert expires(alice) == [600]
    register(alice, contact=f"<{alice.contact}>;expires=soon", cseq=30) << 200
    assert expires(alice) == [3600]  # "malformed values SHOULD be treated as equivalent to 3600"
    register(alice, ("Expires", "4294967295"), cseq=40) << 200
    assert expires(alice) == [7200]  # the registrar may choose less


@pytest.mark.rfc("3261", "10.3")
def test_a_request_out_of_order_changes_nothing(network: Network, alice: Phone) -> None:
    register(alice, cseq=20) << 200
    register(alice, contact=f"<{alice.contact}>;expires=0", cseq=10) << 500
    assert "CSeq" in alice.response.reason
    register(alice, contact=f"<{alice.contact}>;expires=0", cseq=10, call_id="another") << 200
    assert contacts(alice) == []


@pytest.mark.rfc("3261", "10.3")
def test_all_contacts_of_a_request_are_changed_or_none(network: Network, alice: Phone) -> None:
    network.policy.registrar.max_contacts = 2
    three = ", ".join(f"<sip:alice@198.51.100.{host}>" for host in (1, 2, 3))
    register(alice, contact=three) << 403
    register(alice, contact="", cseq=20) << 200
    assert contacts(alice) == []
    register(alice, contact="<sip:alice@198.51.100.1>, <sip:alice@198.51.100.2>;expires=10", cseq=30) << 423
    register(alice, contact="", cseq=40) << 200
    assert contacts(alice) == []


def test_an_account_may_have_fewer_contacts_than_the_registrar_allows(network: Network) -> None:
    network.account("carol", rights=Rights(max_registrations=1))
    carol = Phone(network, "carol", "198.51.100.30")
    register(carol) << 200
    register(carol, cseq=10) << 200  # the one there is can always be refreshed
    register(carol, contact="<sip:carol@198.51.100.31>", call_id="more") << 403


def test_the_same_contact_twice_in_a_request_is_one(network: Network, alice: Phone) -> None:
    register(alice, contact=f"<{alice.contact}>;q=0.1, <{alice.contact}>;q=0.5") << 200
    assert contacts(alice) == [alice.contact]
    assert "q=0.5" in (alice.response.headers.get("Contact") or "")


@pytest.mark.rfc("3261", "10.3")
def test_contacts_are_compared_as_uris(network: Network, alice: Phone) -> None:
    register(alice, contact="<sip:alice@PC.example.net;transport=tcp>") << 200
    register(alice, contact="<sip:%61lice@pc.EXAMPLE.net;Transport=TCP>", cseq=20) << 200
    assert len(contacts(alice)) == 1


@pytest.mark.rfc("3261", "10.3")
def test_only_the_owner_changes_an_address(network: Network, alice: Phone) -> None:
    register(alice, to="<sip:bob@example.org>") << 403
    register(alice, to="<sip:alice@example.net>", cseq=10) << 404
    register(alice, to="<sip:example.org>", cseq=20) << 404


@pytest.mark.rfc("3261", "10.3")
def test_an_alias_of_the_domain_and_the_escapes_of_a_user_make_no_difference(
    network: Network, alice: Phone
) -> None:
    register(alice, to="<sip:%61lice@EXAMPLE.com;user=ip>", uri="sip:example.com") << 200
    register(alice, contact="", cseq=20) << 200
    assert contacts(alice) == [alice.contact]


@pytest.mark.rfc("3261", "10.3")
@pytest.mark.rfc("3261", "8.2.2.3")
def test_an_unknown_extension_is_refused(network: Network, alice: Phone) -> None:
    register(alice, ("Require", "path, teleport")) << 420
    assert alice.response.headers.get("Unsupported") == "teleport"


def test_contacts_that_are_no_sip_uris_are_kept_for_others(
    network: Network, alice: Phone, bob: Phone
) -> None:
    register(alice, contact="<tel:+358401234>, <mailto:alice@example.org>") << 200
    assert sorted(contacts(alice)) == ["mailto:alice@example.org", "tel:+358401234"]
    bob >> bob.invite("sip:alice@example.org") << 407 >> bob.ack() >> bob.authorized() << 480


@pytest.mark.rfc("5627", "5.1")
def test_a_contact_that_is_the_address_itself_is_refused(network: Network, alice: Phone) -> None:
    register(alice, contact="<sip:alice@example.org>") << 403
    register(alice, contact="<sip:alice@192.0.2.1>", cseq=20) << 403


@pytest.mark.rfc("3608", "6.3")
def test_the_service_route_is_told(network: Network, alice: Phone) -> None:
    network.policy.registrar.service_route = ("sip:edge1.example.org;lr", "sip:home.example.org;lr")
    register(alice) << 200
    wanted = ["<sip:edge1.example.org;lr>", "<sip:home.example.org;lr>"]
    assert alice.response.headers.all("Service-Route") == wanted
    register(alice, contact="", cseq=20) << 200
    assert alice.response.headers.all("Service-Route") == wanted


@pytest.mark.rfc("3327", "5.3")
def test_a_path_is_kept_and_told(network: Network, alice: Phone, bob: Phone) -> None:
    path = ("Path", "<sip:p1.example.net;lr>, <sip:p2.example.net;lr>")
    register(alice, ("Supported", "path"), path) << 200
    assert alice.response.headers.values("Path") == ["<sip:p1.example.net;lr>", "<sip:p2.example.net;lr>"]
    network.names.host("p1.example.net", "203.0.113.7")
    proxy = Phone(network, "p1", "203.0.113.7")
    bob >> bob.ask("MESSAGE", "sip:alice@example.org") << 407 >> bob.authorized()
    proxy << "MESSAGE"
    assert proxy.request.headers.values("Route") == ["<sip:p1.example.net;lr>", "<sip:p2.example.net;lr>"]
    assert proxy.request.uri == alice.contact


@pytest.mark.rfc("3327", "5.3")
def test_a_path_that_the_phone_does_not_know_of_is_refused(network: Network, alice: Phone) -> None:
    register(alice, ("Path", "<sip:evil.example.net;lr>")) << 420
    assert alice.response.headers.get("Unsupported") == "path"


@pytest.mark.rfc("3261", "10.3")
def test_a_register_for_another_domain_is_forwarded_there(network: Network, alice: Phone) -> None:
    network.names.host("example.net", "203.0.113.9")
    other = Phone(network, "registrar", "203.0.113.9", domain="example.net")
    request = alice.register(("Supported", "path"), uri="sip:example.net", to="<sip:alice@example.net>")
    alice >> request << 407  # as a proxy: 407, not 401
    alice >> alice.authorized()
    other << "REGISTER"
    assert "Proxy-Authorization" not in other.request.headers
    assert "Path" not in other.request.headers  # she is reachable without us
    other >> other.answer(200)
    alice << 200


@pytest.mark.rfc("3261", "10.3")
def test_a_record_route_in_a_register_is_ignored(network: Network, alice: Phone) -> None:
    register(alice, ("Record-Route", "<sip:p.example.net;lr>")) << 200
    assert "Record-Route" not in alice.response.headers


def test_a_contact_of_another_transport_is_one_more(network: Network, alice: Phone) -> None:
    register(alice) << 200
    register(alice, contact=f"<{alice.contact};transport=tcp>", call_id="2") << 200
    assert len(contacts(alice)) == 2


def test_registrations_end(network: Network, alice: Phone, bob: Phone) -> None:
    register(alice, ("Expires", "60")) << 200
    network.wait(61)
    bob >> bob.ask("MESSAGE", "sip:alice@example.org") << 407 >> bob.authorized() << 480
