"""``ringfence answer``: several calls, transfers, the end."""

from __future__ import annotations

from tests.cli.network import Network, events

ALICE = ("--from", "sips:alice@example.org")


def test_each_call_has_a_recording_of_its_own(network: Network) -> None:
    network.write_tone("tone.wav", 0.2)
    bob = network.start(
        "answer",
        "sips:bob@example.org",
        *network.account,
        "--record",
        "many.wav",
        "--json",
        until="registered",
    )
    for _ in range(2):
        assert network.run("call", "bob", *ALICE, *network.account, "--play", "tone.wav").returncode == 0
    code, text = bob.finish(stop=True)
    assert code == 0
    assert [item["event"] for item in events(text)].count("answered") == 2
    assert (network.directory / "many.wav").stat().st_size > 1000
    assert (network.directory / "many-2.wav").stat().st_size > 1000


def test_it_rings_for_a_while(network: Network) -> None:
    bob = network.start(
        "answer", "sips:bob@example.org", *network.account, "--once", "--after", "0.3", until="Registered"
    )
    done = network.run("call", "bob", *ALICE, *network.account, "--duration", "0", "--json")
    kinds = [item["event"] for item in events(done.stdout)]
    assert [kind for kind in kinds if kind != "connected"] == [  # by then it may have been told who answered
        "calling",
        "ringing",
        "answered",
        "verdict",
        "ended",
    ]
    assert bob.finish()[0] == 0


def test_an_end_while_a_call_is_up(network: Network) -> None:
    bob = network.start("answer", "sips:bob@example.org", *network.account, until="Registered")
    alice = network.start("call", "bob", *ALICE, *network.account, until="Answered")
    assert bob.finish(stop=True)[0] == 0
    code, text = alice.finish()
    assert (code, text.splitlines()[-1]) == (0, "Ended: the peer hung up")
