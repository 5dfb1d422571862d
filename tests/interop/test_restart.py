"""A node that is killed comes back with its registrations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.baresip import Baresip
from tests.interop.node import Node
from tests.interop.processes import eventually

pytestmark = pytest.mark.interop("baresip")


@pytest.fixture
def own_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that the test may kill."""
    node = Node.create(tmp_path_factory.mktemp("killed") / "node", transports=["udp"])
    for user in ("alice", "bob"):
        node.add_user(user)
    node.serve()
    yield node
    node.end()


def test_a_call_reaches_a_phone_that_registered_before_the_node_was_killed(
    own_node: Node, tmp_path: Path
) -> None:
    alice = Baresip(own_node, "alice", tmp_path / "alice", "udp")
    bob = Baresip(own_node, "bob", tmp_path / "bob", "udp")
    try:
        for phone in alice, bob:
            eventually(phone.registered, f"{phone.user} is registered")
        own_node.kill()
        own_node.serve()
        assert own_node.status()["registrations"] == 2
        mark = alice.mark()
        alice.command("dial", bob.address)
        bob.expect("CALL_INCOMING")
        bob.command("accept")
        alice.expect("CALL_ESTABLISHED", mark)
    finally:
        alice.end()
        bob.end()
