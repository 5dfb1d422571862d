"""From what a call was measured to cost to cores, nodes, memory and bandwidth for a number of users.

Costs add up: a call with several protections costs the plain one and what each adds alone; calls, registrations,
keep-alives and relayed packets are added. And they fall with load: messages that meet in one turn of the loop share
what it takes to be woken, so that each time the rate grows by e a call costs so many microseconds less, whatever else
it has (`Fall`). `check` compares that with what was measured together, so that the rules themselves are tested.
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

KEEPALIVES = {"udp": "k1", "tcp": "k2", "tls": "k3"}

TOGETHER = ("auth", "guard", "hiding", "ledger", "media")
"""What row ``pe`` has."""

FULL = 0.5
"""Of a core's time that everything may take: the rest is for bursts, floods and a node that is lost."""

REGISTER_SECONDS = 1_800.0
"""A phone registers anew at half of the default lifetime."""

KEEPALIVE_SECONDS = {"udp": 26.5, "tcp": 107.5, "tls": 107.5}
"""In the middle of what RFC 5626 sections 4.4.1 and 4.4.2 have phones choose from: 24 to 29 s, 95 to 120 s."""

DAY = 86_400.0

PACKETS = 100.0
"""A second that a relayed call has: G.711 at 20 ms, both ways."""

RELAYED_KBIT = 4 * 87.2
"""Of G.711 at 20 ms with IP and Ethernet: both directions, in and out again."""

EVENT_BYTES, EVENTS = 700, 3
"""Of the ledger: what an event takes on disk, and a call's start, answer and stop."""

REGISTRATION_KB, CONNECTION_KB = 8.0, 40.0
"""Assumed where memory was not measured."""


class NotMeasured(ValueError):
    """A row is missing that a plan needs."""


@dataclass(frozen=True)
class Fall:
    """By how much a call gets cheaper: ``us`` for each time that the rate grows by e, from ``rate`` to ``top`` calls a
    second on a core. Measured with row p1, at its own rate and at half load."""

    us: float = 0.0
    rate: float = 1.0
    top: float = 1.0

    @classmethod
    def of(cls, known: Mapping[str, Measured]) -> Fall:
        """None where half load was not measured."""
        if "hp1" not in known or known["hp1"].rate <= known["p1"].rate:
            return cls()
        low, high = known["p1"], known["hp1"]
        us = (low.median() - high.median()) / math.log(high.rate / low.rate)
        return cls(max(0.0, us), low.rate, high.rate)

    def at(self, rate: float) -> float:
        """What a call costs less at this rate than at the lowest."""
        return self.us * math.log(min(max(rate, self.rate), self.top) / self.rate)

    def at_half_load(self, us: float) -> float:
        """What a call costs that costs ``us`` at the lowest rate, where such calls take half of a core."""
        found = us
        for _ in range(20):  # it settles within a few
            found = us - self.at(FULL * 1e6 / found)
        return found


@dataclass(frozen=True)
class Costs:
    """Microseconds of CPU: a plain call, what each part adds, and all else that a node does; memory in KB."""

    parts: Mapping[str, float]
    registration: float
    together: float
    keepalives: Mapping[str, float]
    """By transport."""
    packet: float
    """Of relayed media."""
    connection: float = 0.0
    """A TLS connection with its handshake."""
    fall: Fall = field(default_factory=Fall)
    database_call: float = 0.0
    database_registration: float = 0.0
    """Of PostgreSQL; 0: not measured."""
    registration_kb: float = REGISTRATION_KB
    connection_kb: float = CONNECTION_KB
    memory_measured: bool = False

    @classmethod
    def of(cls, rows: Sequence[Measured], memory: Sequence[Mapping[str, float | str]] = ()) -> Costs:
        """From what was measured. Raises NotMeasured."""
        known = {row.row: row for row in rows}
        if missing := {*PARTS.values(), *KEEPALIVES.values(), "pe", "g", "k4"} - known.keys():
            run = "ringfence bench --rows g,prices,half,small --out FILE"
            raise NotMeasured(f"not measured: {', '.join(sorted(missing))}; run: {run}")
        kb = {
            str(held["what"]): (float(held["pss_mb"]) - float(held["start_mb"]))
            * 1024
            / float(held["number"])
            for held in memory
        }

        def figure(name: str) -> float:
            return known[name].median() if name in known else 0.0

        return cls(
            parts_of(known), figure("g"), figure("pe"), {name: figure(row) for name, row in KEEPALIVES.items()},
            figure("k4"),
            max(0.0, figure("f") - figure("e")) if "e" in known else 0.0,
            Fall.of(known),
            figure("k5"), figure("k6"),
            kb.get("registrations", REGISTRATION_KB), kb.get("idle TLS connections", CONNECTION_KB), bool(kb),
        )  # fmt: skip

    def call(self, parts: Sequence[str]) -> float:
        """Of one call with these, at the rate that they were measured at."""
        return self.parts["tls"] + sum(max(0.0, self.parts[each]) for each in parts)

    def planned_call(self, parts: Sequence[str]) -> float:
        """The same at half load."""
        return self.fall.at_half_load(self.call(parts))

    def checked(self) -> float:
        """What was added up over what was measured together: 1 is right."""
        return self.call(TOGETHER) / self.together


def parts_of(known: Mapping[str, Measured]) -> dict[str, float]:
    """What the plain call costs, and what each part adds to the row that it is told over."""
    parts = {"tls": known["p0"].median()}
    for name, row in list(PARTS.items())[1:]:
        if row in known:
            pairs = zip(known[row].us(), known[ALL[row].over].us(), strict=True)
            parts[name] = statistics.median(a - b for a, b in pairs)
    return parts


