"""``ringfence plan``: from what was measured to machines for a number of users."""

from __future__ import annotations

from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from ringfence.cli.options import JsonOption

ON = "--{0}/--no-{0}"


def plan(
    users: Annotated[int, typer.Option(min=1, help="Registered phones.")],
    calls_per_second: Annotated[float, typer.Option(min=0, help="In the busy hour.")],
    hold: Annotated[float, typer.Option(min=1, help="How long a call lasts, in seconds.")] = 120,
    media: Annotated[bool, typer.Option(ON.format("media"), help="Media pass the relay.")] = True,
    ledger: Annotated[bool, typer.Option(ON.format("ledger"), help="Calls are recorded.")] = True,
    privacy: Annotated[bool, typer.Option(ON.format("privacy"), help="All calls are private.")] = False,
    cores: Annotated[int, typer.Option(min=1, help="Of one machine.")] = 4,
    costs: Annotated[
        Path | None, typer.Option(help="A file of ringfence bench --out; else the figures we measured.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Plan cores, nodes, memory and bandwidth from measured costs, and try the plan by losing a node.

    Calls are over TLS, authenticated, guarded and with hidden topology, as a node does it by default.
    """
    from ringfence.bench import plan as planning
    from ringfence.bench.measure import Measured, load_kept

    kept = load_kept(costs or Path(planning.__file__).with_name("measured.json"))
    rows = [Measured.of(each) for each in kept.get("rows", [])]
    try:
        found = planning.Costs.of(rows, kept.get("memory", []))
    except planning.NotMeasured as error:
        raise typer.BadParameter(str(error), param_hint="--costs") from None
    parts = ["auth", "guard", "hiding"] + ["ledger"] * ledger + ["media"] * media + ["private"] * privacy
    demand = planning.Demand(users, calls_per_second, hold, tuple(parts), cores)
    made = planning.plan(demand, found)
    busiest = max(planning.simulate(demand, found))
    if json:
        typer.echo(dumps({**asdict(made), "busiest_when_a_node_is_lost": busiest}, indent=1))
        return
    for name, value in (
        ("cores", f"{made.cores:,}"), ("nodes", f"{made.nodes:,}"), ("memory", f"{made.memory_gb:,.1f} GB"),
        ("calls at once", f"{made.concurrent_calls:,.0f}"), ("relayed media", f"{made.relay_mbit:,.0f} Mbit/s"),
        ("ledger", f"{made.ledger_gb_a_day:,.1f} GB a day"),
        ("busiest second", f"{busiest:.0%} of all cores, simulated, with one node lost"),
    ):  # fmt: skip
        typer.echo(f"{name:15} {value}")
    for line in made.assumptions:
        typer.echo(f"  assumed: {line}")
