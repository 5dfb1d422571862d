"""Texts and calls that are protected end to end, by commands, through a served node."""

from __future__ import annotations

import stat

from tests.cli.network import Network, events
from tests.cli.running import Shell

ALICE = ("--from", "sips:alice@example.org")


def keys_of(network: Network, name: str) -> tuple[str, ...]:
    """The options of somebody with a certificate of the domain."""
    path = network.directory / "people" / f"{name}@example.org.pem"
    if not path.exists():
        done = network.run("cert", "issue", "--user", f"{name}@example.org", "--out", "people")
        assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(path.with_suffix(".key").stat().st_mode) == 0o600
    return "--certificate", str(path), "--certificates", f"{name}-knows"


def test_a_secret_text(network: Network) -> None:
    alice, bob = keys_of(network, "alice"), keys_of(network, "bob")
    phone = network.start(
        "answer", "sips:bob@example.org", *network.account, *bob, "--json", until="registered"
    )
    protect = ("--sign", "--encrypt", "--subject", "The merger", *alice)
    done = network.run("message", "bob", "It is on.", *ALICE, *network.account, *protect)
    assert (done.returncode, done.stderr) == (0, "")
    code, told = phone.finish(stop=True)
    assert code == 0
    text, protection = [each for each in events(told) if each["event"] in {"text", "protection"}]
    assert (text["text"], text["peer"], text["evidence"]) == ("It is on.", "sips:alice@example.org", "signed")
    assert protection["protection"] == "signed and intact, header fields too; encrypted by aes-256-gcm"
    assert protection["hidden"]["Subject"] == "The merger"
    assert (protection["changed"], protection["warnings"]) == ([], [])
    assert "alice@example.org, issued by CN=" in protection["signer"]


def test_a_secret_call(network: Network) -> None:
    alice, bob = keys_of(network, "alice"), keys_of(network, "bob")
    phone = network.start(
        "answer", "sips:bob@example.org", *network.account, *bob, "--once", until="Registered"
    )
    protect = ("--sign", "--encrypt", "--tunnel", "--aib", *alice)
    done = network.run("call", "bob", *ALICE, *network.account, *protect, "--duration", "0.1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Answered: sips:bob@example.org (signed); audio encrypted" in done.stdout
    assert "End to end: signed and intact, header fields too; encrypted by aes-256-gcm" in done.stdout
    assert "Warning" not in done.stdout
    assert phone.finish()[0] == 0


def test_what_is_missing_is_said(network: Network) -> None:
    done = network.run("message", "bob", "hello", *ALICE, *network.account, "--sign")
    assert done.returncode == 65
    assert "ringfence cert issue --user" in done.stderr


def test_a_certificate_is_for_a_user(domain: Shell) -> None:
    assert domain.type("cert", "issue").code == 2
    assert domain.type("cert", "issue", "--user", "example.org").code == 65
    assert domain.type("cert", "issue", "--user", "alice@example.org").code == 0
