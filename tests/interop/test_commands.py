"""``ringfence call``, ``answer`` and ``message`` as a script would use them, with a baresip phone at the other end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.baresip import Baresip
from tests.interop.node import RINGFENCE, Node, environment, password_of
from tests.interop.processes import HOST, Program, eventually
from tests.interop.tone import seconds_of_tone, write_tone

pytestmark = pytest.mark.interop("baresip")

HEARD = 1.0
"""Seconds of a tone that prove that audio arrives."""


@pytest.fixture(scope="module")
def bob(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Baresip]:
    """Bob's phone, over TLS; its messages go to Carol."""
    phone = Baresip(node, "bob", tmp_path_factory.mktemp("commands") / "bob", hertz=700, friend="carol")
    eventually(phone.registered, "bob is registered")
    yield phone
    phone.end()


@pytest.fixture(autouse=True)
def _tidy(bob: Baresip) -> Iterator[None]:
    yield
    bob.forget()


def command(node: Node, directory: Path, user: str, *words: str | Path, trust: Path | None = None) -> Program:
    """Start a command of a user, over TLS, told in JSON."""
    server = f"--proxy=sip:{HOST}:{node.listen['tls']};transport=tls"
    secret = {**environment(), "RINGFENCE_PASSWORD": password_of(user)}
    return Program(
        [RINGFENCE, *words, server, "--trust", trust or node.authority, "--md5", "--json"],
        directory / str(words[0]),
        secret,
    )


def told(program: Program, event: str) -> list[dict[str, object]]:
    """The events of that kind that a command has told so far."""
    lines = [json.loads(line) for line in program.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("event") == event]


def test_call(node: Node, bob: Baresip, tmp_path: Path) -> None:
    said, heard = write_tone(tmp_path / "said.wav", 440, seconds=2.0), tmp_path / "heard.wav"
    mark = bob.mark()
    caller = command(
        node, tmp_path, "carol", "call", bob.address, "--from", "carol@example.org", "--play", said, "--record", heard
    )  # fmt: skip
    try:
        bob.expect("CALL_INCOMING", mark)
        bob.command("accept")
        assert caller.wait() == 0, caller.tail()
    finally:
        caller.end()
    bob.expect("CALL_CLOSED", mark)
    assert seconds_of_tone(heard, 700) >= HEARD
    assert bob.hears(440) >= HEARD


def test_call_that_is_refused(node: Node, bob: Baresip, tmp_path: Path) -> None:
    mark = bob.mark()
    caller = command(node, tmp_path, "carol", "call", bob.address, "--from", "carol@example.org")
    try:
        bob.expect("CALL_INCOMING", mark)
        bob.command("hangup")
        assert caller.wait() == 1, caller.tail()
    finally:
        caller.end()
    assert "486" in caller.tail()


def test_answer(node: Node, bob: Baresip, tmp_path: Path) -> None:
    said, heard = write_tone(tmp_path / "said.wav", 440), tmp_path / "heard.wav"
    callee = command(
        node, tmp_path, "carol", "answer", "carol@example.org", "--once", "--play", said, "--record", heard
    )  # fmt: skip
    try:
        eventually(lambda: told(callee, "registered"), "carol is registered", 30)
        mark = bob.mark()
        bob.command("message", "I'll call you.")
        eventually(lambda: told(callee, "text"), "the message is shown")
        bob.command("dial", "sip:carol@example.org")
        bob.expect("CALL_ESTABLISHED", mark)
        eventually(lambda: bob.hears(440) >= HEARD, "bob hears the file")
        bob.command("hangup")
        assert callee.wait() == 0, callee.tail()
    finally:
        callee.end()
    assert told(callee, "text")[0]["text"] == "I'll call you."
    assert told(callee, "incoming")[0]["peer"] == bob.address
    assert seconds_of_tone(heard, 700) >= HEARD


def test_message(node: Node, bob: Baresip, tmp_path: Path) -> None:
    sender = command(node, tmp_path, "carol", "message", bob.address, "hello", "--from", "carol@example.org")
    assert sender.wait() == 0, sender.tail()


def test_a_server_of_another_authority_gets_nothing(
    node: Node, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Node.create(tmp_path_factory.mktemp("other"), "example.net")
    phone = command(
        node, tmp_path, "carol", "register", "carol@example.org", "--duration=0", trust=other.authority
    )  # fmt: skip
    assert phone.wait(60) != 0
    assert "certificate" in phone.tail()
