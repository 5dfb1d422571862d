"""What goes from one worker to others over a Unix datagram socket, and waits when the other one is slow.

The kernel lets few datagrams wait for a socket (Linux: 10, ``net.unix.max_dgram_qlen``), fewer than one turn of a busy
worker has for another. What is more waits here, in order.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Sequence

import structlog

log = structlog.get_logger("ringfence.mesh")

MAX_WAITING = 10_000
"""Datagrams that wait for a worker: what a busy node hands over in a second. When there are more it does not read."""

AGAIN_SECONDS = 0.001
"""How soon they are offered again; the other worker reads 32 at a turn."""


class Outbox:
    """The way to the sockets at these paths, each named by its place."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.dropped = 0
        """Datagrams that nobody got: the other one was gone, or too many waited."""
        self._paths = paths
        self._socket: socket.socket | None = None
        self._waiting: list[deque[bytes]] = [deque() for _ in paths]
        self._offering: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop

    def open(self, sock: socket.socket) -> None:
        """Send by this socket, which does not block, on the loop that runs."""
        self._socket = sock
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Send no more."""
        self._socket = None
        if self._offering is not None:
            self._offering.cancel()

    def put(self, place: int, datagram: bytes) -> bool:
        """Send it now or soon; False when nobody is there."""
        waiting = self._waiting[place]
        if not waiting:
            sent = self._send(place, datagram)
            if sent is not None:
                return sent
        if len(waiting) >= MAX_WAITING:
            self.dropped += 1
            log.warning("a message between workers was dropped", to=place, reason="its queue is full")
            return True
        waiting.append(datagram)
        if self._offering is None:
            self._offering = self._loop.call_later(AGAIN_SECONDS, self._offer)
        return True

    def _send(self, place: int, datagram: bytes) -> bool | None:
        """False: nobody is there. None: its queue is full."""
        if self._socket is None:
            return False
        try:
            self._socket.sendto(datagram, self._paths[place])
        except BlockingIOError:
            return None
        except OSError as error:
            self.dropped += 1
            log.debug("a worker is not there", worker=place, reason=error.strerror)
            return False
        return True

    def _offer(self) -> None:
        """Send what waits. Who is gone has lost it, as what it had read and not dealt with."""
        self._offering = None
        for place, waiting in enumerate(self._waiting):
            while waiting and self._send(place, waiting[0]) is not None:
                waiting.popleft()
            if waiting and self._offering is None:
                self._offering = self._loop.call_later(AGAIN_SECONDS, self._offer)
