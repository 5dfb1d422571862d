"""``ringfence audit`` put to our own node and to Kamailio with the configuration that its package brings."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.interop.federation import MEMORY, listens
from tests.interop.node import RINGFENCE, Node, environment
from tests.interop.processes import HOST, Program, eventually, free_port

STOCK = Path("/etc/kamailio/kamailio.cfg")
DOMAIN = "kamailio.example"
AUDIT_SECONDS = 120.0

SETTINGS = """
[limits]
first_message_seconds = 2.0
message_seconds = 2.0
[media]
ports = [12000, 12999]
"""
"""So that the test need not wait half a minute for a slow connection to be closed, and the ports of tests are not those
for media."""

EXPLAINED = {
    "agreement-known": "420 Bad Extension",
    "calls-signed": "not signed",
    "check-clean": "plaintext",
    "digest-body": "qop=auth",
    "plaintext-ports": "answer in plaintext",
    "sips-arrival": "404",
    "topology": "Contact",
}
"""What is weak in a node as ``ringfence init`` makes it, with a word of the reason. docs/audit.md says why it is so."""


def audit(*words: str | Path) -> tuple[int, dict[str, Any]]:
    """The exit code and the report."""
    done = subprocess.run(
        [RINGFENCE, "audit", *words, "--json"],
        capture_output=True,
        text=True,
        timeout=AUDIT_SECONDS,
        env=environment(),
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, report


def findings(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["probe"]: each for need in report["requirements"] for each in need["findings"]}


@pytest.fixture(scope="module")
def own_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    transports = ("udp", "tcp", "tls", "wss")
    directory = tmp_path_factory.mktemp("audited") / "node"
    node = Node.create(directory, transports=transports, old_phones=False, settings=SETTINGS)
    node.serve()
    yield node
    node.end()


def test_our_own_node_fails_in_nothing_and_what_is_weak_is_explained(own_node: Node) -> None:
    code, report = audit("--config", own_node.config)
    found = findings(report)
    failed = {name: each["detail"] for name, each in found.items() if each["result"] == "fail"}
    assert (code, failed) == (0, {})
    for name, each in found.items():
        if each["result"] == "weak":
            assert EXPLAINED.get(name, "nothing") in each["detail"], (name, each["detail"])
    unseen = {name for name, each in found.items() if each["result"] == "not observable"}
    assert unseen <= {"agreement-downgrade", "users-timed"}
    assert len(report["places"]) == 4
    assert json.loads(own_node.command("user", "list", "--json")) == []
    assert json.loads(own_node.command("ban", "list", "--json")) == []


def test_a_ledger_that_somebody_has_changed_fails(own_node: Node) -> None:
    with closing(sqlite3.connect(own_node.directory / "data" / "ledger.db")) as ledger:
        ledger.execute("UPDATE ledger_events SET body = replace(body, 'audit-callee', 'audit-caller')")
        ledger.commit()
    code, report = audit("--config", own_node.config, "--only", "accounting")
    assert code == 1
    verdict = findings(report)["ledger-verifies"]
    assert (verdict["result"], "changed" in verdict["detail"]) == ("fail", True)


@pytest.fixture
def kamailio(tmp_path: Path) -> Iterator[int]:
    if not STOCK.exists():
        pytest.skip(f"there is no {STOCK}")
    port = free_port()
    shutil.copy(STOCK, tmp_path / "kamailio.cfg")
    listen = ["-l", f"udp:{HOST}:{port}", "-l", f"tcp:{HOST}:{port}", "--alias", DOMAIN]
    program = Program(
        ["kamailio", "-f", "kamailio.cfg", "-w", tmp_path, "-Y", tmp_path, "-DD", "-E", *MEMORY, *listen],
        tmp_path,
    )
    eventually(lambda: listens(HOST, port), "kamailio listens")
    yield port
    program.end()


@pytest.mark.interop("kamailio")
def test_kamailio_as_its_package_brings_it_is_open_in_the_ways_that_are_known(
    kamailio: int, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("any\n")
    users = [
        "--user",
        "alice",
        "--password-file",
        password,
        "--second-user",
        "bob",
        "--second-password-file",
        password,
    ]
    asked = [word for number in "1358" for word in ("--only", number)]
    code, report = audit(f"sip:{HOST}:{kamailio}", "--domain", DOMAIN, *users, *asked)
    assert code == 1
    assert "kamailio" in report["software"]
    found = findings(report)
    open_doors = ("register-challenged", "calls-proved", "register-open", "register-other", "tls-offered")
    for name in (*open_doors, "relay-dialog", "asserted-outside"):
        assert found[name]["result"] == "fail", (name, found[name]["detail"])
    for name in ("relay-uri", "relay-route", "unchanged"):
        assert found[name]["result"] == "pass", (name, found[name]["detail"])
    sent = found["relay-dialog"]["evidence"]
    assert any("the third party" not in each["place"] and not each["outward"] for each in sent)
