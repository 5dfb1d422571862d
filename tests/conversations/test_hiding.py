"""What is behind us is not shown to those outside, and every message still finds its way.

Alice calls from behind a proxy of ours, `inner`; Bob is reached through it, too. Dan is outside.
"""

from __future__ import annotations

import re

import pytest

from ringfence.message import Message, Request, Response
from ringfence.roles.hiding import Hiding
from tests.conversations.network import Network
from tests.conversations.phones import Phone, network_is_quiet

INNER = "<sip:inner.example.org;lr>"
INNER2 = "<sip:core.example.org;lr>"
AT_BOB = "<sip:198.51.100.20:5080;lr>"
"""Like `inner`, at the address to which Bob has registered."""

SECRETS = (":5080", "inner.example.org", "core.example.org", "10.0.0.5", "10.0.0.6")
BEHIND = ("Via", "SIP/2.0/UDP 10.0.0.5:5062;branch=z9hG4bKphone;received=10.0.0.6")
"""What the phone behind the proxy put on first."""


@pytest.fixture(params=["routes", "contact", "call-id", "all"])
def hiding(request: pytest.FixtureRequest, network: Network) -> Hiding:
    how = str(request.param)
    network.policy.hiding = Hiding(
        b"h" * 32, contact=how in ("contact", "all"), call_id=how in ("call-id", "all")
    )
    return network.policy.hiding


@pytest.fixture
def dan(network: Network) -> Phone:
    """Somebody outside, whose proxy stays in the path."""
    network.names.host("example.net", "203.0.113.9")
    network.names.host("inner.example.org", "198.51.100.10")
    network.names.host("core.example.org", "198.51.100.20")
    network.names.host("p.example.net", "203.0.113.9")
    return Phone(network, "dan", "203.0.113.9", domain="example.net")


def routes(message: Message, name: str = "Record-Route") -> list[str]:
    """The entries, each up to its parameters."""
    return [each.partition(";lr")[0] for each in message.headers.values(name)]


def behind(request: Request) -> Request:
    """The request with the Via of the phone behind the proxy."""
    request.headers.add(*BEHIND)
    return request


def same_way(response: Message, request: Message) -> bool:
    """Whether the response has each Via of its request, the first with what we have put into it (RFC 3581)."""
    ways, asked = response.headers.all("Via"), request.headers.all("Via")
    return ways[1:] == asked[1:] and ways[0].startswith(asked[0])


def nothing_told(message: Message, hiding: Hiding, phone: Phone) -> None:
    """Nothing in it names what is behind us."""
    text = message.to_bytes().decode()
    for secret in SECRETS:
        assert secret not in text
    if hiding.contact:
        assert f"@{phone.bracketed}" not in "".join(message.headers.all("Contact"))
    if isinstance(message, Request):
        assert len(message.headers.values("Via")) == 1


def call_out(alice: Phone, dan: Phone, hiding: Hiding) -> None:
    """Alice calls Dan, who answers."""
    more = [("Record-Route", INNER), ("Record-Route", INNER2)]
    alice >> alice.invite(dan.aor, *more) << 407
    alice >> alice.ack() >> behind(alice.authorized()) << 100
    sent = alice.sent
    dan << "INVITE"
    nothing_told(dan.request, hiding, alice)
    assert (dan.request.call_id != sent.call_id) == hiding.call_id
    assert routes(dan.request) == ["<sip:192.0.2.1:5060"]
    for status in (180, 200):
        answer = dan.answer(status)
        answer.headers.prepend("Record-Route", "<sip:p.example.net;lr>")
        dan >> answer
        alice << status
        assert same_way(alice.response, sent)
        assert alice.response.call_id == sent.call_id
        assert routes(alice.response) == [
            "<sip:p.example.net",
            "<sip:192.0.2.1:5060",
            "<sip:inner.example.org",
            "<sip:core.example.org",
        ]
    alice.begin()
    # What the two proxies behind us take off as it passes them, and what Dan's proxy does.
    alice.dialog.routes = alice.dialog.routes[2:]
    alice >> alice.within("ACK")
    dan << "ACK"
    nothing_told(dan.request, hiding, alice)
    assert dan.request.uri == dan.contact
    assert dan.request.call_id == dan.dialog.call_id


@pytest.mark.rfc("3261", "16.7")
def test_a_call_that_leaves_is_hidden_and_hung_up_from_outside(
    network: Network, alice: Phone, dan: Phone, hiding: Hiding
) -> None:
    call_out(alice, dan, hiding)
    dan >> dan.within("BYE")
    alice << "BYE"
    assert alice.request.uri == alice.contact
    assert alice.request.call_id == alice.dialog.call_id
    assert alice.request.headers.values("Route") == [INNER, INNER2]
    alice >> alice.answer(200)
    dan << 200
    nothing_told(dan.response, hiding, alice)
    assert dan.response.call_id == dan.dialog.call_id
    network_is_quiet(alice, dan)


