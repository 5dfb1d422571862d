"""Addresses of one phone (RFC 5627)."""

from __future__ import annotations

import pytest

from ringfence.message import SipUri, parse_uri
from ringfence.message.fields import CONTACT
from tests.conversations.network import Network
from tests.conversations.phones import Phone, network_is_quiet

URN = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
GRUU = ("Supported", "gruu, outbound, path")


def contact(phone: Phone, reg_id: int | None = None, urn: str = URN) -> str:
    number = "" if reg_id is None else f";reg-id={reg_id}"
    return f'<{phone.contact}>;+sip.instance="<{urn}>"{number}'


def register(
    phone: Phone, *, call_id: str = "1", cseq: int = 1, reg_id: int | None = None, made: str = ""
) -> Phone:
    """Register with GRUUs; the challenge is answered when there is one."""
    phone >> phone.register(GRUU, contact=made or contact(phone, reg_id), call_id=call_id, cseq=cseq)
    if phone.inbox[0][0].status == 401:  # type: ignore[union-attr]
        phone << 401 >> phone.authorized()
    return phone << 200


def gruus(phone: Phone, place: int = -1) -> tuple[str, str]:
    """The public and the temporary GRUU of one contact in the response taken last."""
    params = phone.response.headers.every(CONTACT)[place].params  # type: ignore[union-attr]
    return params.get("pub-gruu") or "", params.get("temp-gruu") or ""


@pytest.fixture
def phone(network: Network) -> Phone:
    return Phone(network, "alice", "198.51.100.10", "TLS")


@pytest.fixture
def dan(network: Network) -> Phone:
    return Phone(network, "dan", "203.0.113.9", domain="example.net")


@pytest.mark.rfc("5627", "5.2")
def test_both_gruus_are_told(phone: Phone) -> None:
    public, temporary = gruus(register(phone))
    assert public == f"sip:alice@example.org;gr={URN}"
    uri = parse_uri(temporary)
    assert isinstance(uri, SipUri)
    assert (uri.host, uri.params.get("gr")) == ("example.org", "")
    assert "alice" not in temporary
    assert "gruu" not in (phone.response.headers.get("Supported") or "")  # "SHOULD NOT include"


@pytest.mark.rfc("5627", "5.2")
def test_one_who_does_not_ask_is_told_none(phone: Phone) -> None:
    phone >> phone.register(contact=contact(phone)) << 401 >> phone.authorized() << 200
    assert gruus(phone) == ("", "")


@pytest.mark.rfc("5627", "6.1")
def test_a_gruu_leads_to_its_phone_alone(network: Network, phone: Phone, dan: Phone) -> None:
    other = Phone(network, "alice", "198.51.100.11")
    register(other, call_id="other", made=f'<{other.contact}>;+sip.instance="<urn:uuid:2>"')
    for gruu in gruus(register(phone), 0):
        dan >> dan.ask("MESSAGE", gruu)
        phone << "MESSAGE"
        assert phone.request.uri == phone.contact
    network_is_quiet(other)


@pytest.mark.rfc("5627", "5.1")
def test_old_temporary_gruus_stay_valid_while_the_call_id_does(
    network: Network, phone: Phone, dan: Phone
) -> None:
    _, first = gruus(register(phone))
    network.wait(100)
    _, second = gruus(register(phone, cseq=10))
    assert first != second
    for gruu in (first, second):
        dan >> dan.ask("MESSAGE", gruu)
        phone << "MESSAGE"


@pytest.mark.rfc("5627", "5.1")
def test_another_call_id_ends_them(network: Network, phone: Phone, dan: Phone) -> None:
    public, old = gruus(register(phone))
    network.wait(100)
    public_again, fresh = gruus(register(phone, call_id="2"))
    assert public_again == public
    dan >> dan.ask("MESSAGE", old) << 404
    dan >> dan.ask("MESSAGE", fresh)
    phone << "MESSAGE"


@pytest.mark.rfc("5627", "5.1")
def test_flows_of_one_instance_share_them_and_lose_them_together(
    network: Network, phone: Phone, dan: Phone
) -> None:
    _, first = gruus(register(phone, reg_id=1))
    other = Phone(network, "alice", "198.51.100.10", "TLS")
    network.places["198.51.100.10"] = lambda message, wire: (
        phone.inbox if wire is phone.wire else other.inbox
    ).append((message, wire))
    network.wait(10)
    register(other, call_id="flow2", reg_id=2)
    dan >> dan.ask("MESSAGE", first)
    other << "MESSAGE"  # the latest flow, by the GRUU of the other
    other >> other.answer(200)
    dan << 200
    network.wait(10)
    _, fresh = gruus(register(phone, call_id="anew", reg_id=1), 0)
    dan >> dan.ask("MESSAGE", first) << 404
    dan >> dan.ask("MESSAGE", fresh)
    phone << "MESSAGE"


@pytest.mark.rfc("5627", "5.3")
def test_when_the_phone_is_away(network: Network, phone: Phone, dan: Phone) -> None:
    public, temporary = gruus(register(phone))
    gone = f'<{phone.contact}>;+sip.instance="<{URN}>";expires=0'
    phone >> phone.register(GRUU, contact=gone, call_id="1", cseq=20) << 200
    dan >> dan.ask("MESSAGE", public) << 480
    dan >> dan.ask("MESSAGE", temporary) << 404
    register(phone, cseq=30)
    dan >> dan.ask("MESSAGE", public)
    phone << "MESSAGE"


@pytest.mark.rfc("5627", "6.1")
@pytest.mark.parametrize("user", ["tgruu.AAAA", "tgruu." + "A" * 35, "tgruu.%00%25"])
def test_a_temporary_gruu_that_we_did_not_make(dan: Phone, user: str) -> None:
    dan >> dan.ask("MESSAGE", f"sip:{user}@example.org;gr") << 404


@pytest.mark.rfc("5627", "6.1")
def test_the_most_recent_contact_of_an_instance_without_outbound(
    network: Network, phone: Phone, dan: Phone
) -> None:
    public, _ = gruus(register(phone))
    moved = Phone(network, "alice", "198.51.100.12", "TLS")
    network.wait(10)
    register(moved, call_id="rebooted")
    dan >> dan.ask("MESSAGE", public)
    moved << "MESSAGE" >> moved.answer(408)
    phone << "MESSAGE"
    dan >> dan.ask("MESSAGE", "sip:alice@example.org")
    moved << "MESSAGE"
    network_is_quiet(phone)


@pytest.mark.rfc("5627", "5.1")
def test_a_gruu_is_no_contact(phone: Phone) -> None:
    public, _ = gruus(register(phone))
    phone >> phone.register(GRUU, contact=f'<{public}>;+sip.instance="<{URN}>"', cseq=20) << 403
    phone >> phone.register(GRUU, contact=f'<tel:+358>;+sip.instance="<{URN}>"', cseq=30) << 403


def test_an_instance_of_odd_characters_makes_a_valid_gruu(phone: Phone, dan: Phone) -> None:
    public, _ = gruus(register(phone, made=f'<{phone.contact}>;+sip.instance="<urn:x:a b\\"c;d@e>"'))
    assert isinstance(parse_uri(public), SipUri)
    dan >> dan.ask("MESSAGE", public)
    phone << "MESSAGE"


@pytest.mark.rfc("5630", "5.2.1")
def test_a_sips_contact_gets_sips_gruus(network: Network) -> None:
    phone = Phone(network, "alice", "198.51.100.10", "TLS", scheme="sips")
    public, temporary = gruus(register(phone))
    assert public.startswith("sips:alice@")
    assert temporary.startswith("sips:tgruu.")
