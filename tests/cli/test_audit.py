"""ringfence audit: what it asks before it sends anything, what it prints and how it exits."""

from __future__ import annotations

import json
import socket
from xml.etree import ElementTree

import pytest

from tests.cli.network import Network, free_port
from tests.cli.running import Shell


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["sip:192.0.2.1:5060;transport=udp"], "--i-operate-this"),
        (["tel:+1"], "no target"),
        (["sip:127.0.0.1;transport=sctp"], "no transport"),
        (["127.0.0.1", "--second-user", "b"], "name both"),
        (["127.0.0.1", "--only", "beauty"], "no requirement beauty"),
        (["--user", "alice"], "name a TARGET"),
        (["127.0.0.1", "--rate", "0"], "rate"),
    ],
)
def test_what_cannot_be_asked_is_a_usage_error(shell: Shell, words: list[str], says: str) -> None:
    result = shell.type("audit", *words)
    assert result.code == 2
    assert says in result.err


def test_a_name_that_leads_nowhere_and_a_port_without_server_are_unavailable(shell: Shell) -> None:
    assert shell.type("audit", "sip:nothing-here:5060;transport=udp").code == 69
    result = shell.type("audit", f"sip:127.0.0.1:{free_port()};transport=tcp", "--wait", "0.2")
    assert result.code == 69
    assert "does not answer" in result.err


def test_the_node_of_the_configuration_has_to_run(domain: Shell) -> None:
    result = domain.type("audit")
    assert result.code == 69
    assert "ringfence serve" in result.err


def test_a_server_that_is_no_sip_server_is_unavailable(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert shell.type("audit", f"sip:127.0.0.1:{port};transport=tcp", "--wait", "0.2").code == 69


def test_our_own_node_is_audited_with_accounts_that_are_gone_afterwards(network: Network) -> None:
    words = ("--only", "authorization", "--only", "4", "--html", "a.html", "--junit", "a.xml", "--json")
    done = network.run("audit", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert [each["name"] for each in report["requirements"]] == ["Authorization", "Accounting"]
    results = {each["probe"]: each["result"] for need in report["requirements"] for each in need["findings"]}
    assert results["call-recorded"] == results["ledger-verifies"] == results["register-other"] == "pass"
    assert "Accounting" in (network.directory / "a.html").read_text()
    assert len(ElementTree.parse(network.directory / "a.xml").getroot()) == 2
    users = json.loads(network.run("user", "list", "--json").stdout)
    assert [each["aor"] for each in users] == ["sip:alice@example.org", "sip:bob@example.org"]


def test_a_target_is_audited_with_accounts_that_are_given_and_weak_may_count(network: Network) -> None:
    words = ("sip:127.0.0.1", "--domain", "example.org", "--trust", "tls/ca.pem", "--only", "integrity")
    target = (f"sips:127.0.0.1:{network.tls}", *words[1:])
    accounts = (
        "--user",
        "alice",
        "--password-file",
        "password",
        "--second-user",
        "bob",
        "--second-password-file",
    )
    done = network.run("audit", *target, *accounts, "password")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 Integrity" in done.stdout
    assert "✓ Body and end-to-end fields arrive unchanged" in done.stdout
    assert "ringfence audit --config" in done.stdout or "run it with --config" in done.stdout
    strict = network.run("audit", *target, *accounts, "password", "--strict")
    assert strict.returncode == 1
