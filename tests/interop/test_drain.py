"""A node that stops: what goes on is finished, what is left gets an answer, and a second signal ends the wait."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from tests.interop.node import Node
from tests.interop.raw import RawPhone

DRAIN = 6.0


@pytest.fixture
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = Node.create(
        tmp_path_factory.mktemp("drain") / "node",
        transports=["udp"],
        settings=f"[limits]\ndrain_seconds = {DRAIN}\n",
    )
    for user in ("alice", "bob"):
        node.add_user(user)
    node.serve()
    yield node
    node.end()


@pytest.fixture
def phones(node: Node) -> Iterator[tuple[RawPhone, RawPhone]]:
    alice, bob = RawPhone(node, "alice"), RawPhone(node, "bob")
    for phone in (alice, bob):
        assert phone.register().status == 200
    yield alice, bob
    alice.close()
    bob.close()


def ring(alice: RawPhone, bob: RawPhone) -> object:
    """Alice calls, and Bob's phone rings. Gives the INVITE."""
    alice.ask_only(alice.text("INVITE", "sip:bob@example.org"))
    invite = bob.next_request("INVITE")
    bob.reply(invite, 180)
    time.sleep(0.2)
    return invite


def end(node: Node, number: int = signal.SIGTERM) -> None:
    assert node.serving is not None
    node.serving.process.send_signal(number)


def test_a_call_that_rings_may_still_be_answered(node: Node, phones: tuple[RawPhone, RawPhone]) -> None:
    alice, bob = phones
    invite = ring(alice, bob)
    node.command("stop", "--drain")
    stranger = RawPhone(node, "dan", "127.0.0.61", "example.net")
    stranger.send(stranger.text("OPTIONS", "sip:bob@example.org"))
    refused = stranger.final(2.0)
    assert refused.status == 503
    assert refused.headers.get("Retry-After")
    stranger.close()
    bob.reply(invite, 200)  # type: ignore[arg-type]
    assert alice.final(3.0).status == 200
    assert node.serving is not None
    begin = time.monotonic()
    assert node.serving.wait(10) == 0
    assert time.monotonic() - begin < DRAIN  # nothing is left to wait for


def test_what_is_left_gets_an_answer(node: Node, phones: tuple[RawPhone, RawPhone]) -> None:
    alice, bob = phones
    ring(alice, bob)
    begin = time.monotonic()
    end(node)
    final = alice.final(DRAIN + 3.0)
    assert final.status == 503
    assert final.headers.get("Retry-After")
    assert DRAIN - 1.0 < time.monotonic() - begin < DRAIN + 2.0
    assert "SIP;cause=503" in (bob.next_request("CANCEL").headers.get("Reason") or "")
    assert node.serving is not None
    assert node.serving.wait(10) == 0


@pytest.mark.parametrize("how", ["a second signal", "ringfence stop"])
def test_a_hurry(node: Node, phones: tuple[RawPhone, RawPhone], how: str) -> None:
    alice, bob = phones
    ring(alice, bob)
    begin = time.monotonic()
    if how == "a second signal":
        end(node)
        time.sleep(0.3)
        end(node)
    else:
        node.command("stop")
    assert alice.final(4.0).status == 503
    assert time.monotonic() - begin < DRAIN - 1.0
    assert node.serving is not None
    assert node.serving.wait(10) == 0


def test_with_nothing_to_wait_for_it_ends_at_once(node: Node) -> None:
    begin = time.monotonic()
    end(node)
    assert node.serving is not None
    assert node.serving.wait(10) == 0
    assert time.monotonic() - begin < 3.0
