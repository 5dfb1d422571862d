"""Short rests of a busy loop, so that messages are dealt with several at a time.

A message that comes alone costs about twice what it costs among others: the loop is woken for it, the kernel is called
to read and to send it, its receiver is woken, and the processor's caches have gone cold since the last one. So when
messages are frequent, the loop rests for a moment after each turn in which some came, and finds more of them in the
next. Network cards do the same with their interrupts.

It adds at most ``REST`` to the way of a message, and nothing on a node that is not busy. Nor does a node rest that is
so busy that a turn brings many anyhow. The rest is a sleep of the whole thread, not a timer: it is for all sockets, it
costs one system call, and what it makes late is late by no more than ``REST``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

REST = 0.002
"""Seconds. Nobody at a phone notices them, and T1, after which a client sends again, is 250 times as long. At 600
calls a second ten messages meet in one turn."""

BUSY = 1_500
"""Messages a second above which there are rests: fewer would not meet in one."""

SAMPLE = 32
"""Messages after which is looked how long they took to come."""

ENOUGH = 32
"""Messages since the last rest that share the costs of a turn well: after so many there is none. As many are read
from a socket at one go, so a node that does not keep up never rests."""


class Pace:
    """One for a loop. The sockets tell it what they have read."""

    __slots__ = ("_busy", "_clock", "_loop", "_resting", "_sampled", "_since", "_sleep", "_turn")

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._loop: asyncio.AbstractEventLoop | None = None
        self._busy = False
        self._resting = False
        self._sampled = self._turn = 0
        self._since = float("-inf")

    def took(self, messages: int) -> None:
        """So many messages were read and dealt with, or so many reads of a connection."""
        self._sampled += messages
        if self._sampled >= SAMPLE:
            now = self._clock()
            self._busy = now - self._since < self._sampled / BUSY
            self._since, self._sampled = now, 0
        if self._busy:
            self._turn += messages
            if not self._resting:
                self._resting = True
                if self._loop is None:
                    self._loop = asyncio.get_running_loop()
                self._loop.call_soon(self._rest)

    def _rest(self) -> None:
        """Called once all that this turn of the loop has found was dealt with, before the loop looks for more."""
        turn, self._turn = self._turn, 0
        self._resting = False
        if turn < ENOUGH:
            self._sleep(REST)
