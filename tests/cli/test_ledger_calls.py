"""What a node that is served writes of real calls, and what is left when it is killed in the middle of one."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.network import PATIENCE, PROGRAM, Network

ALICE = ("--from", "sips:alice@example.org")


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """A node that a test may kill."""
    network = Network(tmp_path)
    yield network
    network.close()


def calls(network: Network) -> list[dict[str, Any]]:
    done = network.run("ledger", "list", "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def wait_for_answer(network: Network) -> None:
    end = time.monotonic() + PATIENCE
    while not any(each["answered"] for each in calls(network)):
        assert time.monotonic() < end
        time.sleep(0.2)


def serve(network: Network) -> None:
    with (network.directory / "log").open("w") as log:
        network.node = subprocess.Popen(
            [PROGRAM, "serve"], cwd=network.directory, stderr=log, env=network.environment
        )
    network._wait_for('"serving"', network.directory / "log", network.node)


def test_a_call_is_in_the_ledger_and_the_ledger_is_proved(network: Network) -> None:
    bob = network.start("answer", "sips:bob@example.org", *network.account, "--once", until="Registered")
    assert network.run("call", "bob", *ALICE, *network.account, "--duration", "1").returncode == 0
    assert bob.finish()[0] == 0
    network.run("call", "nobody", *ALICE, *network.account)
    time.sleep(0.5)  # events that nobody waits for gather for a moment
    (call,) = calls(network)  # nobody is there to be called: that was no call
    assert call["account"] == "sip:alice@example.org"
    assert call["callee"] == "sip:bob@example.org"
    assert 0.9 < call["seconds"] < 3
    assert call["reason"] == "the caller hung up"
    assert call["transport"] == "TLS"
    assert network.run("ledger", "verify").returncode == 0
    network.close()
    done = network.run("ledger", "verify", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["chains"][0]["unsealed"] == 0


def test_a_node_that_is_killed_in_the_middle_of_a_call_accounts_it_once(network: Network) -> None:
    bob = network.start("answer", "sips:bob@example.org", *network.account, "--once", until="Registered")
    caller = network.start("call", "bob", *ALICE, *network.account, until="Answered")
    wait_for_answer(network)
    assert [each["ended"] for each in calls(network)] == [None]
    network.node.kill()
    network.node.wait(PATIENCE)
    serve(network)
    (call,) = calls(network)
    assert (call["reason"], call["status"]) == ("the node crashed", 200)
    assert "calls closed that a crash left open" in (network.directory / "log").read_text()
    for phone in (caller, bob):  # what they say to each other now is of no call that is recorded
        phone.process.kill()
        phone.process.wait(PATIENCE)
    assert len(calls(network)) == 1
    assert network.run("ledger", "verify").returncode == 0
