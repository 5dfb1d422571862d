"""``ringfence register`` against a node."""

from __future__ import annotations

import pytest

from tests.cli.network import Network, events
from tests.cli.running import Shell


def test_it_registers_and_takes_that_back(network: Network) -> None:
    done = network.run("register", "sips:alice@example.org", *network.account, "--duration", "0.1", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    first, last = events(done.stdout)
    assert (first["event"], first["seconds"], first["outbound"]) == ("registered", 600, True)
    assert first["gruu"].startswith("sips:alice@example.org;gr=urn:uuid:")
    assert last["event"] == "unregistered"


def test_a_signal_ends_it_in_good_order(network: Network) -> None:
    running = network.start("register", "sips:alice@example.org", *network.account, until="Registered")
    code, text = running.finish(stop=True)
    assert (code, text.splitlines()[-1]) == (0, "No longer registered")


def test_a_wrong_password(network: Network) -> None:
    (network.directory / "wrong").write_text("wrong\n")
    options = [*network.account, "--password-file", "wrong"]
    done = network.run("register", "sips:alice@example.org", *options)
    assert done.returncode == 1
    assert "the user name or password is wrong" in done.stderr


def test_a_server_of_an_unknown_authority(network: Network) -> None:
    (network.directory / "password").read_text()
    done = network.run(
        "register", "sips:alice@example.org", *network.account[:2], "--password-file", "password"
    )
    assert done.returncode == 69
    assert "--trust" in done.stderr


def test_nobody_listens(network: Network) -> None:
    done = network.run(
        "register", "sips:alice@example.org", "--proxy", "sips:127.0.0.1:1", "--password-file", "password"
    )
    assert done.returncode == 69
    assert "refused" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("alice",), 65, "not the address of a user"),
        (("sips:alice@example.org", "--transport", "udp"), 65, "needs TLS"),
        (("sips:alice@example.org", "--transport", "carrier-pigeon"), 65, "no such transport"),
        (("sips:alice@example.org", "--proxy", "sip:127.0.0.1"), 65, "needs TLS"),
    ],
)
def test_what_makes_no_sense(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int, text: str
) -> None:
    monkeypatch.setenv("RINGFENCE_PASSWORD", "secret")
    result = shell.type("register", *words)
    assert result.code == code
    assert text in result.err


def test_a_password_is_needed(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RINGFENCE_PASSWORD", raising=False)
    result = shell.type("register", "sips:alice@example.org")
    assert result.code == 2
    assert "--password-file" in result.err
    (shell.directory / "empty").write_text("")
    assert shell.type("register", "sips:alice@example.org", "--password-file", "empty").code == 65
    assert shell.type("register", "sips:alice@example.org", "--password-file", "missing").code == 69
