"""Private calls at their edges: slow media, parties that move or vanish, subscriptions, a service of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Any

import pytest

from ringfence.message import Message, NameAddr
from ringfence.message.fields import CONTACT
from ringfence.roles import privacy
from ringfence.roles.bridge.bridges import Bridges
from ringfence.roles.bridge.ending import sweep
from ringfence.roles.hiding import Hiding
from ringfence.roles.media import Party, Rewritten
from ringfence.roles.media_relay import EmbeddedMedia
from ringfence.roles.peers import Peer, PeerRole, Peers
from ringfence.transport.relay import Relay
from tests.conversations.network import NODE4, Network, Waiting
from tests.conversations.phones import SDP, Phone, network_is_quiet
from tests.conversations.test_peers import NET, certificate
from tests.conversations.test_private_calls import PRIVATE, begin, ring, talk

TYPE = ("Content-Type", "application/sdp")
ALL = ("Privacy", "user;header;session;critical")


class SlowMedia:
    """The embedded plane as one that has to be asked over a socket: each answer waits for the test."""

    def __init__(self, plane: EmbeddedMedia) -> None:
        self._plane = plane
        self.asked: list[str] = []

    def offer(self, key: str, party: Party, message: Message, **more: Any) -> Awaitable[Rewritten]:
        return self._later("offer", self._plane.offer(key, party, message, **more))

    def answer(self, key: str, party: Party, message: Message, **more: Any) -> Awaitable[Rewritten]:
        return self._later("answer", self._plane.answer(key, party, message, **more))

    async def _later(self, what: str, found: Any) -> Rewritten:
        await Waiting()
        self.asked.append(what)
        assert isinstance(found, Rewritten)
        return found

    def end(self, key: str) -> None:
        self.asked.append("end")
        self._plane.end(key)


@pytest.fixture
async def plane(network: Network) -> AsyncIterator[EmbeddedMedia]:
    tokens = count()
    plane = EmbeddedMedia(
        {4: Relay("127.0.0.1", range(44_400, 44_600), advertised=NODE4)}, lambda: f"t{next(tokens)}"
    )
    assert network.services.bridges is not None
    network.services.bridges.media = plane
    yield plane
    plane.close()


async def test_what_waits_for_the_media_plane_comes_in_order(
    network: Network, plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    assert network.services.bridges is not None
    slow = SlowMedia(plane)
    network.services.bridges.media = slow  # type: ignore[assignment]  # it has what is asked for
    alice >> alice.invite(bob.aor, ALL) << 407 >> alice.ack() >> alice.authorized() << 100
    network_is_quiet(bob)
    network.answer_names()
    bob << "INVITE" >> bob.answer(183, body=SDP)
    bob >> bob.answer(180)
    bob >> bob.answer(200, body=SDP)
    network_is_quiet(alice)
    for _ in range(3):
        network.answer_names()
    alice << 183 << 180 << 200
    begin(alice)
    answer = alice.within("ACK", cseq=alice.dialog.cseq)
    alice >> answer
    bob << "ACK" >> bob.within("BYE", cseq=50)
    alice << "BYE" >> alice.answer(200)
    bob << 200
    assert slow.asked == ["offer", "answer", "end"]  # the same answer twice is one
    assert not network.services.bridges
    network_is_quiet(alice, bob)


async def test_a_caller_may_give_up_while_the_media_plane_is_asked(
    network: Network, plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    assert network.services.bridges is not None
    network.services.bridges.media = SlowMedia(plane)  # type: ignore[assignment]
    alice >> alice.invite(bob.aor, ALL) << 407 >> alice.ack() >> alice.authorized() << 100
    alice >> alice.cancel() << 200
    network.answer_names()
    alice << 487 >> alice.ack()
    network_is_quiet(alice, bob)
    assert not network.services.bridges


class FallsSilent:
    """The embedded plane, and whom to tell when nobody sends anything any more."""

    def __init__(self, plane: EmbeddedMedia) -> None:
        self._plane = plane
        self.tell: Callable[[], None] = lambda: None

    def offer(self, key: str, party: Party, message: Message, *, silent: Any, **more: Any) -> Any:
        self.tell = lambda: silent(key)
        return self._plane.offer(key, party, message, silent=silent, **more)

    def answer(self, key: str, party: Party, message: Message, **more: Any) -> Any:
        return self._plane.answer(key, party, message, **more)

    def end(self, key: str) -> None:
        self._plane.end(key)


async def test_a_call_without_media_is_ended_on_both_sides(
    network: Network, plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    assert network.services.bridges is not None
    silent = FallsSilent(plane)
    network.services.bridges.media = silent  # type: ignore[assignment]
    alice >> alice.invite(bob.aor, ALL) << 407 >> alice.ack() >> alice.authorized() << 100
    bob << "INVITE" >> bob.answer(200, body=SDP)
    alice << 200
    begin(alice)
    alice >> alice.within("ACK", cseq=alice.dialog.cseq)
    bob << "ACK"
    silent.tell()
    sweep(network.services)
    for phone in alice, bob:
        phone << "BYE"
        assert "no media" in str(phone.request.headers.get("Reason"))
        phone >> phone.answer(200)
    assert not network.services.bridges


def test_a_caller_who_has_moved_proves_who_it_is(network: Network, alice: Phone, bob: Phone) -> None:
    talk(alice, bob)
    moved = Phone(network, "alice", "198.51.100.99")
    moved.dialog = alice.dialog
    moved >> moved.within("INFO") << 407 >> moved.authorized()
    bob << "INFO" >> bob.answer(200)
    moved << 200 >> moved.within("INFO")
    bob << "INFO"


def test_nobody_else_can_end_a_private_call(network: Network, alice: Phone, bob: Phone) -> None:
    network.account("mallory")
    talk(alice, bob)
    mallory = Phone(network, "mallory", "198.51.100.66")
    mallory.dialog = alice.dialog
    mallory >> mallory.within("BYE") << 407
    mallory.dialog.cseq += 1
    forged = mallory.authorized(user="mallory")
    mallory >> forged << 403
    mallory.dialog.cseq += 5
    strange = mallory.within("BYE")
    strange.headers.set("To", str(strange.to).replace(strange.to.tag or "", "guessed"))
    mallory >> strange
    assert mallory.inbox
    network_is_quiet(alice, bob)
    assert network.services.bridges


@pytest.mark.rfc("3261", "15")
def test_a_callee_that_is_gone_ends_the_call(network: Network, alice: Phone, bob: Phone) -> None:
    talk(alice, bob)
    alice >> alice.within("BYE")
    bob << "BYE" >> bob.answer(481)
    alice << 481
    assert not network.services.bridges


def test_a_callee_that_never_answers_a_bye(network: Network, alice: Phone, bob: Phone) -> None:
    talk(alice, bob)
    alice >> alice.within("BYE")
    network.wait(40)
    bob.inbox.clear()
    alice.inbox.clear()
    assert not network.services.bridges


def test_hops_are_counted_through(alice: Phone, bob: Phone) -> None:
    """So that two services that send a call to each other end it."""
    alice >> alice.invite(bob.aor, PRIVATE, hops=17) << 407 >> alice.ack()  # type: ignore[arg-type]
    alice >> alice.authorized() << 100
    bob << "INVITE"
    assert bob.request.headers.get("Max-Forwards") == "16"


def test_a_sips_call_has_sips_contacts(network: Network) -> None:
    for user in ("alice", "bob"):
        network.account(user)
    bob = Phone(network, "bob", "198.51.100.20", "TLS", scheme="sips")
    bob >> bob.register() << 401 >> bob.authorized() << 200
    alice = Phone(network, "alice", "198.51.100.10", "TLS", scheme="sips")
    alice >> alice.invite(bob.aor, PRIVATE) << 407 >> alice.ack() >> alice.authorized() << 100
    bob << "INVITE" >> bob.answer(200, body=SDP)
    alice << 200
    for message in (bob.request, alice.response):
        contact = message.headers.first(CONTACT)
        assert isinstance(contact, NameAddr)
        assert str(contact.uri).startswith("sips:anonymous-")
    begin(alice)
    alice >> alice.within("ACK", cseq=alice.dialog.cseq)
    bob << "ACK" >> bob.within("BYE", cseq=9)
    alice << "BYE" >> alice.answer(200)
    bob << 200


# -- subscriptions -------------------------------------------------------------------------------------


def subscribe(alice: Phone, bob: Phone) -> None:
    request = alice.ask("SUBSCRIBE", bob.aor, PRIVATE, ("Event", "presence"), ("Expires", "600"))
    alice >> request << 407 >> alice.authorized(request)
    bob << "SUBSCRIBE"


def notify(bob: Phone, state: str) -> Any:
    fields = (("Event", "presence"), ("Subscription-State", state), ("Contact", f"<{bob.contact}>"))
    return bob.within("NOTIFY", *fields)


@pytest.mark.rfc("6665", "4.1.2.4")
@pytest.mark.parametrize("first", ["200", "NOTIFY"])
def test_a_subscription_lives_until_its_last_notify(
    network: Network, alice: Phone, bob: Phone, first: str
) -> None:
    subscribe(alice, bob)
    accepted = bob.answer(200, ("Expires", "600"))
    theirs = bob.request
    if first == "200":
        bob >> accepted
        alice << 200
    bob >> notify(bob, "active;expires=600")
    alice << "NOTIFY" >> alice.answer(200)
    assert "bob" not in str(alice.request.headers.get("Contact"))
    bob << 200
    if first == "NOTIFY":
        bob.last = theirs
        bob >> accepted
        alice << 200
    bob >> notify(bob, "terminated;reason=timeout")
    alice << "NOTIFY" >> alice.answer(200)
    bob << 200
    assert not network.services.bridges
    network_is_quiet(alice, bob)


def test_a_subscription_that_nobody_renews_is_forgotten(network: Network, alice: Phone, bob: Phone) -> None:
    subscribe(alice, bob)
    bob >> bob.answer(200, ("Expires", "600"))
    alice << 200
    network.wait(640)
    sweep(network.services)
    assert not network.services.bridges
    network_is_quiet(alice, bob)


def test_a_subscription_that_is_refused_leaves_nothing(network: Network, alice: Phone, bob: Phone) -> None:
    subscribe(alice, bob)
    bob >> bob.answer(489)
    alice << 489
    assert not network.services.bridges


# -- the service as a node of its own ------------------------------------------------------------------

CORE = Peer("core", "", frozenset({"core.example.org"}), trusted=True, role=PeerRole.CORE)
FRIEND = Peer("friend", "example.net", frozenset({"example.net"}))


@pytest.fixture
def service() -> Network:
    network = Network(privacy.STEPS)
    network.account("alice")
    network.policy.peers = Peers((CORE, FRIEND))
    network.names.host("example.net", "203.0.113.9")
    network.names.host("core.example.org", "192.0.2.77")
    assert isinstance(network.services.bridges, Bridges)
    return network


def test_a_user_is_anonymous_elsewhere(service: Network) -> None:
    alice = Phone(service, "alice", "198.51.100.10")
    dan = Phone(service, "dan", "203.0.113.9", "TLS", domain="example.net", peer=NET)
    alice >> alice.invite("sip:dan@example.net;transport=tls", PRIVATE) << 407 >> alice.ack()
    alice >> alice.authorized() << 100
    dan << "INVITE"
    assert "alice" not in dan.request.to_bytes().decode()
    dan >> dan.answer(486) << "ACK"
    alice << 486


def test_what_is_for_the_domain_goes_to_its_core(service: Network) -> None:
    alice = Phone(service, "alice", "198.51.100.10")
    alice >> alice.invite("sip:bob@example.org", PRIVATE) << 407 >> alice.ack() >> alice.authorized() << 404
    alice >> alice.ack()
    service.policy.core = "<sip:core.example.org;transport=tls;lr>"
    core = Phone(service, "core", "192.0.2.77", "TLS", peer=certificate("core.example.org"))
    alice >> alice.invite("sip:bob@example.org", PRIVATE) << 407 >> alice.ack() >> alice.authorized() << 100
    core << "INVITE"
    assert core.request.headers.get("P-Asserted-Identity") == "<sip:alice@example.org>"
    assert core.request.headers.get("Privacy") == "id"
    assert str(core.request.from_.uri) == "sip:anonymous@anonymous.invalid"


def test_whoever_has_no_account_is_not_served(service: Network) -> None:
    eve = Phone(service, "eve", "203.0.113.66", domain="evil.example")
    eve >> eve.invite("sip:dan@example.net", PRIVATE) << 407


def test_a_ringing_phone_that_is_private_hides_its_own(network: Network, alice: Phone, bob: Phone) -> None:
    """What both have asked for is kept from both."""
    bob >> bob.register(("Privacy", "header"), cseq=5) << 401 >> bob.authorized() << 200
    ring(alice, bob)
    assert "198.51.100.20" not in alice.response.to_bytes().decode()
    assert "198.51.100.10" not in bob.request.headers.lines.__repr__()


async def test_an_offer_that_comes_late_passes_the_relay_too(
    network: Network, plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    """The callee's 200 has the offer, the caller's ACK the answer: neither tells where its sender is."""
    alice >> alice.invite(bob.aor, ALL, body=b"") << 407 >> alice.ack() >> alice.authorized() << 100
    bob << "INVITE" >> bob.answer(200, body=SDP.replace(b"198.51.100.10", b"198.51.100.20"))
    alice << 200
    assert NODE4.encode() in alice.response.body
    begin(alice)
    answer = alice.within("ACK", TYPE, cseq=alice.dialog.cseq, body=SDP)
    alice >> answer >> answer
    bob << "ACK"
    assert NODE4.encode() in bob.request.body
    assert b"198.51.100.10" not in bob.request.body
    first = bob.request.body
    bob << "ACK"
    assert bob.request.body == first
    alice >> alice.within("INVITE", cseq=9) << 100
    dialogs = alice.dialog, bob.dialog
    bob << "INVITE" >> bob.answer(200, body=SDP.replace(b"198.51.100.10", b"198.51.100.20"))
    alice << 200
    alice.dialog, bob.dialog = dialogs
    alice >> alice.within("ACK", TYPE, cseq=9, body=SDP)
    bob << "ACK"
    assert NODE4.encode() in bob.request.body


# -- beside topology hiding ----------------------------------------------------------------------------


@pytest.mark.parametrize("asks", ["caller", "callee"])
def test_topology_hiding_and_a_private_call_get_along(network: Network, alice: Phone, asks: str) -> None:
    network.policy.hiding = Hiding(b"h" * 32, contact=True, call_id=True)
    network.names.host("example.net", "203.0.113.9")
    dan = Phone(network, "dan", "203.0.113.9", domain="example.net")
    wish = ("Privacy", "user;header")
    alice >> alice.invite(dan.aor, *([wish] if asks == "caller" else [])) << 407 >> alice.ack()
    alice >> alice.authorized() << 100
    mine = [wish] if asks == "callee" else []
    dan << "INVITE" >> dan.answer(180, *mine)
    alice << 180
    dan >> dan.answer(200, *mine, body=SDP)
    alice << 200
    begin(alice)
    assert "dan@203.0.113.9" not in str(alice.response.headers.get("Contact"))
    alice >> alice.within("ACK", cseq=alice.dialog.cseq)
    dan << "ACK" >> dan.within("INFO", cseq=70)
    alice << "INFO" >> alice.answer(200)
    dan << 200
    alice >> alice.within("INFO")
    dan << "INFO" >> dan.answer(200)
    alice << 200
    dan >> dan.within("BYE", cseq=71)
    alice << "BYE" >> alice.answer(200)
    dan << 200
    assert not network.services.bridges
    network_is_quiet(alice, dan)
