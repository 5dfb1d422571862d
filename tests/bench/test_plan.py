"""From costs to machines, and whether a plan is right."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ringfence.bench import check, measure, plan
from ringfence.bench.harness import Result
from ringfence.bench.measure import Measured
from ringfence.bench.plan import TOGETHER, Costs, Demand, Fall, NotMeasured, simulate
from ringfence.cli.app import build

FIGURES = {
    "p0": 1000, "p1": 1020, "p3": 1070, "p4": 1120, "p5": 1170, "p6": 1220, "p7": 1620, "pe": 1600, "g": 400,
    "k1": 20, "k2": 30, "k3": 40, "k4": 5, "k5": 100, "k6": 200, "e": 500, "f": 1500,
}  # fmt: skip
SHIPPED = Path(plan.__file__).with_name("measured.json")


def row(name: str, us: float, rate: float = 100) -> Measured:
    return Measured(name, name, rate, {"ringfence": [Result(1, 0, us, 1.0, 1.0, 0.0)]})


def rows(**more: float) -> list[Measured]:
    return [row(name, us) for name, us in {**FIGURES, **more}.items()]


def costs() -> Costs:
    return Costs.of(rows())


def test_costs_add_up_to_what_was_measured_together() -> None:
    found = costs()
    assert found.call(("auth", "ledger")) == 1170
    assert found.checked() == pytest.approx(1520 / 1600)
    assert found.connection == 1000


def test_a_row_that_was_not_measured_is_named() -> None:
    with pytest.raises(NotMeasured, match="p5"):
        Costs.of([row("p0", 1.0)])
    with pytest.raises(NotMeasured, match="k3"):
        Costs.of([each for each in rows() if each.row != "k3"])


def test_cores_follow_calls_and_registrations_and_one_node_is_spare() -> None:
    made = plan.plan(Demand(users=1_800_000, calls_per_second=1_000, parts=()), costs())
    assert made.work["calls"] + made.work["registrations"] == pytest.approx(1.0 + 0.4)
    assert made.relay_mbit == 0


def test_what_each_thing_takes_is_counted() -> None:
    """A hundred thousand phones, 50 calls a second of two minutes."""
    demand = Demand(100_000, 50)
    made = plan.plan(demand, costs())
    assert made.work == pytest.approx(
        {
            "calls": 50 * 1520e-6,
            "registrations": 100_000 / 1800 * 400e-6,
            "keep-alives": 100_000 / 107.5 * 40e-6,
            "connections": 100_000 / 86_400 * 1000e-6,
            "relayed media": 6_000 * 100 * 5e-6,
        }
    )
    assert made.cores == math.ceil(sum(made.work.values()) / 0.5)
    assert made.nodes == math.ceil(made.cores / 4) + 1
    assert made.database_cores == pytest.approx(50 * 100e-6 + 100_000 / 1800 * 200e-6)
    assert made.database_writes == pytest.approx(150 + 100_000 / 1800)


def test_phones_on_udp_send_more_keep_alives_and_hold_no_connections() -> None:
    tls, udp = (plan.plan(Demand(100_000, 50, transport=each), costs()) for each in ("tls", "udp"))
    assert udp.work["keep-alives"] == pytest.approx(100_000 / 26.5 * 20e-6)
    assert udp.work["connections"] == 0.0
    assert udp.memory_gb < tls.memory_gb / 2


def test_a_call_is_cheaper_the_more_there_are() -> None:
    known = {"p1": row("p1", 1000.0, 100), "hp1": row("hp1", 500.0, 1000)}
    fall = Fall.of(known)
    assert fall.at(1000) == pytest.approx(500)
    assert (fall.at(10), fall.at(100), fall.at(100_000)) == (0.0, 0.0, fall.at(1000))
    found = fall.at_half_load(2000.0)
    assert found == pytest.approx(2000.0 - fall.at(0.5e6 / found))
    assert Fall.of({"p1": row("p1", 1000.0)}).at_half_load(2000.0) == 2000.0


@pytest.mark.parametrize("users", [100_000, 100_000_000])
def test_a_simulated_busy_hour_is_as_busy_as_planned_and_a_lost_node_is_borne(users: int) -> None:
    demand = Demand(users, users / 1000)
    made = plan.plan(demand, costs())
    busy = simulate(demand, costs(), seconds=900)
    assert sum(busy[:600]) / 600 == pytest.approx(sum(made.work.values()) / (made.nodes * 4), rel=0.15)
    assert max(busy) < 1.0


def test_points_that_are_off_are_told() -> None:
    measured = [*rows(pes=1900, p8=1000, p8s=1200), row("hp1", 720, 1000), row("hpe", 1000, 1000)]
    found = {each.what: each for each in check.points(measured)}
    together = found["a call with everything on"]
    assert (together.planned, together.measured, together.holds) == (1520, 1600, True)
    half = found["the same at half load"]
    assert half.planned == pytest.approx(1520 - 300)
    assert not half.holds
    assert found["the same to another domain, signed"].planned == 1520 + 200
    assert "| +22% | **no** |" in check.table(list(found.values()))
    assert check.points([row("p0", 1.0)]) == []


def test_the_command_checks_what_a_file_has(tmp_path: Path) -> None:
    path = tmp_path / "measured.json"
    for us, code in ((1600, 0), (2200, 1)):
        measure.keep(path, rows=measure.as_json(rows(pe=us)))
        done = CliRunner().invoke(build(), ["plan", "--check", "--costs", str(path), "--json"])
        assert done.exit_code == code, done.output
        (point,) = json.loads(done.output)
        assert (point["planned"], point["measured"], point["holds"]) == (1520, us, code == 0)
    done = CliRunner().invoke(build(), ["plan", "--check", "--costs", str(tmp_path / "none.json")])
    assert done.exit_code == 2
    assert "no points" in done.output


def test_the_command_plans_from_the_figures_that_the_package_has() -> None:
    done = CliRunner().invoke(build(), ["plan", "--users", "1000000", "--calls-per-second", "100"])
    assert done.exit_code == 0, done.output
    for word in (
        "keep-alives",
        "relayed media",
        "registrations",
        "PostgreSQL",
        "assumed: each phone registers",
    ):
        assert word in done.output
    assert CliRunner().invoke(build(), ["plan"]).exit_code == 2


def test_the_figures_that_the_package_has_bear_the_plan_out() -> None:
    kept = [Measured.of(each) for each in measure.load_kept(SHIPPED)["rows"]]
    found = Costs.of(kept)
    assert abs(found.checked() - 1.0) < check.WITHIN
    assert 0 < found.planned_call(TOGETHER) <= found.call(TOGETHER)
