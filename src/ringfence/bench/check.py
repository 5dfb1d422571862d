"""Is a plan right? What it adds up beside what was measured together.

Each point is something that the plan did not have: all protections at once, the same at half load, a call that is
signed as well, and a node that has calls, registrations and keep-alives at the same time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ringfence.bench.harness import Loaded, Server
from ringfence.bench.measure import FIRST_PORTS, Measured, Options, Say, measure_half, measure_prices
from ringfence.bench.plan import TOGETHER, Fall, parts_of
from ringfence.bench.rows import ALL
from ringfence.bench.small import PHONES, RATE, open_phone, ping_all
from ringfence.bench.world import World

WITHIN = 0.15
"""How far a plan may be off."""

ROWS = ("p0", "p1", "p3", "p4", "p5", "p6", "pe")
HALVES = ("hp1", "hpe")
"""What a check measures."""

RATE_OF_CALLS = 100.0
RATE_OF_REGISTRATIONS = 50.0
CALL_MESSAGES = 7
"""That a node gets: INVITE, 100, 180, 200, ACK, BYE, 200. A registration and a keep-alive are one."""

SECONDS = 3.0
"""Of the mixture, and of each of its parts alone."""


@dataclass(frozen=True)
class Point:
    """Something planned and measured, in the same unit."""

    what: str
    planned: float
    measured: float
    unit: str = "us"

    @property
    def off(self) -> float:
        """How much more the plan has; below zero: less."""
        return self.planned / self.measured - 1.0

    @property
    def holds(self) -> bool:
        """Whether it is within `WITHIN`."""
        return abs(self.off) <= WITHIN


def points(rows: Sequence[Measured]) -> list[Point]:
    """The points that these rows have. Without p0, p1 and pe there are none."""
    known: Mapping[str, Measured] = {row.row: row for row in rows}
    if not {"pe", *ROWS} <= known.keys():
        return []
    parts = parts_of(known)
    added = parts["tls"] + sum(max(0.0, parts[each]) for each in TOGETHER)
    found = [Point("a call with everything on", added, known["pe"].median())]
    if {"hp1", "hpe"} <= known.keys():
        planned = added - Fall.of(known).at(known["hpe"].rate)
        found.append(Point("the same at half load", planned, known["hpe"].median()))
    if {"p8", "p8s", "pes"} <= known.keys():
        signed = added + known["p8s"].median() - known["p0"].median()
        found.append(Point("the same to another domain, signed", signed, known["pes"].median()))
    for one, two, how in (("w1", "w2", "UDP"), ("w3", "w4", "TCP")):
        if {one, two} <= known.keys():
            each = known[one].median(), known[two].median()
            found.append(Point(f"a call where there are two workers, {how}", *each))
    return found


def measure(options: Options, say: Say) -> list[Point]:
    """Measure, in less than two minutes on a quiet machine, and compare."""
    rows = measure_prices([ALL[each] for each in ROWS], options, say)
    rows += [measure_half(ALL[each], options, say) for each in HALVES]
    return [*points(rows), mixture(options, Fall.of({row.row: row for row in rows}), say)]


def mixture(options: Options, fall: Fall, say: Say) -> Point:
    """A node with calls, registrations and keep-alives over TLS: each alone, then all at once."""
    world = World(options.server_core, options.load_core)
    try:
        loaded = Loaded(world, Server.named("ringfence", FIRST_PORTS["ringfence"]), ALL["p1"])
        phones = [open_phone("tls", loaded.server.base) for _ in range(PHONES)]

        def rest() -> int:
            time.sleep(SECONDS)
            return 0

        def ping() -> int:
            return ping_all(phones, "tls", SECONDS)[1]

        loaded.runs_beside(RATE_OF_CALLS, RATE_OF_REGISTRATIONS, 1.0, lambda: 0)  # to warm up
        idle = loaded.runs_beside(0, 0, SECONDS, rest)
        alone = [
            loaded.runs_beside(RATE_OF_CALLS, 0, SECONDS, rest),
            loaded.runs_beside(0, RATE_OF_REGISTRATIONS, SECONDS, rest),
            loaded.runs_beside(0, 0, SECONDS, ping),
        ]
        together = loaded.runs_beside(RATE_OF_CALLS, RATE_OF_REGISTRATIONS, SECONDS, ping)
        for phone in phones:
            phone.close()
    finally:
        world.close()
    say(
        f"  mixture: idle {idle:.2f}, alone {', '.join(f'{each:.2f}' for each in alone)}, together {together:.2f} s"
    )
    what = f"{RATE_OF_CALLS:g} calls, {RATE_OF_REGISTRATIONS:g} registrations, {RATE:g} keep-alives a second"
    planned = sum(each - idle for each in alone) + idle
    messages = RATE_OF_CALLS * CALL_MESSAGES + RATE_OF_REGISTRATIONS + RATE
    met = fall.us * math.log(messages / (RATE_OF_CALLS * CALL_MESSAGES)) / 1e6
    planned -= met * RATE_OF_CALLS * SECONDS
    return Point(what, 1e3 * planned / SECONDS, 1e3 * together / SECONDS, "ms of CPU a second")


def table(found: Sequence[Point]) -> str:
    """As Markdown, with a verdict."""
    lines = ["| point | planned | measured | off | within 15 % |", "|---|---|---|---|---|"]
    for each in found:
        holds = "yes" if each.holds else "**no**"
        figures = f"{each.planned:.0f} {each.unit} | {each.measured:.0f} {each.unit}"
        lines.append(f"| {each.what} | {figures} | {each.off:+.0%} | {holds} |")
    held = sum(each.holds for each in found)
    return "\n".join([*lines, "", f"{held} of {len(found)} points are within {WITHIN:.0%}."])
