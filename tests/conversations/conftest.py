"""A network with two phones at home, for the tests that begin there."""

from __future__ import annotations

import pytest
import structlog

from tests.conversations.network import Network
from tests.conversations.phones import Phone


@pytest.fixture(autouse=True)
def _logs_as_they_come() -> None:
    """A command that ran in this process before may have left logging at another level."""
    structlog.reset_defaults()


@pytest.fixture
def network() -> Network:
    """A node of example.org with two accounts, where every challenge is on."""
    network = Network()
    network.account("alice")
    network.account("bob")
    return network


@pytest.fixture
def alice(network: Network) -> Phone:
    """Alice's phone, not registered."""
    return Phone(network, "alice", "198.51.100.10")


@pytest.fixture
def bob(network: Network) -> Phone:
    """Bob's phone, registered."""
    bob = Phone(network, "bob", "198.51.100.20")
    bob >> bob.register() << 401 >> bob.authorized() << 200
    return bob
