"""From costs to machines."""

from __future__ import annotations

import pytest

from ringfence.bench.harness import Result
from ringfence.bench.measure import Measured
from ringfence.bench.plan import Costs, Demand, NotMeasured, plan, simulate

FIGURES = {
    "p0": 1000,
    "p1": 1020,
    "p3": 1070,
    "p4": 1120,
    "p5": 1170,
    "p6": 1220,
    "p7": 1620,
    "pe": 1600,
    "g": 400,
}


def costs() -> Costs:
    rows = [
        Measured(name, name, 100, {"ringfence": [Result(1, 0, us, 1.0, 1.0, 0.0)]})
        for name, us in FIGURES.items()
    ]
    return Costs.of(rows)


def test_costs_add_up_to_what_was_measured_together() -> None:
    found = costs()
    assert found.call(("auth", "ledger")) == 1170
    assert found.checked() == pytest.approx(1520 / 1600)


def test_a_row_that_was_not_measured_is_named() -> None:
    with pytest.raises(NotMeasured, match="p5"):
        Costs.of([Measured("p0", "", 1, {"ringfence": [Result(1, 0, 1.0, 1.0, 1.0, 0.0)]})])


def test_cores_follow_calls_and_registrations_and_one_node_is_spare() -> None:
    made = plan(Demand(users=1_800_000, calls_per_second=1_000, parts=()), costs())
    assert made.cores == 3  # (1000 x 1000 us + 1000 x 400 us) / 0.5
    assert made.nodes == 2
    assert made.relay_mbit == 0


@pytest.mark.parametrize("users", [100_000, 100_000_000])
def test_a_simulated_busy_hour_is_as_busy_as_planned_and_a_lost_node_is_borne(users: int) -> None:
    demand = Demand(users, users / 1000)
    made = plan(demand, costs())
    busy = simulate(demand, costs(), seconds=900)
    per_second = demand.calls_per_second * 1520e-6 + users / 1800 * 400e-6
    assert sum(busy[:600]) / 600 == pytest.approx(per_second / (made.nodes * 4), rel=0.15)
    assert max(busy) < 1.0
