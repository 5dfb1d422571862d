"""Two baresip phones call each other: registration, calls, audio, hold, refusal, messages."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.baresip import Baresip
from tests.interop.node import RINGFENCE, Node
from tests.interop.processes import eventually

pytestmark = pytest.mark.interop("baresip")

HEARD = 1.0
"""Seconds of the other's tone that prove that audio arrives."""

Pair = tuple[Baresip, Baresip]


@pytest.fixture(scope="module", params=["tls", "udp", "tcp"])
def phones(
    request: pytest.FixtureRequest, node: Node, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """Alice and Bob, registered over one transport."""
    directory = tmp_path_factory.mktemp(f"phones-{request.param}")
    alice = Baresip(node, "alice", directory / "alice", request.param, hertz=440)
    bob = Baresip(node, "bob", directory / "bob", request.param, hertz=700)
    try:
        for phone in alice, bob:
            eventually(phone.registered, f"{phone.user} is registered")
        yield alice, bob
    finally:
        alice.end()
        bob.end()


@pytest.fixture
def pair(phones: Pair) -> Iterator[Pair]:
    """The same, without what the last test left."""
    yield phones
    for phone in phones:
        phone.forget()


def set_up(caller: Baresip, callee: Baresip) -> None:
    """One calls the other, who answers."""
    marks = caller.mark(), callee.mark()
    caller.command("dial", callee.address)
    callee.expect("CALL_INCOMING", marks[1])
    caller.expect("CALL_RINGING", marks[0])
    callee.command("accept")
    caller.expect("CALL_ESTABLISHED", marks[0])
    callee.expect("CALL_ESTABLISHED", marks[1])


def hear_each_other(one: Baresip, other: Baresip) -> None:
    """Wait until each has heard the other, and see that nobody heard himself."""
    eventually(lambda: min(one.hears(other.hertz), other.hears(one.hertz)) >= HEARD, "each hears the other")
    assert one.hears(one.hertz) == other.hears(other.hertz) == 0


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_call_has_audio_both_ways_and_either_side_ends_it(pair: Pair, who: str) -> None:
    alice, bob = pair
    set_up(alice, bob)
    hear_each_other(alice, bob)
    ends, hears = (alice, bob) if who == "caller" else (bob, alice)
    mark = hears.mark()
    ends.command("hangup")
    assert hears.expect("CALL_CLOSED", mark)["param"] == "Connection reset by peer"


def test_the_caller_is_who_he_has_proved_to_be(pair: Pair) -> None:
    alice, bob = pair
    mark = alice.mark()
    bob.command("dial", alice.address)
    assert alice.expect("CALL_INCOMING", mark)["peeruri"] == bob.address
    alice.command("hangup")


def test_hold_stops_the_audio_and_resume_is_agreed(pair: Pair) -> None:
    alice, bob = pair
    set_up(alice, bob)
    hear_each_other(alice, bob)
    mark, other = alice.mark(), bob.mark()
    alice.command("hold")
    bob.expect("CALL_REMOTE_SDP", other, text="offer")
    alice.expect("CALL_REMOTE_SDP", mark, text="answer")
    held = silence_of(bob)
    mark, other = alice.mark(), bob.mark()
    alice.command("resume")
    bob.expect("CALL_REMOTE_SDP", other, text="offer")
    alice.expect("CALL_REMOTE_SDP", mark, text="answer")
    assert bob.hears(alice.hertz) >= held
    mark = bob.mark()
    alice.command("hangup")
    bob.expect("CALL_CLOSED", mark)


def silence_of(phone: Baresip) -> float:
    """Wait until nothing more is heard; gives how much there was."""
    before = -1.0

    def still() -> bool:
        nonlocal before
        last, before = before, phone.hears(440)
        subprocess.run(["sleep", "0.3"], check=True)
        return before == last

    eventually(still, "silence")
    return before


def test_a_call_that_is_refused(pair: Pair) -> None:
    alice, bob = pair
    mark, other = alice.mark(), bob.mark()
    alice.command("dial", bob.address)
    bob.expect("CALL_INCOMING", other)
    bob.command("hangup")
    assert "486" in alice.expect("CALL_CLOSED", mark)["param"]


def test_a_call_that_is_not_answered_is_cancelled(pair: Pair) -> None:
    alice, bob = pair
    mark, other = alice.mark(), bob.mark()
    alice.command("dial", bob.address)
    bob.expect("CALL_INCOMING", other)
    alice.expect("CALL_RINGING", mark)
    alice.command("hangup")
    bob.expect("CALL_CLOSED", other)
    assert "(0)" in bob.command("listcalls")


def test_a_call_to_nobody(pair: Pair) -> None:
    alice, _ = pair
    mark = alice.mark()
    alice.command("dial", "sip:nobody@example.org")
    assert "404" in alice.expect("CALL_CLOSED", mark)["param"]


def test_a_message(pair: Pair, node: Node) -> None:
    """baresip does not tell of messages: what passes the node does."""
    alice, _ = pair
    text = "Meet me at noon, Bob."
    words = [
        "trace",
        "--config",
        str(node.config),
        "--json",
        "--text",
        "--count=8",
        "--filter=method=MESSAGE",
    ]
    trace = subprocess.Popen([RINGFENCE, *words], stdout=subprocess.PIPE, text=True)

    def shown() -> bool:
        alice.command("message", text)
        subprocess.run(["sleep", "0.2"], check=True)
        return trace.poll() is not None

    try:
        eventually(shown, "messages in the trace")
    finally:
        trace.kill()
    events = [json.loads(line) for line in trace.communicate()[0].splitlines()]
    delivered = [each for each in events if each["direction"] == "out" and each["status"] is None]
    assert delivered[0]["text"].endswith(f"\r\n\r\n{text}")
    assert 200 in [each["status"] for each in events if each["direction"] == "in"]


def test_a_wrong_password_is_refused(node: Node, tmp_path: Path) -> None:
    phone = Baresip(node, "carol", tmp_path / "carol", password="wrong")
    try:
        phone.expect("REGISTER_FAIL")
        assert not phone.registered()
    finally:
        phone.end()


def test_a_call_with_encrypted_audio(node: Node, tmp_path: Path) -> None:
    """SDES keys (RFC 4568) in SDP over TLS, SRTP between the phones."""
    carol = Baresip(node, "carol", tmp_path / "carol", hertz=440, encryption="srtp-mand")
    dave = Baresip(node, "dave", tmp_path / "dave", hertz=700, encryption="srtp-mand")
    try:
        for phone in carol, dave:
            eventually(phone.registered, f"{phone.user} is registered")
        set_up(carol, dave)
        hear_each_other(carol, dave)
        assert "RTP/SAVP" in carol.command("callstat")
    finally:
        carol.end()
        dave.end()