def test_it_is_changed_from_both_sides_and_hung_up_from_within(
    network: Network, alice: Phone, dan: Phone, hiding: Hiding
) -> None:
    call_out(alice, dan, hiding)
    alice >> alice.within("INVITE", BEHIND) << 100
    dan << "INVITE"
    nothing_told(dan.request, hiding, alice)
    dialog = dan.dialog
    dan >> dan.answer(200)
    dan.dialog = dialog
    alice << 200
    assert len(alice.response.headers.values("Via")) == 2
    alice >> alice.within("ACK", cseq=alice.dialog.cseq)
    dan << "ACK"
    dan >> dan.within("INVITE") << 100
    alice << "INVITE"
    dialog = alice.dialog
    answer = alice.answer(200)
    alice.dialog = dialog
    answer.headers.add("Record-Route", INNER)
    alice >> answer
    dan << 200
    nothing_told(dan.response, hiding, alice)
    dan >> dan.within("ACK", cseq=dan.dialog.cseq)
    alice << "ACK"
    assert alice.request.uri == alice.contact
    alice >> alice.within("BYE", BEHIND)
    dan << "BYE"
    nothing_told(dan.request, hiding, alice)
    dan >> dan.answer(200)
    alice << 200
    network_is_quiet(alice, dan)


@pytest.mark.rfc("3262", "4")
def test_provisional_responses_are_acknowledged(
    network: Network, alice: Phone, dan: Phone, hiding: Hiding
) -> None:
    alice >> alice.invite(dan.aor, ("Record-Route", INNER)) << 407
    alice >> alice.ack() >> behind(alice.authorized()) << 100
    dan << "INVITE"
    dan >> dan.answer(183, ("Require", "100rel"), ("RSeq", "1"))
    alice << 183
    alice.begin()
    alice.dialog.routes = alice.dialog.routes[1:]
    alice >> alice.within("PRACK", ("RAck", "1 2 INVITE"), BEHIND)
    dan << "PRACK"
    nothing_told(dan.request, hiding, alice)
    dan >> dan.answer(200)
    alice << 200
    assert len(alice.response.headers.values("Via")) == 2


def test_a_call_that_leaves_is_cancelled_or_refused(
    network: Network, alice: Phone, dan: Phone, hiding: Hiding
) -> None:
    alice >> alice.invite(dan.aor) << 407
    alice >> alice.ack() >> behind(alice.authorized()) << 100
    dan << "INVITE"
    invite = dan.request
    dan >> dan.answer(180)
    alice << 180
    alice >> alice.cancel() << 200
    dan << "CANCEL"
    nothing_told(dan.request, hiding, alice)
    dan >> dan.answer(200) >> dan.answer(487, request=invite)
    dan << "ACK"
    nothing_told(dan.request, hiding, alice)
    alice << 487
    assert same_way(alice.response, alice.sent)
    assert alice.response.call_id == alice.sent.call_id
    alice >> alice.ack()
    network_is_quiet(alice, dan)


def call_in(dan: Phone, bob: Phone, hiding: Hiding) -> None:
    """Dan calls Bob, who is behind two proxies of ours."""
    dan >> dan.invite(bob.aor, ("Record-Route", "<sip:p.example.net;lr>")) << 100
    bob << "INVITE"
    assert bob.request.call_id == dan.sent.call_id
    for status in (180, 200):
        answer = bob.answer(status)
        answer.headers.prepend("Record-Route", f"{INNER2}, {AT_BOB}")
        bob >> answer
        dan << status
        nothing_told(dan.response, hiding, bob)
        assert routes(dan.response) == ["<sip:192.0.2.1:5060", "<sip:p.example.net"]
    dan.begin()
    dan.dialog.routes = dan.dialog.routes[1:]
    dan >> dan.within("ACK")
    bob << "ACK"


def test_a_call_from_outside_sees_nothing_either(
    network: Network, bob: Phone, dan: Phone, hiding: Hiding
) -> None:
    call_in(dan, bob, hiding)
    assert bob.request.uri == bob.contact
    assert bob.request.headers.values("Route") == [AT_BOB, INNER2]
    bob >> bob.within("BYE", BEHIND)
    dan << "BYE"
    nothing_told(dan.request, hiding, bob)
    dan >> dan.answer(200)
    bob << 200
    assert len(bob.response.headers.values("Via")) == 2
    network_is_quiet(bob, dan)