@dataclass(frozen=True)
class Demand:
    """What is asked for."""

    users: int
    calls_per_second: float
    hold_seconds: float = 120.0
    parts: tuple[str, ...] = TOGETHER
    cores: int = 4
    """Of one node."""
    transport: str = "tls"
    """Of all phones: udp, tcp or tls."""

    @property
    def at_once(self) -> float:
        """Calls that go on."""
        return self.calls_per_second * self.hold_seconds

    def work(self, costs: Costs) -> dict[str, float]:
        """Cores that each thing takes."""
        registrations = self.users / REGISTER_SECONDS
        found = {
            "calls": self.calls_per_second * costs.planned_call(self.parts),
            "registrations": registrations * costs.registration,
            "keep-alives": self.users / KEEPALIVE_SECONDS[self.transport] * costs.keepalives[self.transport],
            "connections": self.users / DAY * costs.connection if self.transport == "tls" else 0.0,
            "relayed media": self.at_once * PACKETS * costs.packet if "media" in self.parts else 0.0,
        }
        return {name: each / 1e6 for name, each in found.items()}


@dataclass(frozen=True)
class Plan:
    """What it takes."""

    cores: int
    work: Mapping[str, float]
    """Cores that each thing keeps busy."""
    nodes: int
    database_cores: float
    """That PostgreSQL keeps busy, if it has the ledger and the registrations; 0: not measured."""
    database_writes: float
    """Rows a second."""
    memory_gb: float
    """Of all nodes together."""
    relay_mbit: float
    ledger_gb_a_day: float
    concurrent_calls: float
    assumptions: tuple[str, ...] = field(default=())


def plan(demand: Demand, costs: Costs) -> Plan:
    """Cores for all work at `FULL`, and one node more than that for one that is lost."""
    work = demand.work(costs)
    cores = max(1, math.ceil(sum(work.values()) / FULL))
    recorded = demand.calls_per_second if "ledger" in demand.parts else 0.0
    registrations = demand.users / REGISTER_SECONDS
    connection = costs.connection_kb if demand.transport != "udp" else 0.0
    return Plan(
        cores,
        work,
        math.ceil(cores / demand.cores) + 1,
        (recorded * costs.database_call + registrations * costs.database_registration) / 1e6,
        recorded * EVENTS + registrations,
        demand.users * (costs.registration_kb + connection) / 1024**2,
        demand.at_once * RELAYED_KBIT / 1000 if "media" in demand.parts else 0.0,
        recorded * DAY * EVENTS * EVENT_BYTES / 1e9,
        demand.at_once,
        tuple(assumptions(demand, costs)),
    )


def assumptions(demand: Demand, costs: Costs) -> list[str]:
    """What a plan takes for granted."""
    measured = "" if costs.memory_measured else " (not measured)"
    half = f"less at half load: {costs.fall.us:.0f} us each time the rate grows by e" if costs.fall.us else ""
    half = half or "half load was not measured, where it would be less"
    database = "the CPU of PostgreSQL was measured for a ledger and a store on one disk, and is not in the cores above"
    return [
        f"cores as the machine that was measured has; at most {FULL:.0%} busy; {demand.cores} in a node; one node more "
        "for one that is lost",
        f"a call costs {costs.planned_call(demand.parts):.0f} us: {costs.call(demand.parts):.0f} at the rate that its "
        f"parts were measured at, {half}; "
        f"parts added up are {costs.checked():.2f} times what was measured together",
        f"each phone registers every {REGISTER_SECONDS:.0f} s, by UDP with digest as in row g: "
        f"{costs.registration:.0f} us, database included (SQLite)",
        f"each phone is on {demand.transport.upper()} and sends a keep-alive every "
        f"{KEEPALIVE_SECONDS[demand.transport]:g} s (RFC 5626): {costs.keepalives[demand.transport]:.0f} us",
        f"a TLS connection is made once a day: {costs.connection:.0f} us; all media are G.711 in 20 ms, and a relayed "
        f"packet takes {costs.packet:.1f} us",
        f"memory: {costs.registration_kb:.1f} KB a registration, {costs.connection_kb:.1f} KB a connection{measured}",
        f"a call has {EVENTS} events of {EVENT_BYTES} bytes in the ledger; "
        + (database if costs.database_call else "what PostgreSQL takes was not measured"),
    ]


def simulate(
    demand: Demand, costs: Costs, lost_at: int = 600, seconds: int = 1_200, seed: int = 1
) -> list[float]:
    """How busy the nodes that are left are, in each second of a busy period in which one node is lost.

    Calls and registrations come at random (Poisson). The phones of the lost node, all at once, spread their return over
    30 to 60 seconds, as RFC 5626 section 4.5 has them wait; each makes a connection and registers anew.
    """
    chance = random.Random(seed)
    made = plan(demand, costs)
    steady = sum(each for name, each in made.work.items() if name not in ("calls", "registrations")) * 1e6
    coming_back = costs.registration + (costs.connection if demand.transport == "tls" else 0.0)
    found = []
    for second in range(seconds):
        nodes = made.nodes - (second >= lost_at)
        work = steady + _poisson(chance, demand.calls_per_second) * costs.planned_call(demand.parts)
        work += _poisson(chance, demand.users / REGISTER_SECONDS) * costs.registration
        if 30 <= second - lost_at < 60:
            work += _poisson(chance, demand.users / made.nodes / 30) * coming_back
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
