"""The redirect server (RFC 3261 section 8.3)."""

from __future__ import annotations

import pytest

from ringfence.roles import redirect
from ringfence.roles.policy import Fork
from tests.conversations.network import Network
from tests.conversations.phones import Phone, network_is_quiet


@pytest.fixture
def network() -> Network:
    network = Network(redirect.STEPS)
    for user in ("alice", "bob"):
        network.account(user)
    network.policy.fork = Fork.SEQUENTIAL
    return network


@pytest.fixture
def dan(network: Network) -> Phone:
    return Phone(network, "dan", "203.0.113.9", domain="example.net")


@pytest.mark.rfc("3261", "8.3")
def test_every_contact_is_told_best_first(network: Network, dan: Phone, bob: Phone) -> None:
    more = bob.register(contact="<sip:bob@198.51.100.99>;q=0.2", call_id="more")
    bob >> more << 401 >> bob.authorized() << 200
    dan >> dan.invite("sip:bob@example.org") << 302 >> dan.ack()
    assert dan.response.headers.values("Contact") == [f"<{bob.contact}>;q=1", "<sip:bob@198.51.100.99>;q=0.2"]
    network_is_quiet(dan, bob)


def test_a_user_who_is_away(dan: Phone) -> None:
    dan >> dan.invite("sip:alice@example.org") << 480


def test_nobody_is_redirected_for_another_domain(alice: Phone) -> None:
    alice >> alice.invite("sip:dan@example.net") << 407 >> alice.ack() >> alice.authorized() << 404


@pytest.mark.rfc("5630", "5.4")
def test_a_sips_contact_is_told_as_one(network: Network, dan: Phone) -> None:
    alice = Phone(network, "alice", "198.51.100.10", "TLS", scheme="sips")
    alice >> alice.register() << 401 >> alice.authorized() << 200
    dan >> dan.invite("sip:alice@example.org") << 302
    assert dan.response.headers.get("Contact") == f"<{alice.contact}>;q=1"


def test_requests_are_challenged_here_too(dan: Phone) -> None:
    dan >> dan.invite("sip:bob@example.org", from_="<sip:alice@example.org>") << 407
