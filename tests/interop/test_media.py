"""Two baresip phones whose media all pass the embedded relay: SRTP from end to end, hold, and ports that come back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.baresip import Baresip
from tests.interop.node import Node
from tests.interop.processes import eventually
from tests.interop.test_baresip import hear_each_other, set_up, silence_of

pytestmark = pytest.mark.interop("baresip")


@pytest.fixture
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Baresip, Baresip]]:
    directory = tmp_path_factory.mktemp("media")
    node = Node.create(directory / "node", transports=("tls",), settings='[nat]\nmedia = "always"\n')
    for user in ("alice", "bob"):
        node.add_user(user)
    node.serve()
    phones = [
        Baresip(node, user, directory / user, "tls", hertz=hertz, encryption="srtp-mand")
        for user, hertz in (("alice", 440), ("bob", 700))
    ]
    for phone in phones:
        eventually(phone.registered, f"{phone.user} is registered")
    yield node, phones[0], phones[1]
    for phone in phones:
        phone.end()
    node.end()


def test_srtp_passes_the_relay_hold_and_resume_too(pair: tuple[Node, Baresip, Baresip]) -> None:
    node, alice, bob = pair
    set_up(alice, bob)
    hear_each_other(alice, bob)
    assert node.status()["media_sessions"] == 1
    before = relayed(node)
    assert before > 100
    for command in ("hold", "resume"):
        mark, other = alice.mark(), bob.mark()
        alice.command(command)
        bob.expect("CALL_REMOTE_SDP", other, text="offer")
        alice.expect("CALL_REMOTE_SDP", mark, text="answer")
        if command == "hold":
            held = silence_of(bob)
            at_rest = relayed(node)
    eventually(lambda: relayed(node) > at_rest + 50, "media pass again")
    assert bob.hears(alice.hertz) >= held
    mark = bob.mark()
    alice.command("hangup")
    bob.expect("CALL_CLOSED", mark)
    eventually(lambda: node.status()["media_sessions"] == 0, "the ports are free")


def relayed(node: Node) -> int:
    count = node.status()["media_packets"]
    assert isinstance(count, int)
    return count
