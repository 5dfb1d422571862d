"""A node that records calls, with two phones."""

from __future__ import annotations

import pytest

from ringfence.ledger.keys import Privacy
from ringfence.ledger.memory import MemoryLedger
from ringfence.roles.charging import Charging, Limits
from tests.conversations.network import Network
from tests.conversations.phones import Phone

PRIVACY = Privacy(b"p" * 32)


@pytest.fixture
def book() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def network(book: MemoryLedger) -> Network:
    network = Network()
    network.account("alice")
    network.account("bob")
    network.services.charging = Charging(book, Limits(max_seconds=3600.0), privacy=PRIVACY)
    return network


@pytest.fixture
def alice(network: Network) -> Phone:
    return Phone(network, "alice", "198.51.100.10")


@pytest.fixture
def bob(network: Network) -> Phone:
    """Bob's phone, registered."""
    bob = Phone(network, "bob", "198.51.100.20")
    bob >> bob.register() << 401 >> bob.authorized() << 200
    return bob
