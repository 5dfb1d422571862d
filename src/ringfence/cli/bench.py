"""``ringfence bench``: what a call costs on this machine, and what each protection adds to it."""

from __future__ import annotations

import signal
import sys
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from ringfence.cli.options import JsonOption

Rows = Annotated[
    str,
    typer.Option(
        help="Which, separated by commas: names, or rows, prices, workers, half, small, all. See --list."
    ),
]
Runs = Annotated[int, typer.Option(min=1, help="How often each is measured; medians are shown.")]
Beside = Annotated[bool, typer.Option("--kamailio/--alone", help="Beside Kamailio, where it is installed.")]


def bench(
    rows: Rows = "b,e,p0,p1,pe",
    rate: Annotated[float, typer.Option(min=1, help="Calls a second.")] = 300,
    seconds: Annotated[float, typer.Option(min=1, help="Of one run.")] = 3,
    runs: Runs = 5,
    beside: Beside = True,
    core: Annotated[str, typer.Option(help="The processor core of the node; else the first.")] = "",
    load_core: Annotated[str, typer.Option(help="That of callers and callees; else the last.")] = "",
    show: Annotated[bool, typer.Option("--list", help="Show what can be measured.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Keep the runs as JSON, for ringfence plan --costs.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure what a call costs here: CPU time and set-up times, and what each protection adds.

    It starts nodes of its own on 127.0.0.1, with a directory that is removed in the end, and calls through them at a
    fixed rate. The node has one core and the callers another, so that a machine with two idle cores is needed.
    """
    from ringfence.bench import measure, report
    from ringfence.bench.rows import ALL, chosen

    if show:
        for row in ALL.values():
            typer.echo(f"{row.id:4} {row.what}")
        return
    try:
        wanted = chosen(rows)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--rows") from None
    servers = ("ringfence", "kamailio") if beside else ("ringfence",)
    here = measure.cores_here()
    core, load_core = core or here[0], load_core or here[-1]
    for name, option in ((core, "--core"), (load_core, "--load-core")):
        if name not in here:
            raise typer.BadParameter(f"we may use the cores {', '.join(here)}", param_hint=option)
    if core == load_core:
        typer.echo("node and load share a core: times and ratios say little", err=True)
    options = measure.Options(rate, runs, seconds, 1.5, servers, core, load_core)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    measured = measure.measure_all(wanted, options, lambda line: typer.echo(line, err=True))
    facts = measure.conditions(options)
    if out is not None:
        measure.keep(out, conditions=facts, rows=measure.as_json(measured))
    if json:
        typer.echo(dumps({"conditions": facts, "rows": measure.as_json(measured)}, indent=1))
    else:
        typer.echo(report.everything(facts, measured))
