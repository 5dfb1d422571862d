"""Real programs as children of a test: started with their own log, waited for, ended by their process id."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")
HOST = "127.0.0.1"

PATIENCE = 15.0
"""Seconds that a test waits for what should happen at once: a busy machine is slow, not broken."""

END_SECONDS = 5.0
"""What a child gets to end by itself after SIGTERM."""


class Program:
    """One child process. Its output is in ``log``."""

    def __init__(
        self, command: Sequence[str | Path], directory: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.name = Path(command[0]).name
        self.log = directory / f"{self.name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(each) for each in command],
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        self.pid = self.process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def wait(self, seconds: float = PATIENCE) -> int:
        """Its exit code. Fails the test when it does not end in time."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self.name} did not end within {seconds} s:\n{self.tail()}")

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Ask it to end; make it, when it does not."""
        if self.running:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    def tail(self, characters: int = 3000) -> str:
        """The end of its output."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-characters:]


def eventually(ask: Callable[[], T | None], what: str, seconds: float = PATIENCE) -> T:
    """The first answer that is true. Fails the test when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > end:
            pytest.fail(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def _ports() -> Iterator[int]:
    """Ports that are free for UDP and for TCP, even ones, each given once in a run.

    They lie below the range that the kernel gives to outgoing connections (32768 and up), which could take one
    between this look and its use. Each process begins elsewhere, since others may look at the same time.
    """
    ports = range(21_000, 32_000, 4)
    start = os.getpid() * 37 % len(ports)
    for port in (*ports[start:], *ports[:start]):
        if _free(port) and _free(port + 1):
            yield port
    pytest.fail("no free ports are left")


def _free(port: int) -> bool:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream,
    ):
        try:
            datagrams.bind((HOST, port))
            stream.bind((HOST, port))
        except OSError:
            return False
    return True


_free_ports = _ports()


def free_port() -> int:
    """A port on loopback that nobody has, nor the one after it."""
    return next(_free_ports)
