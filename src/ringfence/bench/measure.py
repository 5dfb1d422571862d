"""Measure rows in pairs, and keep what came out as JSON.

All servers of a row, or all the rows of a group of prices, are up at once and are loaded in turns, the order turned
round each time, so that what changes on the machine meanwhile changes all of them. A figure is the median of its runs;
a ratio is the median of the ratios within a turn.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ringfence.bench.harness import Loaded, Result, Server
from ringfence.bench.rows import ALL, WORKERS, Row
from ringfence.bench.world import World

FIRST_PORTS = {"ringfence": 17_060, "kamailio": 18_060}
"""What can be measured, and the first port to try for it."""

WARM_SECONDS = 1.5
"""Of a run that does not count: caches fill, and the caller authenticates."""

HALF = 0.5
"""Of a core: what calls take at half load."""

Say = Callable[[str], None]


def cores_here() -> list[str]:
    """The processor cores that we may use, in order."""
    return [str(each) for each in sorted(os.sched_getaffinity(0))]


@dataclass(frozen=True)
class Options:
    """How to measure."""

    rate: float = 800
    """Calls a second, or fewer where a row says so."""
    runs: int = 5
    seconds: float = 8
    settle: float = 5.5
    """Seconds after a run that count as well: timers."""
    servers: tuple[str, ...] = ("ringfence", "kamailio")
    server_core: str = field(default_factory=lambda: cores_here()[0])
    load_core: str = field(default_factory=lambda: cores_here()[-1])

    def present(self) -> list[str]:
        """The servers that are installed."""
        return [each for each in self.servers if each == "ringfence" or shutil.which(each)]


@dataclass
class Measured:
    """The runs of one row, by server, in the order of the turns."""

    row: str
    what: str
    rate: float
    runs: dict[str, list[Result]] = field(default_factory=dict)

    def us(self, server: str = "ringfence") -> list[float]:
        """Microseconds of CPU a call, of each run."""
        return [each.us_per_call for each in self.runs.get(server, [])]

    def median(self, server: str = "ringfence") -> float:
        """The figure."""
        return statistics.median(self.us(server))

    @classmethod
    def of(cls, value: dict[str, Any]) -> Measured:
        """From JSON."""
        runs = {name: [Result(**each) for each in results] for name, results in value["runs"].items()}
        return cls(value["row"], value["what"], value["rate"], runs)


def ratios(one: Sequence[float], other: Sequence[float]) -> list[float]:
    """Turn by turn."""
    return [a / b for a, b in zip(one, other, strict=False) if b]


def added(row: Measured, base: Measured) -> list[float]:
    """Microseconds of CPU a call that a row takes more than its base, turn by turn.

    Raises:
        ValueError: they were not measured in the same turns, as when one of them failed and an older one was kept.
    """
    ours, theirs = row.us(), base.us()
    if len(ours) != len(theirs):
        raise ValueError(
            f"row {row.row} has {len(ours)} runs and its base, row {base.row}, has {len(theirs)}: one of them failed, "
            f"or is of another day; measure both again: --rows {base.row},{row.row}"
        )
    return [one - other for one, other in zip(ours, theirs, strict=True)]


def measure(row: Row, options: Options, say: Say) -> Measured:
    """One row, beside other servers."""
    rate = min(options.rate, row.top_rate)
    world = World(options.server_core, options.load_core)
    try:
        names = options.present()
        loaded = [Loaded(world, Server.named(name, FIRST_PORTS[name]), row) for name in names]
        runs = _in_turns(loaded, rate, options, say)
    finally:
        world.close()
    return Measured(row.id, row.what, rate, dict(zip(names, runs, strict=True)))


def measure_prices(rows: Sequence[Row], options: Options, say: Say) -> list[Measured]:
    """Rows of which each is told over another one: all in the same turns."""
    return _measure_together(rows, options, World(options.server_core, options.load_core), say)


def measure_workers(rows: Sequence[Row], options: Options, say: Say) -> list[Measured]:
    """Rows with one worker and with several, in the same turns, each worker with as many calls. All processes share
    both cores."""
    both = f"{options.server_core},{options.load_core}"
    return _measure_together(rows, options, World(both, both), say)


def measure_half(row: Row, options: Options, say: Say) -> Measured:
    """A row at the rate that takes half of the node's core; found in steps, since a call costs less under load."""
    rate = min(options.rate, row.top_rate)
    world = World(options.server_core, options.load_core)
    try:
        loaded = Loaded(world, Server.named("ringfence", FIRST_PORTS["ringfence"]), row)
        for _ in range(3):
            found = loaded.run(rate, WARM_SECONDS, options.settle)
            rate = round(min(row.top_rate, HALF * 1e6 / found.us_per_call))
        runs = _in_turns([loaded], rate, options, say)
    finally:
        world.close()
    return Measured(row.id, row.what, rate, {"ringfence": runs[0]})


