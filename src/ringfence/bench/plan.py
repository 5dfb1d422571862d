"""From what a call was measured to cost to cores, nodes, memory and bandwidth for a number of users.

Costs add up: a call with several protections costs the plain one and what each adds alone. ``checked`` compares that
with the row where all of them were measured together, so that the rule itself is tested by what was measured.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ringfence.bench.measure import Measured
from ringfence.bench.rows import ALL

PARTS = {
    "tls": "p0",
    "auth": "p1",
    "guard": "p3",
    "hiding": "p4",
    "ledger": "p5",
    "media": "p6",
    "private": "p7",
}
"""The row that has each part alone."""

TOGETHER = ("auth", "guard", "hiding", "ledger", "media")
"""What row ``pe`` has."""

FULL = 0.5
"""Of a core's time that calls may take: the rest is for bursts, floods and a node that is lost."""

REGISTER_SECONDS = 1_800.0
"""A phone registers anew at half of the default lifetime."""

RELAYED_KBIT = 4 * 87.2
"""Of G.711 at 20 ms with IP and Ethernet: both directions, in and out again."""

EVENT_BYTES, EVENTS = 700, 3
"""Of the ledger: what an event takes on disk, and a call's start, answer and stop."""


class NotMeasured(ValueError):
    """A row is missing that a plan needs."""


@dataclass(frozen=True)
class Costs:
    """Microseconds of CPU: a plain call, what each part adds, and a registration; memory in KB."""

    parts: Mapping[str, float]
    registration: float
    together: float
    registration_kb: float = 8.0
    connection_kb: float = 40.0

    @classmethod
    def of(cls, rows: Sequence[Measured], memory: Sequence[Mapping[str, float | str]] = ()) -> Costs:
        """From what was measured. Raises NotMeasured."""
        known = {row.row: row for row in rows}
        if missing := {*PARTS.values(), "pe", "g"} - known.keys():
            raise NotMeasured(
                f"not measured: {', '.join(sorted(missing))}; run: ringfence bench --rows all --out FILE"
            )
        parts = {"tls": known["p0"].median()}
        for name, row in list(PARTS.items())[1:]:
            base = known[ALL[row].over]
            parts[name] = statistics.median(a - b for a, b in zip(known[row].us(), base.us(), strict=True))
        each = {
            str(held["what"]): (float(held["pss_mb"]) - float(held["start_mb"]))
            * 1024
            / float(held["number"])
            for held in memory
        }
        return cls(
            parts, known["g"].median(), known["pe"].median(),
            each.get("registrations", 8.0), each.get("idle TLS connections", 40.0),
        )  # fmt: skip

    def call(self, parts: Sequence[str]) -> float:
        """Of one call with these."""
        return self.parts["tls"] + sum(max(0.0, self.parts[each]) for each in parts)

    def checked(self) -> float:
        """What was added up over what was measured together: 1 is right."""
        return self.call(TOGETHER) / self.together


@dataclass(frozen=True)
class Demand:
    """What is asked for."""

    users: int
    calls_per_second: float
    hold_seconds: float = 120.0
    parts: tuple[str, ...] = TOGETHER
    cores: int = 4
    """Of one node."""


@dataclass(frozen=True)
class Plan:
    """What it takes."""

    cores: int
    nodes: int
    memory_gb: float
    """Of all nodes together."""
    relay_mbit: float
    ledger_gb_a_day: float
    concurrent_calls: float
    assumptions: tuple[str, ...] = field(default=())


def plan(demand: Demand, costs: Costs) -> Plan:
    """Cores for calls and registrations at `FULL`, and one node more than that for one that is lost."""
    registrations = demand.users / REGISTER_SECONDS
    busy = (demand.calls_per_second * costs.call(demand.parts) + registrations * costs.registration) / 1e6
    cores = max(1, math.ceil(busy / FULL))
    nodes = math.ceil(cores / demand.cores) + 1
    at_once = demand.calls_per_second * demand.hold_seconds
    return Plan(
        cores,
        nodes,
        demand.users * (costs.registration_kb + costs.connection_kb) / 1024**2,
        at_once * RELAYED_KBIT / 1000 if "media" in demand.parts else 0.0,
        demand.calls_per_second * 86_400 * EVENTS * EVENT_BYTES / 1e9 if "ledger" in demand.parts else 0.0,
        at_once,
        (
            f"a call costs {costs.call(demand.parts):.0f} us, a registration {costs.registration:.0f}, as measured",
            f"a core is at most {FULL:.0%} busy; nodes have {demand.cores} cores; one node more for one that is lost",
            f"each phone holds one TLS connection and registers every {REGISTER_SECONDS:.0f} s",
            "cores of the machine that was measured; the relay's own CPU is in docs/media.md",
            f"costs add up: all at once were {costs.checked():.2f} times what was measured together",
        ),
    )


def simulate(
    demand: Demand, costs: Costs, lost_at: int = 600, seconds: int = 1_200, seed: int = 1
) -> list[float]:
    """How busy the nodes that are left are, in each second of a busy period in which one node is lost.

    Calls and registrations come at random (Poisson). The phones of the lost node, all at once, spread their return over
    30 to 60 seconds, as RFC 5626 section 4.5 has them wait, and register anew.
    """
    chance = random.Random(seed)
    made = plan(demand, costs)
    found = []
    returning = demand.users / made.nodes
    for second in range(seconds):
        nodes = made.nodes - (second >= lost_at)
        calls = _poisson(chance, demand.calls_per_second)
        registrations = _poisson(chance, demand.users / REGISTER_SECONDS)
        if 30 <= second - lost_at < 60:
            registrations += _poisson(chance, returning / 30)
        work = calls * costs.call(demand.parts) + registrations * costs.registration
        found.append(work / 1e6 / (nodes * demand.cores))
    return found


def _poisson(chance: random.Random, mean: float) -> int:
    """A number of arrivals; for a mean over 50 by the normal distribution, which is the same to a percent then."""
    if mean > 50:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    count, product, limit = 0, chance.random(), math.exp(-mean)
    while product > limit:
        product *= chance.random()
        count += 1
    return count
