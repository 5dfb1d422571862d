"""Every figure of docs/performance.md: what a call costs beside Kamailio, the price of each protection, and memory.

    python bench/run.py                                  everything, some 20 minutes
    python bench/run.py --quick                          the same in some 3 minutes, for a look
    python bench/run.py --rows b,c --rate 400 --runs 3   some rows
    python bench/run.py --write                          also into docs/: tables and pictures

``ringfence bench`` measures the same rows without this directory. See ringfence/bench/harness.py for the method.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import plots

from ringfence.bench import measure, memory, report
from ringfence.bench.rows import ALL, chosen

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "performance.md"
MEASURED = ROOT / "src" / "ringfence" / "bench" / "measured.json"
"""What was measured, kept so that pictures and plans can be made anew without measuring. The package has it, too."""

PICTURES = """\
![Bars: CPU of a call, Ringfence beside Kamailio](images/bench-rows.svg)

![Bars: CPU of a call with one protection after another turned on](images/bench-prices.svg)"""
MARKS = "<!-- made by make bench -->", "<!-- end -->"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default="all", help="names, rows, prices, workers, half, small, all")
    parser.add_argument("--rate", type=float, default=600, help="calls a second, or less where a row says so")
    parser.add_argument("--price-rate", type=float, default=200, help="the same for the rows of prices")
    parser.add_argument("--runs", type=int, default=5, help="of each server")
    parser.add_argument("--seconds", type=float, default=3, help="of one run")
    parser.add_argument(
        "--settle", type=float, default=1.5, help="seconds after a run that count too: timers"
    )
    parser.add_argument("--servers", default="ringfence,kamailio")
    here = measure.cores_here()
    parser.add_argument("--server-core", default=here[0])
    parser.add_argument("--load-core", default=here[-1])
    parser.add_argument(
        "--no-memory", action="store_true", help="not the memory of registrations and connections"
    )
    parser.add_argument("--quick", action="store_true", help="one short run of each, and less of everything")
    parser.add_argument(
        "--out", type=Path, help="keep what was measured in this file instead of the package's"
    )
    parser.add_argument("--write", action="store_true", help="into docs/")
    options = parser.parse_args()
    if options.quick:
        options.rate, options.price_rate, options.runs, options.seconds, options.settle = 100, 50, 1, 1, 0.5
    return options


def run_all(options: argparse.Namespace, out: Path) -> None:
    """Measure, and keep each part as soon as it is there."""
    servers = tuple(options.servers.split(","))
    common = options.runs, options.seconds, options.settle, servers, options.server_core, options.load_core
    rows = chosen(options.rows)
    facts = measure.conditions(measure.Options(options.rate, *common))
    for row in rows:
        if measure.is_beside(row):
            with going_on():
                found = measure.measure(row, measure.Options(options.rate, *common), say)
                measure.keep(out, conditions=facts, rows=measure.as_json([found]))
    if prices := [row for row in rows if row.price]:
        with going_on():
            found_prices = measure.measure_all(prices, measure.Options(options.price_rate, *common), say)
            measure.keep(out, conditions=facts, rows=measure.as_json(found_prices))
    for row in rows:
        if row.half or row.workers > 1 or row.small:
            with going_on():
                found = measure.measure_all([row], measure.Options(options.rate, *common), say)
                measure.keep(out, conditions=facts, rows=measure.as_json(found))
    if not options.no_memory:
        with going_on():
            scale = 50 if options.quick else 1
            measure.keep(out, memory=[each.as_json() for each in memory.measure(say, scale)])


@contextlib.contextmanager
def going_on() -> Iterator[None]:
    """What can't be measured is told, and does not keep the rest from it; a signal ends all."""
    try:
        yield
    except SystemExit as error:
        if not isinstance(error.code, str):
            raise
        say(f"NOT MEASURED: {error.code}")


def say(line: str) -> None:
    """What goes on."""
    print(line, file=sys.stderr, flush=True)


def text_of(kept: dict[str, object]) -> str:
    """The tables."""
    rows = [measure.Measured.of(each) for each in kept.get("rows", ())]  # type: ignore[attr-defined]
    rows = [each for each in rows if each.row in ALL]
    parts = [report.everything(kept["conditions"], rows)]  # type: ignore[arg-type]
    if "memory" in kept:
        parts.append(memory.table(kept["memory"]))  # type: ignore[arg-type]
    return "\n\n".join(parts)


def write(kept: dict[str, object], text: str) -> None:
    """Put the tables between their marks in the document, and the pictures beside it."""
    plots.draw(kept, ROOT / "docs" / "images")
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    DOCUMENT.write_text(f"{before}{MARKS[0]}\n{text}\n\n{PICTURES}\n{MARKS[1]}{after}", encoding="utf-8")


def main() -> None:
    """Measure, print, write."""
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    out = options.out or MEASURED
    run_all(options, out)
    kept = json.loads(out.read_text(encoding="utf-8"))
    try:
        text = text_of(kept)
    except ValueError as error:
        sys.exit(f"{out}: {error}")
    print(text)
    if options.write:
        write(kept, text)


if __name__ == "__main__":
    main()
