"""When the kernel sorts out datagrams before they wait (``transport.sieve``): while the guard drops far too many."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Protocol

import structlog

from ringfence.guard.gate import Guard
from ringfence.transport.sieve import Instruction, Network, program, word_of

log = structlog.get_logger("ringfence.guard")

FLOOD = 20_000.0
"""Datagrams dropped in a second that are a flood: a tenth of a core, and the kernel's queue full in a fifth of a second
when anything else takes that long."""

PATIENCE = 3
"""Looks in a row, a tenth of a second each, that have to find one."""

QUIET = 20
"""Looks in a row without a flood, after which all is let in again."""

RENEWED = 10
"""Looks after which the program is made anew: who has proved to be there meanwhile is known then."""

TRIED_AGAIN = 6_000
"""Looks until that is tried again where it could not be had: ten minutes."""

SAMPLE = 2.0
"""Times the rate of strangers that is let in: the guard makes the choice among these, as it does without a flood."""


class Sieved(Protocol):
    """A socket that can be given a program."""

    @property
    def ipv6(self) -> bool:
        """Whether it is for IPv6."""

    def sieve(self, code: list[Instruction] | None) -> None:
        """Use this program; None: let all in. Raises OSError where there is no such thing."""


class Sieve:
    """One for a worker; ``look`` is called ten times a second."""

    def __init__(
        self, guard: Guard, sockets: Callable[[], Iterable[Sieved]], networks: Collection[Network]
    ) -> None:
        self._guard = guard
        self._sockets = sockets
        self._networks = tuple(networks)
        self._before = 0
        self._flooded = self._quiet = self._age = 0
        self.share = 1.0
        """What part of the datagrams of those who are not known is let in; 1: there is no flood."""

    def look(self, seconds: float, now: float) -> None:
        """Begin, go on or end, by what was dropped in the last ``seconds``."""
        dropped = self._guard.dropped + self._guard.strangers_dropped
        rate, self._before = (dropped - self._before) / seconds, dropped
        if self.share == 1.0:
            self._flooded = self._flooded + 1 if rate > FLOOD or self._flooded < 0 else 0
            if self._flooded >= PATIENCE:
                self._begin(rate, now)
            return
        strangers = self._guard.policy.strangers.per_second
        passed = rate + strangers if rate > 0.0 else 0.0
        self._quiet = self._quiet + 1 if passed / self.share < FLOOD else 0
        self._age += 1
        if self._quiet >= QUIET:
            self._end()
        elif self._age % RENEWED == 0:
            wanted = SAMPLE * strangers
            if not wanted / 2 < passed < wanted * 2:
                self.share = min(0.5, self.share * min(2.0, wanted / max(passed, 1.0)))
            self._use(now)

    def _begin(self, rate: float, now: float) -> None:
        self.share = min(0.5, SAMPLE * self._guard.policy.strangers.per_second / rate)
        self._flooded = self._quiet = self._age = 0
        try:
            self._use(now)
        except OSError as error:
            self.share = 1.0
            self._flooded = -TRIED_AGAIN
            log.info("the kernel has no filter for sockets", reason=str(error))
        else:
            log.warning(
                "a flood: of strangers only a sample is let in", dropped=round(rate), share=self.share
            )

    def _end(self) -> None:
        self.share = 1.0
        self._give(lambda _ipv6: None)
        log.info("the flood is over")

    def _use(self, now: float) -> None:
        known = self._guard.datagrams.known(now)

        def code(ipv6: bool) -> list[Instruction]:
            words = [word_of(host) for host in known if (":" in host) == ipv6]
            networks = [each for each in self._networks if (each.version == 6) == ipv6]
            return program(words, networks, self.share)

        self._give(code)

    def _give(self, code: Callable[[bool], list[Instruction] | None]) -> None:
        for sock in self._sockets():
            sock.sieve(code(sock.ipv6))
