"""The whole life of a node, by the program itself: init, serve, ask it, watch it, stop it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAM = str(Path(sys.executable).with_name("ringfence"))
OPTIONS = (
    b"OPTIONS sip:alice@example.org SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKtrace;rport\r\n"
    b"From: <sip:alice@example.org>;tag=1\r\n"
    b"To: <sip:alice@example.org>\r\n"
    b"Call-ID: options@127.0.0.1\r\n"
    b"CSeq: 1 OPTIONS\r\n"
    b"Max-Forwards: 70\r\n"
    b'Authorization: Digest username="alice", realm="other", nonce="n", uri="sip:x", response="hunter2"\r\n'
    b"Content-Length: 0\r\n\r\n"
)


def free_port(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    """A node in a process of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.udp = free_port(socket.SOCK_DGRAM)
        tls = free_port(socket.SOCK_STREAM)
        self.run(
            "init", "example.org", "--listen", f"udp:127.0.0.1:{self.udp}", "--listen", f"tls:127.0.0.1:{tls}"
        )
        with (directory / "ringfence.toml").open("a") as file:
            file.write('\n[metrics]\nlisten = ""\n')
        with (directory / "log").open("w") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "serve"], cwd=directory, stderr=log, env=self.environment
            )
        self.wait_for("serving")

    @property
    def environment(self) -> dict[str, str]:
        return {key: value for key, value in os.environ.items() if not key.startswith("RINGFENCE")}

    def run(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [PROGRAM, *words],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.directory / "log").read_text().splitlines()]

    def wait_for(self, name: str) -> None:
        for _ in range(200):
            if any(event["event"] == name for event in self.events()):
                return
            assert self.process.poll() is None, (self.directory / "log").read_text()
            time.sleep(0.05)
        raise AssertionError(f"no event {name}")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    yield running
    if running.process.poll() is None:
        running.process.kill()
    running.process.wait(10)


def test_a_node_is_asked_watched_reloaded_and_stopped(node: Running) -> None:
    facts = json.loads(node.run("status", "--json"))
    assert facts["domain"] == "example.org"
    watching = subprocess.Popen(
        [PROGRAM, "trace", "--count", "2", "--json", "--text"],
        cwd=node.directory,
        env=node.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.settimeout(0.2)
        phone.connect(("127.0.0.1", node.udp))
        for number in range(100):  # until the trace has begun to watch
            phone.send(OPTIONS.replace(b"trace", b"trace%d" % number))
            try:
                assert phone.recv(4096).startswith(b"SIP/2.0 4")
            except TimeoutError:
                continue
            if watching.poll() is not None:
                break
            time.sleep(0.05)
    out, _ = watching.communicate(timeout=10)
    first, second = map(json.loads, out.splitlines())
    assert (first["direction"], first["method"], second["direction"]) == ("in", "OPTIONS", "out")
    assert second["status"] >= 400
    assert "Call-ID: options@127.0.0.1" in first["text"]
    assert "hunter2" not in out
    assert "reloaded" in node.run("reload")
    node.run("stop")
    assert node.process.wait(10) == 0
    node.run("status", code=69)
    assert not (node.directory / "data/control.sock").exists()


def test_a_second_node_says_why_it_can_not_start_and_the_first_goes_on(node: Running) -> None:
    assert "ringfence: " in node.run("serve", code=69)
    assert json.loads(node.run("status", "--json"))["domain"] == "example.org"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_order(node: Running, number: signal.Signals) -> None:
    node.process.send_signal(number)
    assert node.process.wait(10) == 0
    assert node.events()[-1]["event"] == "stopping"
