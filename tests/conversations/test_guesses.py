"""One account is guessed at from many addresses, and its owner goes on using it."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from ringfence.guard.guesses import Guesses
from tests.conversations.network import Network
from tests.conversations.phones import Phone
from tests.conversations.phones import named as kind
from tests.conversations.test_guard import Watched, guard

__all__ = ["guard"]  # a fixture


@pytest.fixture(autouse=True)
def _slow(network: Network) -> None:
    network.services.guesses = Guesses()


def from_many_addresses(
    network: Network, times: int, user: str = "alice", named: str = "alice"
) -> list[int | str]:
    """One wrong password from each of so many addresses, in the name of whom they like; gives the answers."""
    found: list[int | str] = []
    for number in range(times):
        phone = Phone(network, named, f"203.0.113.{number + 1}")
        phone >> phone.register() << 401
        phone >> phone.authorized(password="guess", user=user)
        found.append(kind(phone.inbox[0][0]))
    return found


@pytest.mark.parametrize("user", ["alice", "nobody"])
@pytest.mark.parametrize("named", ["alice", "somebody"])
def test_guessing_at_one_account_from_many_addresses_is_slow(
    network: Network, guard: Watched, bob: Phone, user: str, named: str
) -> None:
    owner = Phone(network, "alice", "198.51.100.10")
    owner >> owner.register() << 401 >> owner.authorized() << 200
    assert from_many_addresses(network, 40, user, named) == [401] * 22 + [503] * 18
    elsewhere = Phone(network, "alice", "198.51.100.11")
    elsewhere >> elsewhere.register() << 401
    elsewhere >> elsewhere.authorized() << (503 if user == "alice" else 200)
    if user == "alice":
        assert elsewhere.response.headers.get("Retry-After") == "10"
        network.wait(10)
        elsewhere >> elsewhere.register(cseq=9) << 401 >> elsewhere.authorized() << 200
    for _ in range(5):
        owner >> owner.invite("sip:bob@example.org") << 407 >> owner.ack() >> owner.authorized() << 100
        bob << "INVITE" >> bob.answer(486) << "ACK"
        owner << 486 >> owner.ack()
    assert not guard.banned


def test_what_is_spared_is_never_slow(network: Network, guard: Watched) -> None:
    Watched(network, guard.guard.policy, (ip_network("203.0.113.0/24"),))
    assert from_many_addresses(network, 40) == [401] * 40
