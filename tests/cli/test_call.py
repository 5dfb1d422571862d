"""``ringfence call``, with ``ringfence answer`` at the other end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.network import Network, events
from tests.cli.running import Shell
from tests.client.phones import pitch

ALICE = ("--from", "sips:alice@example.org")


def test_a_tone_is_played_and_recorded(network: Network) -> None:
    network.write_tone("tone.wav")
    bob = network.start(
        "answer",
        "sips:bob@example.org",
        *network.account,
        "--once",
        "--record",
        "bob.wav",
        "--json",
        until="registered",
    )
    done = network.run(
        "call", "bob", *ALICE, *network.account, "--play", "tone.wav", "--digits", "7", "--json"
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = events(done.stdout)
    kinds = [item["event"] for item in told]
    assert kinds.count("connected") == 1  # it comes when it comes (RFC 4916)
    assert [kind for kind in kinds if kind != "connected"] == [
        "calling",
        "ringing",
        "answered",
        "verdict",
        "ended",
    ]
    assert told[2]["encrypted"] is True
    code, text = bob.finish()
    assert code == 0
    kinds = [item["event"] for item in events(text)]
    assert kinds == ["registered", "incoming", "answered", "verdict", "key", "ended"]
    assert (events(text)[1]["peer"], events(text)[1]["evidence"]) == (
        "sip:alice@example.org",
        "asserted by our server",
    )
    assert pitch(network.directory / "bob.wav") == pytest.approx(440, rel=0.05)


def test_the_duration_ends_it(network: Network) -> None:
    bob = network.start("answer", "sips:bob@example.org", *network.account, "--once", until="Registered")
    done = network.run("call", "bob", *ALICE, *network.account, "--duration", "0.2")
    assert done.returncode == 0
    connected = "Connected with sip:bob@example.org (asserted by our server)"
    assert [line for line in done.stdout.splitlines() if line != connected] == [
        "Calling sips:bob@example.org",
        "It rings",
        "Answered: sips:bob@example.org (called); audio encrypted",
        "Read by the servers on the way; changed unnoticed by the servers on the way, header fields by the servers "
        "on the way; audio heard by the servers on the way",
        "Ended: we hung up",
    ]
    assert bob.finish()[0] == 0


def test_busy(network: Network) -> None:
    bob = network.start(
        "answer", "sips:bob@example.org", *network.account, "--once", "--reject", "486", until="Registered"
    )
    done = network.run("call", "bob", *ALICE, *network.account)
    assert (done.returncode, done.stderr) == (1, "ringfence: 486 Busy Here\n")
    assert bob.finish()[0] == 0


def test_nobody_has_that_name(network: Network) -> None:
    done = network.run("call", "sips:nobody@example.org", *ALICE, *network.account)
    assert done.returncode == 1
    assert "404" in done.stderr


def test_a_signal_while_it_rings(network: Network) -> None:
    bob = network.start(
        "answer", "sips:bob@example.org", *network.account, "--after", "60", until="Registered"
    )
    alice = network.start("call", "bob", *ALICE, *network.account, until="rings")
    code, text = alice.finish(stop=True)
    assert code == 0
    assert text.splitlines()[-1] == "Ended: Request Terminated"
    code, text = bob.finish(stop=True)
    assert "A call from sip:alice@example.org" in text


def test_without_a_server(network: Network) -> None:
    bob = network.start(
        "answer",
        "sip:bob@127.0.0.1",
        "--direct",
        "--host",
        "127.0.0.1",
        "--transport",
        "tcp",
        "--once",
        until="Listening",
    )
    done = network.run(
        "call", _address(network, bob), "--from", "sip:alice@127.0.0.1", "--direct", "--duration", "0"
    )
    assert done.returncode == 0, done.stderr
    assert bob.finish()[0] == 0


def _address(network: Network, running: object) -> str:
    texts = [path.read_text() for path in sorted(network.directory.glob("out*"))]
    return next(text for text in reversed(texts) if "Listening" in text).split()[-1]


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--play", "missing.wav"), 65, "missing.wav"),
        (("--srtp", "perhaps"), 2, "--srtp"),
        (("--direct", "--proxy", "sip:a.example"), 2, "--proxy"),
        (("--direct", "--srtp", "required"), 65, "TLS"),
    ],
)
def test_what_makes_no_sense(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int, text: str
) -> None:
    monkeypatch.setenv("RINGFENCE_PASSWORD", "secret")
    result = shell.type("call", "sip:bob@127.0.0.1:9", "--from", "sip:alice@127.0.0.1", *words)
    assert result.code == code
    assert text in result.err


def test_who_calls_has_to_be_said(shell: Shell, tmp_path: Path) -> None:
    assert shell.type("call", "sip:bob@127.0.0.1").code == 2
