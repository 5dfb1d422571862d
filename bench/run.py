"""What a call costs Ringfence, and what it costs Kamailio on the same machine at the same rate.

    python bench/run.py                                  every row, some 20 minutes
    python bench/run.py --rows b,c --rate 400 --runs 3   some
    python bench/run.py --write                          also into docs/performance.md

Both servers of a row are up at once, each with its own users, phone and ports; runs alternate between them, so that
what changes on the machine meanwhile changes both. The figure of a row is the median of the runs, its ratio the
median of the ratios of the pairs; least and most stand beside. See harness.py for the method.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from harness import Loaded, Result, Row, Server
from world import World

ROWS = (
    Row("b", "call, UDP", "udp", False),
    Row("c", "call with digest, UDP", "udp", True),
    Row("d", "call with digest, one TCP connection", "tcp", True),
    Row("e", "call with digest, one TLS connection", "tls", True),
    Row("f", "call with digest, a TLS connection each", "tls", True, per_call=True, top_rate=120),
    Row("g", "registration with digest, UDP", "udp", True, kind="register"),
)
SERVERS = {"ringfence": 17_060, "kamailio": 18_060}
"""What is measured, and the first port to try for it."""
DOCUMENT = Path(__file__).parents[1] / "docs" / "performance.md"
MARKS = "<!-- made by make bench -->", "<!-- end -->"

INTRODUCTION = f"""\
# Performance

What one call costs in CPU time, beside Kamailio on the same machine at the same rate. `make bench` makes this table
anew in some 20 minutes; `python bench/run.py --help` tells how to measure less. The method is described in
`bench/harness.py`: least and most show what the machine's other work does to a figure, so compare the ratios.

{MARKS[0]}
{MARKS[1]}
"""

Runs = dict[str, list[Result]]


def measure(row: Row, servers: Sequence[Server], options: argparse.Namespace) -> Runs:
    """Alternate runs of one row; the first of each server, while it is new, is thrown away."""
    rate = min(options.rate, row.top_rate)
    world = World(options.server_core, options.load_core)
    try:
        loaded = [Loaded(world, server, row) for server in servers]
        for each in loaded:
            each.run(rate, min(3.0, options.seconds), 0.5)
        runs: Runs = {server.name: [] for server in servers}
        for number in range(options.runs):
            for each in loaded if number % 2 == 0 else reversed(loaded):
                result = each.run(rate, options.seconds, options.settle)
                runs[each.server.name].append(result)
                print(
                    f"  {row.id} {each.server.name:10} {result.us_per_call:7.0f} us/call  failed {result.failed}  "
                    f"p50/p99 {result.p50_ms:.1f}/{result.p99_ms:.1f} ms  others {result.others:.2f} cores",
                    file=sys.stderr, flush=True,
                )  # fmt: skip
        return runs
    finally:
        world.close()


def spread(values: Sequence[float], form: str) -> str:
    """Median, and least to most."""
    if len(values) == 1:
        return form.format(values[0])
    return f"{form.format(statistics.median(values))} ({form.format(min(values))}–{form.format(max(values))})"


def line(row: Row, rate: float, runs: Runs) -> str:
    """One row of the table."""
    ours, theirs = runs["ringfence"], runs.get("kamailio", [])
    ratios = [a.us_per_call / b.us_per_call for a, b in zip(ours, theirs, strict=False) if b.us_per_call]
    cells = [
        row.id,
        row.what,
        f"{min(rate, row.top_rate):g}",
        spread([r.us_per_call for r in ours], "{:.0f}"),
    ]
    cells.append(spread([r.us_per_call for r in theirs], "{:.0f}") if theirs else "–")
    cells.append(spread(ratios, "{:.2f}") if ratios else "–")
    for results in (ours, theirs):
        times = [
            statistics.median(getattr(r, name) for r in results) for name in ("p50_ms", "p99_ms") if results
        ]
        cells.append(" / ".join(f"{each:.1f}" for each in times) or "–")
    cells.append(" + ".join(str(sum(r.failed for r in results)) for results in (ours, theirs) if results))
    return f"| {' | '.join(cells)} |"


def table(measured: Sequence[tuple[Row, Runs]], options: argparse.Namespace) -> str:
    """All rows, and under what conditions they came to be."""
    head = ["", "scenario", "a second", "Ringfence us", "Kamailio us", "ratio", "Ringfence p50/p99 ms"]
    head += ["Kamailio p50/p99 ms", "failed"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    lines += [line(row, options.rate, runs) for row, runs in measured]
    others = [result.others for _, runs in measured for results in runs.values() for result in results]
    lines += [
        "",
        f"Microseconds of CPU for each call, median of {options.runs} runs of {options.seconds:g} s (least–most); "
        f"{_machine()}; {_version('kamailio', '-v')}; {datetime.datetime.now(datetime.UTC):%Y-%m-%d}. "
        f"Other work on the machine took {statistics.median(others):.2f} cores (at most {max(others):.2f}).",
    ]
    return "\n".join(lines)


def _machine() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    name = found[1] if found else platform.machine()
    return f"{os.cpu_count()} cores of {name}, CPython {platform.python_version()}"


def _version(program: str, option: str) -> str:
    if shutil.which(program) is None:
        return f"no {program} here"
    said = subprocess.run([program, option], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\d+\.\d+(\.\d+)?", said)
    return f"{program.capitalize()} {found[0] if found else '?'}, one worker"


def write(text: str) -> None:
    """Put the table between its marks in the document."""
    document = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else INTRODUCTION
    before, _, rest = document.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    DOCUMENT.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}", encoding="utf-8")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default=",".join(row.id for row in ROWS))
    parser.add_argument("--rate", type=float, default=800, help="calls a second, or less where a row says so")
    parser.add_argument("--runs", type=int, default=5, help="of each server")
    parser.add_argument("--seconds", type=float, default=8, help="of one run")
    parser.add_argument(
        "--settle", type=float, default=5.5, help="seconds after a run that count as well: timers"
    )
    parser.add_argument("--servers", default="ringfence,kamailio")
    parser.add_argument("--server-core", default="0")
    parser.add_argument("--load-core", default="1")
    parser.add_argument("--write", action="store_true", help=f"the table into docs/{DOCUMENT.name}")
    return parser.parse_args()


def main() -> None:
    """Measure, print, write."""
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    rows = [row for row in ROWS if row.id in options.rows.split(",")]
    servers = [
        Server.named(name, port)
        for name, port in SERVERS.items()
        if name in options.servers.split(",") and _present(name)
    ]
    if shutil.which("sipp") is None:
        rows = [row for row in rows if row.transport == "tls"]
        print("no SIPp here (Debian: sip-tester): only the rows over TLS", file=sys.stderr)
    if not rows or not servers:
        sys.exit("nothing to measure")
    text = table([(row, measure(row, servers, options)) for row in rows], options)
    print(text)
    if options.write:
        write(text)


def _present(server: str) -> bool:
    if server == "ringfence" or shutil.which(server):
        return True
    print(f"no {server} here: Ringfence alone", file=sys.stderr)
    return False


if __name__ == "__main__":
    main()
