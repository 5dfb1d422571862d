"""``ringfence plan``: from what was measured to machines for a number of users."""

from __future__ import annotations

from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import Annotated, Literal

import typer

from ringfence.cli.options import JsonOption

ON = "--{0}/--no-{0}"


def plan(
    users: Annotated[int, typer.Option(min=0, help="Registered phones.")] = 0,
    calls_per_second: Annotated[float, typer.Option(min=0, help="In the busy hour.")] = 0,
    hold: Annotated[float, typer.Option(min=1, help="How long a call lasts, in seconds.")] = 120,
    transport: Annotated[Literal["tls", "tcp", "udp"], typer.Option(help="Of the phones.")] = "tls",
    media: Annotated[bool, typer.Option(ON.format("media"), help="Media pass the relay.")] = True,
    ledger: Annotated[bool, typer.Option(ON.format("ledger"), help="Calls are recorded.")] = True,
    privacy: Annotated[bool, typer.Option(ON.format("privacy"), help="All calls are private.")] = False,
    cores: Annotated[int, typer.Option(min=1, help="Of one machine.")] = 4,
    costs: Annotated[
        Path | None, typer.Option(help="A file of ringfence bench --out; else the figures we measured.")
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Compare what a plan adds up with what is measured together: now, or in the file of --costs.",
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Plan cores, nodes, memory and bandwidth from measured costs, and try the plan by losing a node.

    Calls are authenticated, guarded and with hidden topology, as a node does it by default. --check measures for two
    minutes; with it the exit code is 1 when a point is off by more than 15 %.
    """
    if check:
        _check(costs, json=json)
        return
    if not users:
        raise typer.BadParameter("say for how many phones", param_hint="--users")
    from ringfence.bench import plan as planning

    kept, rows = _kept(costs or Path(planning.__file__).with_name("measured.json"))
    try:
        found = planning.Costs.of(rows, kept.get("memory", []))
    except planning.NotMeasured as error:
        raise typer.BadParameter(str(error), param_hint="--costs") from None
    parts = ["auth", "guard", "hiding"] + ["ledger"] * ledger + ["media"] * media + ["private"] * privacy
    demand = planning.Demand(users, calls_per_second, hold, tuple(parts), cores, transport)
    made = planning.plan(demand, found)
    busiest = max(planning.simulate(demand, found))
    if json:
        typer.echo(dumps({**asdict(made), "busiest_when_a_node_is_lost": busiest}, indent=1))
        return
    busy = ", ".join(f"{name} {each:.3g}" for name, each in made.work.items() if each)
    database = f"{made.database_writes:,.0f} rows a second"
    if made.database_cores:
        database += f", {made.database_cores:,.2f} cores busy"
    for name, value in (
        ("cores", f"{made.cores:,}, busy: {busy}"), ("nodes", f"{made.nodes:,}"),
        ("PostgreSQL", database), ("memory", f"{made.memory_gb:,.1f} GB"),
        ("calls at once", f"{made.concurrent_calls:,.0f}"), ("relayed media", f"{made.relay_mbit:,.0f} Mbit/s"),
        ("ledger", f"{made.ledger_gb_a_day:,.1f} GB a day"),
        ("busiest second", f"{busiest:.0%} of all cores, simulated, with one node lost"),
    ):  # fmt: skip
        typer.echo(f"{name:15} {value}")
    for line in made.assumptions:
        typer.echo(f"  assumed: {line}")


def _kept(path: Path) -> tuple[dict, list]:  # type: ignore[type-arg]
    from ringfence.bench.measure import Measured, load_kept
    from ringfence.bench.rows import ALL

    kept = load_kept(path)
    return kept, [Measured.of(each) for each in kept.get("rows", []) if each["row"] in ALL]


def _check(costs: Path | None, *, json: bool) -> None:
    from ringfence.bench import check, measure

    if costs is None:
        options = measure.Options(rate=150, runs=1, seconds=2.5, settle=1.0, servers=("ringfence",))
        found = check.measure(options, lambda line: typer.echo(line, err=True))
    else:
        found = check.points(_kept(costs)[1])
        if not found:
            rows = ",".join((*check.ROWS, *check.HALVES))
            raise typer.BadParameter(f"it has no points; run: ringfence bench --rows {rows} --out FILE",
                                     param_hint="--costs")  # fmt: skip
    if json:
        typer.echo(
            dumps([{**asdict(each), "off": each.off, "holds": each.holds} for each in found], indent=1)
        )
    else:
        typer.echo(check.table(found))
    if not all(each.holds for each in found):
        raise typer.Exit(1)