@pytest.mark.rfc("3261", "16.4")
def test_a_strict_router_outside_is_no_hindrance(
    network: Network, bob: Phone, dan: Phone, hiding: Hiding
) -> None:
    call_in(dan, bob, hiding)
    bye = dan.within("BYE")
    ours = bye.headers.values("Route")[0].strip("<>")
    bye.headers.set("Route", f"<{bye.uri}>")
    bye.uri = ours
    dan >> bye
    bob << "BYE"
    assert bob.request.uri == bob.contact
    assert bob.request.headers.values("Route") == [AT_BOB, INNER2]


@pytest.mark.rfc("3261", "16.6")
def test_a_strict_router_behind_us_gets_its_own_address(
    network: Network, bob: Phone, dan: Phone, hiding: Hiding
) -> None:
    dan >> dan.invite(bob.aor) << 100
    bob << "INVITE"
    answer = bob.answer(200)
    answer.headers.prepend("Record-Route", "<sip:198.51.100.20:5060>")
    bob >> answer
    dan << 200
    dan.begin() >> dan.within("ACK")
    bob << "ACK"
    assert bob.request.uri == "sip:198.51.100.20:5060"
    assert bob.request.headers.values("Route") == [f"<{bob.contact}>"]


def test_what_was_sealed_is_of_no_use_in_another_dialog(
    network: Network, alice: Phone, dan: Phone, hiding: Hiding
) -> None:
    call_out(alice, dan, hiding)
    bye = dan.within("BYE")
    bye.headers.set("Call-ID", "another@203.0.113.9")
    dan >> bye
    assert "Route" not in str(network.traffic[-1])
    assert not alice.inbox
    answer, _ = dan.inbox[0]
    assert isinstance(answer, Response)
    assert answer.status >= 400
    nothing_told(answer, hiding, alice)


def test_a_changed_seal_opens_nothing(network: Network, alice: Phone, dan: Phone, hiding: Hiding) -> None:
    call_out(alice, dan, hiding)
    dan.dialog.routes = tuple(re.sub(r";rh=.", ";rh=", route) for route in dan.dialog.routes)
    dan >> dan.within("BYE")
    assert all("inner.example.org" not in str(request) for request, _ in alice.inbox)
    assert not network.lost


def test_a_call_between_two_of_ours_is_as_it_was(
    network: Network, alice: Phone, bob: Phone, hiding: Hiding
) -> None:
    alice >> alice.invite(bob.aor, ("Record-Route", INNER)) << 407
    alice >> alice.ack() >> behind(alice.authorized()) << 100
    bob << "INVITE"
    assert len(bob.request.headers.values("Via")) == 3
    assert routes(bob.request) == ["<sip:192.0.2.1:5060", "<sip:inner.example.org"]
    assert bob.request.headers.get("Contact") == f"<{alice.contact}>"
    assert bob.request.call_id == alice.sent.call_id


def test_everybody_is_outside_where_the_configuration_says_so(
    network: Network, alice: Phone, bob: Phone
) -> None:
    network.policy.hiding = Hiding(b"h" * 32, everybody=True, contact=True)
    alice >> alice.invite(bob.aor) << 407
    alice >> alice.ack() >> behind(alice.authorized()) << 100
    bob << "INVITE"
    assert len(bob.request.headers.values("Via")) == 1
    assert alice.bracketed not in (bob.request.headers.get("Contact") or "")
    bob >> bob.answer(200)
    alice << 200
    assert bob.bracketed not in (alice.response.headers.get("Contact") or "")
    alice.begin() >> alice.within("ACK")
    bob << "ACK"
    assert bob.request.uri == bob.contact
    bob >> bob.within("BYE")
    alice << "BYE"
    assert alice.request.uri == alice.contact
    alice >> alice.answer(200)
    bob << 200
    network_is_quiet(alice, bob)


def test_a_registration_elsewhere_shows_its_way(
    network: Network, alice: Phone, dan: Phone, hiding: Hiding
) -> None:
    alice >> alice.register(uri="sip:example.net") << 407
    register = alice.authorized()
    alice >> register
    dan << "REGISTER"
    assert len(dan.request.headers.values("Via")) == 2
    assert dan.request.headers.get("Contact") == f"<{alice.contact}>"


def test_a_gruu_is_ours_already(network: Network, alice: Phone, dan: Phone) -> None:
    network.policy.hiding = Hiding(b"h" * 32, contact=True)
    gruu = "sip:alice@example.org;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
    alice >> alice.invite(dan.aor, contact=gruu) << 407
    alice >> alice.ack() >> behind(alice.authorized()) << 100
    dan << "INVITE"
    assert dan.request.headers.get("Contact") == f"<{gruu}>"
