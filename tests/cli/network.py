"""A node of example.org in a process of its own, and phones that are commands."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import wave
from pathlib import Path
from typing import Any

from ringfence.client.media.wav import tone

PROGRAM = str(Path(sys.executable).with_name("ringfence"))
PASSWORD = "correct-horse-battery"
PATIENCE = 20.0


def free_port() -> int:
    with socket.socket() as tcp:
        tcp.bind(("127.0.0.1", 0))
        return int(tcp.getsockname()[1])


class Network:
    """The node and what phones need to use it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.tls = free_port()
        self.run("init", "example.org", "--listen", f"tls:127.0.0.1:{self.tls}")
        with (directory / "ringfence.toml").open("a") as file:
            file.write('\n[metrics]\nlisten = ""\n')
        for name in ("alice", "bob"):
            self.run("user", "add", name, "--password", "-", stdin=PASSWORD + "\n")
        (directory / "password").write_text(PASSWORD + "\n")
        with (directory / "log").open("w") as log:
            self.node = subprocess.Popen([PROGRAM, "serve"], cwd=directory, stderr=log, env=self.environment)
        self._wait_for('"serving"', directory / "log", self.node)

    @property
    def environment(self) -> dict[str, str]:
        return {key: value for key, value in os.environ.items() if not key.startswith("RINGFENCE")}

    @property
    def account(self) -> tuple[str, ...]:
        """The options of a phone of this node."""
        return (
            "--proxy",
            f"sips:127.0.0.1:{self.tls}",
            "--trust",
            "tls/ca.pem",
            "--password-file",
            "password",
        )

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [PROGRAM, *words],
            cwd=self.directory,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def start(self, *words: str, until: str) -> Running:
        """Start a command, and wait until it has printed this."""
        path = self.directory / f"out{time.monotonic_ns()}"
        with path.open("w") as out:
            process = subprocess.Popen(
                [PROGRAM, *words], cwd=self.directory, env=self.environment, stdout=out
            )
        self._wait_for(until, path, process)
        return Running(process, path)

    @staticmethod
    def _wait_for(text: str, path: Path, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + PATIENCE
        while text not in path.read_text():
            assert process.poll() is None, path.read_text()
            assert time.monotonic() < end, path.read_text()
            time.sleep(0.02)

    def write_tone(self, name: str, seconds: float = 0.5) -> None:
        with wave.open(str(self.directory / name), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(tone(440, seconds))

    def close(self) -> None:
        self.node.terminate()
        self.node.wait(PATIENCE)


class Running:
    """A command that runs."""

    def __init__(self, process: subprocess.Popen[bytes], path: Path) -> None:
        self.process = process
        self._path = path

    def finish(self, *, stop: bool = False) -> tuple[int, str]:
        """Wait for its end, or make it; gives the exit code and what it printed."""
        if stop:
            self.process.terminate()
        return self.process.wait(PATIENCE), self._path.read_text()


def events(text: str) -> list[dict[str, Any]]:
    """What a command with --json printed."""
    return [json.loads(line) for line in text.splitlines()]
