"""Tell systemd how the service is: ready, reloading, stopping, alive (sd_notify(3)). Elsewhere all of it does nothing.

The message is a datagram to the socket that ``NOTIFY_SOCKET`` names. Only the process that systemd has started tells:
the supervisor of a node with workers, which get no such variable.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

SOCKET_VARIABLE = "NOTIFY_SOCKET"
WATCHDOG_VARIABLE = "WATCHDOG_USEC"

_MICRO = 1_000_000


class Notifier:
    """One service manager, or none."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        name = environment.get(SOCKET_VARIABLE, "")
        self._address = "\0" + name[1:] if name.startswith("@") else name  # @ stands for an abstract socket
        watchdog = environment.get(WATCHDOG_VARIABLE, "")
        self.pause = int(watchdog) / _MICRO / 2 if self._address and watchdog.isdigit() else 0.0
        """Seconds between signs of life, half of what the manager waits for one; 0: it waits for none."""

    def ready(self) -> None:
        """It serves, or serves again after ``reloading``."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """It reads its certificates again; ``ready`` follows."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, patience: float) -> None:
        """It ends, and takes so many seconds for what goes on."""
        self._tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int(patience * _MICRO)}")

    async def alive(self) -> None:
        """A sign of life, from the event loop: a loop that is stuck gives none."""
        self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        # A manager that is away is no reason to end: it would restart us for nothing.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto("\n".join(lines).encode(), self._address)
