"""The console beside a node of two workers on PostgreSQL: every page, a call, money, a ban, the ledger."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.interop.node import RINGFENCE, Node, environment, password_of
from tests.interop.processes import HOST, Program, eventually, free_port
from tests.interop.test_workers import WORKERS, ready
from tests.store.test_postgresql import server, url

pytest.importorskip("psycopg", reason="psycopg is not installed")
pytestmark = pytest.mark.interop("postgres")

__all__ = ["server", "url"]  # fixtures

ADMIN = "correct horse battery staple"
PAGES = ("/", "/calls", "/accounts", "/bans", "/ledger", "/billing", "/certificates", "/audit")


@pytest.fixture
def node(url: str, tmp_path: Path) -> Iterator[Node]:
    settings = f'[database]\nurl = "{url}"\n[ledger]\ndatabase = "{url}"\n'
    node = Node.create(tmp_path / "node", transports=("udp", "tcp", "tls"), old_phones=False)
    text = node.config.read_text(encoding="utf-8").replace("[node]\n", f"[node]\nworkers = {WORKERS}\n")
    node.config.write_text(text + settings, encoding="utf-8")
    for user in ("alice", "bob"):
        node.add_user(user)
    node.command("admin", "add", "boss", "--role", "owner", "--password=-", typed=f"{ADMIN}\n")
    node.serve()
    eventually(lambda: ready(node), "both workers are ready", 30)
    yield node
    node.end()


@pytest.fixture
def browser(node: Node) -> Iterator[httpx.Client]:
    port = free_port()
    words: list[str | Path] = [RINGFENCE, "console", "--config", node.config, "--listen", f"{HOST}:{port}"]
    console = Program(words, node.directory / "console", environment())
    eventually(lambda: "The console is at" in console.tail(), "the console serves", 30)
    # The certificate is that of the domain, whose CA is ours: what is tried here is not TLS.
    with httpx.Client(base_url=f"https://{HOST}:{port}", verify=False, timeout=30) as browser:
        form = {"name": "boss", "password": ADMIN, "next": "/"}
        assert browser.post("/sign-in", data=form).status_code == 303
        yield browser
    console.end()


def submit(browser: httpx.Client, path: str, **fields: str) -> httpx.Response:
    found = re.search(r'name="csrf" value="([^"]+)"', browser.get("/").text)
    assert found is not None
    return browser.post(path, data={"csrf": found[1], **fields})


def call(node: Node, directory: Path) -> None:
    directory.mkdir()
    programs: list[Program] = []
    for command, user, *words in (
        ("answer", "bob", "sips:bob@example.org"),
        ("call", "alice", "sips:bob@example.org", "--from", "sips:alice@example.org", "--duration", "0.2"),
    ):
        secret = directory / user
        secret.write_text(password_of(user))
        line: list[str | Path] = [RINGFENCE, command, *words, "--trust", node.authority]
        line += ["--password-file", secret, "--proxy", f"sips:{HOST}:{node.listen['tls']}"]
        programs.append(Program(line, directory / f"{command}-log", environment()))
        if command == "answer":
            eventually(lambda: "Registered" in programs[0].tail(), "bob is registered")
    eventually(lambda: not programs[1].running, "the call is over", 30)
    assert "Ended: we hung up" in programs[1].tail(), programs[1].tail()
    programs[0].end()


def test_a_console_of_two_workers_on_postgresql(node: Node, browser: httpx.Client, tmp_path: Path) -> None:
    for path in PAGES:
        answer = browser.get(path)
        assert answer.status_code == 200, path
    overview = browser.get("/").text
    assert re.search(rf"<dt>Workers</dt><dd>{WORKERS}</dd>", overview)
    for number in range(3):  # whichever worker has it
        call(node, tmp_path / str(number))
    eventually(lambda: calls_over(browser) == 3, "calls are shown")
    shown = browser.get("/calls").text
    one = re.search(r'href="(/calls/one[^"]+)"', shown)
    assert one is not None
    assert "200 OK" in browser.get(one[1]).text

    assert submit(browser, "/billing", account="alice", what="prepaid").status_code == 303
    assert submit(browser, "/billing", account="alice", what="add", amount="12.50").status_code == 303
    assert "12.50" in node.command("user", "credit", "alice")
    assert submit(browser, "/bans", network="192.0.2.0/24", length="6 hours", what="add").status_code == 303
    assert "192.0.2.0/24" in node.command("ban", "list")

    assert browser.get("/ledger").text.count("sip:alice@example.org") == 3
    assert len(browser.get("/billing/calls.csv").text.splitlines()) == 4
    submit(browser, "/ledger/verify")
    eventually(lambda: "every 1s" not in browser.get("/ledger/verified").text, "the ledger is verified")
    text = browser.get("/ledger/verified").text
    assert text.count("as it was written") == WORKERS, text


def calls_over(browser: httpx.Client) -> int:
    """How many calls are shown that are over."""
    return browser.get("/calls").text.count('<span class="state over">')
