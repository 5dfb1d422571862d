"""Calls of phones behind NAT: whose descriptions are changed, for how long ports are held, and what is left alone."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
from itertools import count

import pytest

from ringfence.message import Message, sdp
from ringfence.roles.anchors import MAX_OF_STRANGER, Anchor, Anchors, MediaMode, RequestMedia
from ringfence.roles.awake import Awake
from ringfence.roles.media_relay import EmbeddedMedia
from ringfence.transport.relay import Relay, RelaySession, Side
from tests.conversations.network import NODE4, NODE6, Network
from tests.conversations.phones import Phone, network_is_quiet

TYPE = ("Content-Type", "application/sdp")


def described(host: str, port: int = 4000) -> bytes:
    return f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n".encode()


INSIDE, OUTSIDE, OFFICE = described("10.0.0.5"), described("198.51.100.21"), described("192.168.7.7")


def place(message: Message) -> str:
    session = sdp.parse(message.body)
    address = session.address_of(session.media[0])
    assert address is not None
    return address[0]


@pytest.fixture
async def plane(network: Network) -> AsyncIterator[EmbeddedMedia]:
    tokens = count()
    relay = Relay("127.0.0.1", range(45_000, 45_500), advertised=NODE4)
    plane = EmbeddedMedia({4: relay}, lambda: f"t{next(tokens)}")
    network.services.anchors = Anchors(plane, MediaMode.AUTO, frozenset({4}))
    yield plane
    plane.close()


@pytest.fixture
def alice(network: Network, plane: EmbeddedMedia) -> Phone:
    """Behind NAT."""
    network.account("alice")
    return Phone(network, "alice", "10.0.0.5", behind="198.51.100.99")


def registered(network: Network, host: str, behind: str | None = None, call_id: str | None = None) -> Phone:
    network.account("bob")
    phone = Phone(network, "bob", host, behind=behind)
    phone >> phone.register(call_id=call_id) << 401 >> phone.authorized() << 200
    return phone


@pytest.fixture
def bob(network: Network, plane: EmbeddedMedia) -> Phone:
    return registered(network, "198.51.100.21")


def calls(alice: Phone, body: bytes = INSIDE, kind: str | None = None, then: int = 100) -> None:
    invite = alice.invite("sip:bob@example.org", body=body)
    if kind is not None:
        invite.headers.set("Content-Type", kind)
    alice >> invite << 407 >> alice.ack() >> alice.authorized(invite) << then


def anchors(network: Network) -> int:
    assert network.services.anchors is not None
    return len(network.services.anchors)


async def test_media_of_a_caller_behind_nat_pass_us_until_the_bye(
    network: Network, plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    calls(alice)
    bob << "INVITE"
    assert place(bob.request) == NODE4
    bob >> bob.answer(180)
    alice << 180
    bob >> bob.answer(200, body=OUTSIDE)
    alice << 200
    assert place(alice.response) == NODE4
    assert int(alice.response.headers.get("Content-Length") or 0) == len(alice.response.body)
    alice.begin() >> alice.within("ACK")
    bob << "ACK"
    assert len(plane) == 1
    bob >> bob.within("BYE")
    alice << "BYE" >> alice.answer(200)
    bob << 200
    assert not len(plane)
    assert not anchors(network)
    assert not plane.relays[4].sessions
    network_is_quiet(alice, bob)


async def test_media_of_phones_that_reach_each_other_are_left_alone(
    network: Network, plane: EmbeddedMedia, bob: Phone
) -> None:
    network.account("carol")
    carol = Phone(network, "carol", "198.51.100.22")
    calls(carol, body=described("198.51.100.22"))
    bob << "INVITE" >> bob.answer(200, body=OUTSIDE)
    assert bob.request.body == described("198.51.100.22")
    carol << 200
    assert carol.response.body == OUTSIDE
    assert not len(plane)
    assert not anchors(network)


async def test_a_callee_behind_nat_is_known_by_its_contact(network: Network, plane: EmbeddedMedia) -> None:
    bob = registered(network, "192.168.7.7", behind="198.51.100.98")
    network.account("carol")
    carol = Phone(network, "carol", "198.51.100.22")
    calls(carol, body=described("198.51.100.22"))
    bob << "INVITE" >> bob.answer(200, body=OFFICE)
    assert place(bob.request) == NODE4
    carol << 200
    assert place(carol.response) == NODE4


async def test_a_fork_has_a_session_for_each_branch_and_those_that_lose_are_freed(
    network: Network, plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    mobile = registered(network, "198.51.100.23", call_id="mobile")
    calls(alice)
    bob << "INVITE"
    mobile << "INVITE"
    assert bob.request.body != mobile.request.body
    assert len(plane) == 2
    mobile_invite = mobile.request
    mobile >> mobile.answer(180)
    alice << 180
    bob >> bob.answer(200, body=OUTSIDE)
    alice << 200
    mobile << "CANCEL" >> mobile.answer(200) >> mobile.answer(487, request=mobile_invite) << "ACK"
    assert len(plane) == 1


@pytest.mark.parametrize("status", [486, 603])
async def test_a_refused_call_frees_its_ports(
    plane: EmbeddedMedia, alice: Phone, bob: Phone, status: int
) -> None:
    calls(alice)
    bob << "INVITE" >> bob.answer(183, body=OUTSIDE)
    alice << 183
    assert place(alice.response) == NODE4
    bob >> bob.answer(status) << "ACK"
    alice << status
    assert not len(plane)


async def test_a_cancelled_call_frees_its_ports(plane: EmbeddedMedia, alice: Phone, bob: Phone) -> None:
    calls(alice)
    bob << "INVITE" >> bob.answer(180)
    alice << 180
    invite = bob.request
    alice >> alice.cancel() << 200
    bob << "CANCEL" >> bob.answer(200) >> bob.answer(487, request=invite) << "ACK"
    alice << 487
    assert not len(plane)


async def test_a_call_that_nobody_answers_frees_its_ports(
    network: Network, plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    calls(alice)
    bob << "INVITE"
    network.wait(40)
    alice << 408
    assert not len(plane)


@pytest.mark.rfc("3264", "5")
async def test_an_offer_in_the_2xx_is_answered_in_the_ack(
    plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    calls(alice, body=b"")
    bob << "INVITE" >> bob.answer(200, body=OUTSIDE)
    alice << 200
    assert place(alice.response) == NODE4
    alice.begin() >> alice.within("ACK", TYPE, body=INSIDE)
    bob << "ACK"
    assert place(bob.request) == NODE4


@pytest.mark.rfc("3262", "5")
async def test_an_offer_in_a_reliable_183_is_answered_in_the_prack(
    plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    calls(alice, body=b"")
    bob << "INVITE"
    invite = bob.request
    bob >> bob.answer(183, ("Require", "100rel"), ("RSeq", "1"), body=OUTSIDE)
    alice << 183
    assert place(alice.response) == NODE4
    alice.begin() >> alice.within("PRACK", TYPE, ("RAck", "1 1 INVITE"), body=INSIDE)
    bob << "PRACK"
    assert place(bob.request) == NODE4
    bob >> bob.answer(200)
    alice << 200
    bob >> bob.answer(200, request=invite)
    alice << 200
    assert len(plane) == 1


async def test_later_offers_of_both_sides_pass_us_too(
    network: Network, plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    calls(alice)
    bob << "INVITE" >> bob.answer(200, body=OUTSIDE)
    alice << 200
    told = alice.response.body
    alice.begin() >> alice.within("ACK")
    bob << "ACK"
    bob >> bob.within("INVITE", TYPE, body=described("198.51.100.21", 5000)) << 100
    alice << "INVITE"
    assert alice.request.body == told  # the caller's side has not moved
    dialog = alice.dialog
    alice >> alice.answer(200, body=INSIDE)
    alice.dialog = dialog  # a 2xx inside a dialog does not change its route set
    bob << 200
    assert place(bob.response) == NODE4
    bob >> bob.within("ACK", cseq=bob.dialog.cseq)
    alice << "ACK"
    alice >> alice.within("UPDATE", TYPE, body=INSIDE)
    bob << "UPDATE" >> bob.answer(488)
    assert place(bob.request) == NODE4
    alice << 488
    assert len(plane) == 1
    assert anchors(network) == 1


async def test_what_is_encrypted_passes_or_is_refused_as_configured(
    network: Network, plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    sealed = "application/pkcs7-mime; smime-type=enveloped-data"
    calls(alice, b"sealed", sealed)
    bob << "INVITE"
    assert bob.request.body == b"sealed"
    assert not len(plane)
    network.services.anchors = Anchors(plane, MediaMode.AUTO, frozenset({4}), refuse=True)
    calls(alice, b"sealed", sealed, then=488)
    assert "encrypted" in alice.response.reason
    assert not bob.inbox


async def test_an_offer_that_aims_at_this_machine_is_refused(
    plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    assert isinstance(plane.relays, dict)
    plane.relays[4] = Relay("0.0.0.0", range(44_200, 44_240), advertised=NODE4)
    calls(alice, INSIDE + b"c=IN IP4 127.0.0.1\r\n", then=488)
    assert not bob.inbox
    assert not plane.relays[4].sessions


async def test_always_and_never(network: Network, plane: EmbeddedMedia, bob: Phone) -> None:
    network.account("carol")
    carol = Phone(network, "carol", "198.51.100.22")
    body = described("198.51.100.22")
    for mode, host in ((MediaMode.ALWAYS, NODE4), (MediaMode.NEVER, "198.51.100.22")):
        network.services.anchors = Anchors(plane, mode, frozenset({4}))
        calls(carol, body=body)
        bob << "INVITE"
        assert place(bob.request) == host
        bob >> bob.answer(486) << "ACK"
        carol << 486 >> carol.ack()


async def test_silence_frees_the_ports_and_tells(
    network: Network, plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    told: list[Anchor] = []
    network.services.anchors = Anchors(plane, MediaMode.AUTO, frozenset({4}), ended=told.append)
    calls(alice)
    bob << "INVITE" >> bob.answer(200, body=OUTSIDE)
    alice << 200
    (anchor,) = network.services.anchors
    plane.end(anchor.key)
    network.services.anchors.fell_silent(anchor.key)
    assert told == [anchor]
    assert not anchors(network)


async def test_phones_behind_nat_are_kept_awake_and_the_others_left_alone(
    network: Network, plane: EmbeddedMedia, bob: Phone
) -> None:
    awake = Awake(network.services, 25.0)
    network.account("carol")
    inside = Phone(network, "carol", "10.0.0.5", behind="198.51.100.97")
    inside >> inside.register() << 401 >> inside.authorized() << 200
    for _ in range(27):
        await awake.tick()
    for _ in range(2):
        inside << "OPTIONS"
        assert inside.request.uri == inside.contact
    assert inside.arrived_by.remote == inside.wire.remote
    inside >> inside.answer(200)
    assert network.driver.counts["stray responses"] == 1
    network_is_quiet(bob, inside)


async def test_an_answer_that_aims_at_a_group_is_no_reason_to_lose_it(
    plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    calls(alice)
    bob << "INVITE" >> bob.answer(200, body=described("233.252.0.1"))
    alice << 200
    assert alice.response.body == described("233.252.0.1")
    assert plane.figures().refused == 1


async def test_a_stranger_gets_so_many_ports_and_no_more(
    network: Network, plane: EmbeddedMedia, bob: Phone
) -> None:
    dan = Phone(network, "dan", "10.0.0.9", domain="example.net", behind="203.0.113.9")
    for _ in range(MAX_OF_STRANGER):
        dan >> dan.invite("sip:bob@example.org", body=described("10.0.0.9")) << 100
        bob << "INVITE"
    (
        dan >> dan.invite("sip:bob@example.org", body=described("10.0.0.9")) << 500
    )  # RFC 3261 section 16.7: not a 503
    assert len(plane) == MAX_OF_STRANGER
    bob >> bob.answer(486) << "ACK"
    dan << 486
    dan >> dan.invite("sip:bob@example.org", body=described("10.0.0.9")) << 100
    bob << "INVITE"


async def test_a_call_that_began_before_us_is_led_from_its_next_offer_on(
    network: Network, plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    anchored, network.services.anchors = network.services.anchors, None
    calls(alice)
    bob << "INVITE" >> bob.answer(200, body=OUTSIDE)
    alice << 200
    assert alice.response.body == OUTSIDE
    alice.begin() >> alice.within("ACK")
    bob << "ACK"
    network.services.anchors = anchored
    alice >> alice.within("INVITE", TYPE, body=INSIDE) << 100
    bob << "INVITE"
    assert place(bob.request) == NODE4
    bob >> bob.answer(488) << "ACK"
    alice << 488
    assert not len(plane)
    alice >> alice.ack() >> alice.within("INVITE", TYPE, body=INSIDE) << 100
    dialog = bob.dialog
    bob << "INVITE" >> bob.answer(200, body=OUTSIDE)
    bob.dialog = dialog
    alice << 200
    assert place(alice.response) == NODE4
    alice >> alice.within("ACK", cseq=alice.dialog.cseq)
    bob << "ACK" >> bob.within("BYE")
    alice << "BYE" >> alice.answer(200)
    bob << 200
    assert not anchors(network)


async def test_a_call_that_is_over_leaves_no_cycles_for_the_garbage_collector(
    network: Network, plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    gc.collect()
    gc.disable()
    try:
        calls(alice)
        bob << "INVITE" >> bob.answer(200, body=OUTSIDE)
        alice << 200
        alice.begin() >> alice.within("ACK")
        bob << "ACK"
        alice >> alice.within("BYE")
        bob << "BYE" >> bob.answer(200)
        alice << 200
        network.wait(40)
        kept = [
            each for each in gc.get_objects() if isinstance(each, RequestMedia | Anchor | RelaySession | Side)
        ]
        assert kept == []
    finally:
        gc.enable()


async def test_behind_a_proxy_that_forks_media_go_to_the_phone_that_takes_the_call(
    network: Network, plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    network.services.anchors = Anchors(plane, MediaMode.ALWAYS, frozenset({4}))
    with ExitStack() as stack:
        made = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(3)]
        for each in made:
            each.bind(("127.0.0.1", 0))
            each.settimeout(3)
        caller, desk, mobile = made
        calls(alice, described(*caller.getsockname()))
        bob << "INVITE"
        invite = bob.request
        for bob.tag, phone in (("desk", desk), ("mobile", mobile)):
            answer = described(*phone.getsockname())
            bob >> bob.answer(183, ("Require", "100rel"), ("RSeq", "1"), request=invite, body=answer)
            alice << 183
        told = sdp.parse(alice.response.body).media[0].port
        bob.tag = "desk"
        bob >> bob.answer(200, request=invite)
        alice << 200
        assert not alice.response.body
        caller.sendto(b"\x80audio", ("127.0.0.1", told))
        assert await asyncio.to_thread(desk.recv, 100) == b"\x80audio"


async def test_what_browsers_say_to_each_other_passes_as_it_is(
    network: Network, plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    lines = b"a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=candidate:1 1 udp 1 10.0.0.5 9 typ host\r\n"
    offer, answer = (body.replace(b"RTP/AVP", b"UDP/TLS/RTP/SAVPF") + lines for body in (INSIDE, OFFICE))
    network.services.anchors = Anchors(plane, MediaMode.AUTO, frozenset({4}), refuse=True)
    calls(alice, offer)
    bob << "INVITE"
    assert bob.request.body == offer
    bob >> bob.answer(200, body=answer)
    alice << 200
    assert alice.response.body == answer
    assert not len(plane)
    assert not anchors(network)


async def test_a_response_that_can_not_be_read_is_dropped(
    network: Network, plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    calls(alice)
    bob << "INVITE"
    malformed = bob.answer(200, body=OUTSIDE)
    malformed.headers.set("To", '<sip:bob@example.org>;tag="')
    bob >> malformed
    assert not alice.inbox
    assert network.driver.counts["malformed"] == 1
    bob >> bob.answer(200, body=OUTSIDE)
    alice << 200


async def test_a_call_between_four_and_six_is_led(network: Network) -> None:
    relays = {
        4: Relay("127.0.0.1", range(45_500, 45_520), advertised=NODE4),
        6: Relay("::1", range(45_500, 45_520), advertised=NODE6),
    }
    plane = EmbeddedMedia(relays, lambda: "t")
    network.services.anchors = Anchors(plane, MediaMode.AUTO, frozenset(relays))
    network.account("bob")
    bob = Phone(network, "bob", "2001:db8::7")
    bob >> bob.register() << 401 >> bob.authorized() << 200
    network.account("carol")
    carol = Phone(network, "carol", "198.51.100.22")
    calls(carol, body=described("198.51.100.22"))
    bob << "INVITE" >> bob.answer(200, body=described("2001:db8::7").replace(b"IP4", b"IP6"))
    assert place(bob.request) == NODE6
    assert b"c=IN IP6" in bob.request.body
    carol << 200
    assert place(carol.response) == NODE4
    plane.close()
