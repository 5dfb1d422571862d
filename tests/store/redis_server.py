"""A Redis server as a child of the tests, in a directory of its own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

START_SECONDS = 10.0


class RedisServer:
    """Runs while the block does; ``kill`` and ``start`` in between."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="redis-"))
        self.socket = self.directory / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Start it with what it has written before."""
        self._process = subprocess.Popen(
            [
                "redis-server", "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.directory),
                "--appendonly", "yes", "--appendfsync", "always", "--save", "",
            ],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        begun = time.monotonic()
        while not self._answers():
            assert self._process.poll() is None, "redis-server ended at once"
            assert time.monotonic() - begun < START_SECONDS, "redis-server does not answer"
            time.sleep(0.02)

    def _answers(self) -> bool:
        done = subprocess.run(["redis-cli", "-s", str(self.socket), "ping"], capture_output=True, check=False)
        return done.stdout.strip() == b"PONG"

    def kill(self) -> None:
        """As a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