def measure_small(row: Row, options: Options, say: Say) -> Measured | None:
    """A row of ``small``; None where what it needs is not installed."""
    from ringfence.bench import small  # databases and cryptography, which nothing else here needs

    runs = []
    for _ in range(options.runs):
        try:
            found = small.run(row, options.seconds, (options.server_core, options.load_core))
        except small.NotHere as error:
            say(f"NOT MEASURED: {row.id}: {error}")
            return None
        runs.append(found)
        say(f"  {row.id:3} {row.what}: {found.us_per_call:.1f} us, failed {found.failed}")
    return Measured(row.id, row.what, 0, {"ringfence": runs})


def _measure_together(rows: Sequence[Row], options: Options, world: World, say: Say) -> list[Measured]:
    rate = min([options.rate, *(row.top_rate for row in rows)])
    try:
        first = FIRST_PORTS["ringfence"]
        loaded = [Loaded(world, Server.named("ringfence", first), row) for row in rows]
        runs = _in_turns(loaded, rate, options, say)
    finally:
        world.close()
    return [
        Measured(row.id, row.what, rate * row.workers, {"ringfence": results})
        for row, results in zip(rows, runs, strict=True)
    ]


def is_beside(row: Row) -> bool:
    """Whether a row stands beside Kamailio's."""
    return not (row.price or row.half or row.links or row.small)


def measure_all(rows: Sequence[Row], options: Options, say: Say) -> list[Measured]:
    """All of these, prices together with what they are told over."""
    measured = [measure(row, options, say) for row in rows if is_beside(row)]
    if prices := [row for row in rows if row.price]:
        measured += measure_prices(with_bases(prices), options, say)
    for pair in {row.over or row.id: row for row in rows if row.links}:
        measured += measure_workers([row for row in WORKERS if pair in (row.id, row.over)], options, say)
    measured += [measure_half(row, options, say) for row in rows if row.half]
    return measured + [each for row in rows if row.small and (each := measure_small(row, options, say))]


def with_bases(rows: Sequence[Row]) -> list[Row]:
    """Price rows with those that their prices are told over."""
    wanted = {row.id for row in rows}
    todo = list(rows)
    while todo:
        for base in (todo.pop().over, "p0"):
            if base and base not in wanted:
                wanted.add(base)
                todo.append(ALL[base])
    return [row for row in ALL.values() if row.id in wanted]


def _in_turns(loaded: Sequence[Loaded], rate: float, options: Options, say: Say) -> list[list[Result]]:
    """Runs of each, at this rate for each of its workers."""
    for each in loaded:
        each.run(rate * each.row.workers, min(WARM_SECONDS, options.seconds), 0.5)
    runs: list[list[Result]] = [[] for _ in loaded]
    for number in range(options.runs):
        order = list(range(len(loaded)))
        for place in order if number % 2 == 0 else reversed(order):
            each = loaded[place]
            result = each.run(rate * each.row.workers, options.seconds, options.settle)
            runs[place].append(result)
            say(
                f"  {each.row.id:3} {each.server.name:10} {result.us_per_call:7.0f} us/call  failed {result.failed}  "
                f"p50/p99 {result.p50_ms:.1f}/{result.p99_ms:.1f} ms  others {result.others:.2f} cores"
            )
    return runs


# -- what is kept ---------------------------------------------------------------------------------------


def conditions(options: Options) -> dict[str, Any]:
    """Where, when and with what it was measured."""
    return {
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
        "machine": _machine(),
        "cores": os.cpu_count(),
        "ringfence": version("ringfence"),
        "compiled": is_compiled(),
        "kamailio": _version("kamailio", "-v"),
        "sipp": _version("sipp", "-v"),
        "runs": options.runs,
        "seconds": options.seconds,
    }


def is_compiled() -> bool:
    """Whether the package is as ``pip install`` makes it where there is a C compiler."""
    from ringfence.message import parser

    return not str(parser.__file__).endswith(".py")


def _machine() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    name = found[1] if found else platform.machine()
    return f"{os.cpu_count()} cores of {name}, CPython {platform.python_version()}"


def _version(program: str, option: str) -> str:
    if shutil.which(program) is None:
        return ""
    said = subprocess.run([program, option], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\d+\.\d+(\.\d+)?", said)
    return found[0] if found else "?"


def as_json(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """Rows as they are kept."""
    return [asdict(each) for each in measured]


def load_kept(path: Path) -> dict[str, Any]:
    """What a file of measured figures has; empty when there is none."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def keep(path: Path, **parts: Any) -> None:
    """Put parts in place of what the file has of them; rows are replaced one by one."""
    kept = load_kept(path)
    for name, value in parts.items():
        if name == "rows":
            old = {each["row"]: each for each in kept.get("rows", [])}
            old |= {each["row"]: each for each in value}
            value = [old[row] for row in ALL if row in old]
        kept[name] = value
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
