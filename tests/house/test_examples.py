"""The examples run, and do what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ringfence.cli.demo_stage import free_ports
from ringfence.client import CallError, UserAgent
from ringfence.service.config import Config
from ringfence.service.process import running
from tests.cli.running import Shell

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, monkeypatch, capsys)


@pytest.fixture
def passwords(shell: Shell) -> list[str]:
    """A domain in the directory example, with alice and bob."""
    port = free_ports(1)[0]
    listen = ("--listen", f"tls:127.0.0.1:{port}", "--host", "127.0.0.1")
    assert shell.type("init", "example.org", "--dir", "example", *listen).code == 0
    added = [shell.type("user", "add", name, "--config", "example", "--json") for name in ("alice", "bob")]
    return [each.json["password"] for each in added]


def run(name: str, *words: str) -> str:
    """Run an example; gives what it prints."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_agents_call_each_other_without_a_server() -> None:
    out = run("direct_call.py")
    assert "bob's phone rings: <sip:alice@127.0.0.1> (claimed)" in out
    assert "over: the peer hung up" in out
    assert int(out.split("bob has heard ")[1].split()[0]) > 10


def test_a_node_and_a_call_through_it(passwords: list[str]) -> None:
    out = run("node_and_call.py", "example", *passwords)
    assert "bob's phone rings: <sip:alice@example.org> (asserted by our server)" in out
    assert "audio encrypted: True" in out


def test_what_can_be_done_in_a_call() -> None:
    out = run("in_a_call.py").splitlines()
    assert {"bob saw held", "bob saw resumed", "bob saw key 4", "bob saw key 2", "bob saw key #"} <= set(out)
    assert "bob saw text One moment, I connect you. text/plain" in out
    assert out[-2:] == ["carol's phone rings: <sip:bob@127.0.0.1> (claimed)", "alice is out: we hung up"]


def test_an_anonymous_call_and_a_protected_one(passwords: list[str], shell: Shell) -> None:
    for name in ("alice", "bob"):
        issued = shell.type("cert", "issue", "--user", f"{name}@example.org", "--config", "example")
        assert issued.code == 0
    out = run("private_and_protected.py", "example", *passwords)
    assert "alice is registered and the node serves example.org" in out
    assert "anonymous: True Anonymous <sip:anonymous@anonymous.invalid>" in out
    assert "caller: <sips:alice@example.org> (signed)" in out
    assert "protected: signed and intact, header fields too; encrypted by aes-256-gcm" in out
    assert "'Subject': 'The merger'" in out
    assert "verdict: read by the two ends alone" in out
    assert "text: It is on. signed" in out


def test_each_failure_is_of_its_own_kind() -> None:
    out = run("failures.py")
    assert "OPTIONS sip:bob@example.org from sip:alice@example.org" in out
    assert "PeerError: 400 CSeq" in out
    assert "bob reads: Are you there? from <sip:alice@127.0.0.1> (claimed)" in out
    assert "CallError: 486 Busy Here" in out
    assert "MessageError: 503" in out
    assert "LocalError: tel:+358 9 1234 is no address" in out


async def test_a_rule_of_ones_own_refuses_premium_numbers(
    passwords: list[str], shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    path = shell.directory / "example" / "ringfence.toml"
    path.write_text(path.read_text() + '\n[policy]\nsteps = ["own_step:no_premium_numbers"]\n')
    config = Config.load(path)
    proxy = f"sips:127.0.0.1:{config.listeners[0].port}"
    agent = UserAgent("sips:alice@example.org", password=passwords[0], proxy=proxy, trust=config.tls.ca or ())
    async with running(config), agent as alice:
        call = await alice.call("sips:+358700123@example.org")
        with pytest.raises(CallError, match=r"403 Forbidden \(premium numbers"):
            await call.answered
        call = await alice.call("sips:+358401234@example.org")
        with pytest.raises(CallError, match=r"404|480"):  # let through, and nobody is there
            await call.answered


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    names = [path.stem for path in EXAMPLES.glob("*.py")]
    assert [name for name in names if name not in text] == []
