"""``ringfence message``."""

from __future__ import annotations

import pytest

from tests.cli.network import Network, events
from tests.cli.running import Shell

ALICE = ("--from", "sips:alice@example.org")


def test_a_text_is_delivered(network: Network) -> None:
    bob = network.start("answer", "sips:bob@example.org", *network.account, "--json", until="registered")
    done = network.run("message", "bob", "Kaffee?", *ALICE, *network.account)
    assert (done.returncode, done.stdout) == (0, "Delivered to bob\n")
    done = network.run("message", "bob", "-", *ALICE, *network.account, "--json", stdin="two\nlines\n")
    assert events(done.stdout) == [{"event": "sent", "to": "bob"}]
    code, text = bob.finish(stop=True)
    assert code == 0
    texts = [item for item in events(text) if item["event"] == "text"]
    assert [item["text"] for item in texts] == ["Kaffee?", "two\nlines\n"]
    assert texts[0]["peer"] == "sip:alice@example.org"


def test_nobody_is_there(network: Network) -> None:
    done = network.run("message", "bob", "hello", *ALICE, *network.account)
    assert (done.returncode, done.stdout) == (1, "")
    assert "480" in done.stderr


def test_an_empty_text(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGFENCE_PASSWORD", "secret")
    monkeypatch.setenv("RINGFENCE_ADDRESS", "sip:alice@127.0.0.1")
    assert shell.type("message", "sip:bob@127.0.0.1", " ").code == 65
