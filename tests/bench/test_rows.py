"""What ``ringfence bench`` measures, and what it makes of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ringfence.bench import measure, report
from ringfence.bench.harness import Result
from ringfence.bench.rows import ALL, PRICES, chosen
from ringfence.cli.app import build


def runs(*microseconds: float) -> list[Result]:
    return [Result(100, 0, each, 1.0, 2.0, 0.0) for each in microseconds]


def test_every_price_is_told_over_a_row_that_there_is() -> None:
    assert all(row.over in ALL for row in PRICES)
    assert [row.id for row in measure.with_bases([ALL["p9v"]])] == ["p0", "p9", "p9v"]


def test_rows_are_chosen_by_name_and_group() -> None:
    assert [row.id for row in chosen("b,p0,b")] == ["b", "p0"]
    assert chosen("prices") == list(PRICES)
    with pytest.raises(ValueError, match="no row 'z'"):
        chosen("z")


def test_a_ratio_is_taken_within_a_turn() -> None:
    row = measure.Measured(
        "b", "call", 100, {"ringfence": runs(100, 300, 200), "kamailio": runs(100, 100, 100)}
    )
    assert "| 200 (100–300) | 100 (100–100) | 2.00 (1.00–3.00) |" in report.table([row])


def test_a_price_is_told_over_the_plain_call_and_alone() -> None:
    rows = [
        measure.Measured("p0", "plain", 100, {"ringfence": runs(100)}),
        measure.Measured("p1", "flow", 100, {"ringfence": runs(110)}),
        measure.Measured("p5", "ledger", 100, {"ringfence": runs(150)}),
    ]
    assert "| 150 | 1.50 | +40 | p1 |" in report.price_table(rows)


def test_rows_of_different_turns_are_named() -> None:
    rows = [
        measure.Measured("p0", "plain", 100, {"ringfence": runs(100)}),
        measure.Measured("p1", "flow", 100, {"ringfence": runs(110, 120)}),
    ]
    with pytest.raises(ValueError, match="row p1 has 2 runs and its base, row p0, has 1"):
        report.price_table(rows)


def test_what_was_measured_is_kept_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "measured.json"
    for row, figure in (("c", 3.0), ("b", 1.0), ("c", 2.0)):
        measure.keep(path, rows=measure.as_json([measure.Measured(row, row, 1, {"ringfence": runs(figure)})]))
    kept = [measure.Measured.of(each) for each in measure.load_kept(path)["rows"]]
    assert [(each.row, each.median()) for each in kept] == [("b", 1.0), ("c", 2.0)]


def test_a_core_that_there_is_not_is_a_usage_error() -> None:
    done = CliRunner().invoke(build(), ["bench", "--rows", "b", "--core", "977"])
    assert done.exit_code == 2
    assert "we may use the cores" in done.output


@pytest.mark.interop("openssl", "taskset")
def test_the_command_measures_a_call_with_everything_on(tmp_path: Path) -> None:
    assert shutil.which("openssl")
    out = tmp_path / "measured.json"
    words = ["bench", "--rows", "pe", "--runs", "1", "--seconds", "1", "--rate", "20", "--alone"]
    done = CliRunner().invoke(build(), [*words, "--core", "0", "--load-core", "0", "--out", str(out)])
    assert done.exit_code == 0, done.output
    kept = [measure.Measured.of(each) for each in measure.load_kept(out)["rows"]]
    assert [each.row for each in kept] == ["p0", "pe"]
    assert all(run.failed == 0 and run.us_per_call > 0 for each in kept for run in each.runs["ringfence"])


def test_two_workers_are_told_over_one_by_the_cost_of_a_call_and_by_the_busier_one() -> None:
    pair = [
        measure.Measured("w1", "call, UDP, one worker", 100, {"ringfence": runs(200, 240)}),
        measure.Measured(
            "w2",
            "two",
            100,
            {"ringfence": [Result(1, 0, us, 1.0, 1.0, 0.0, busiest=0.6) for us in (220, 240)]},
        ),
    ]
    (line,) = [each for each in report.workers_table(pair).splitlines() if each.startswith("| w2 ")]
    assert "| 1.91 (1.82–2.00) | 1.59 (1.52–1.67) | 0 |" in line


def test_a_row_at_half_load_tells_how_busy_the_core_was() -> None:
    row = measure.Measured(
        "hb", "call, UDP", 2000, {"ringfence": [Result(1, 2, 250.0, 3.0, 9.0, 0.0, load=0.4)]}
    )
    assert "| hb | call, UDP | 2000 | 50% | 3.0 | 9.0 | 0.40 | 2 |" in report.half_table([row])


@pytest.mark.interop("openssl", "taskset")
def test_the_command_measures_two_workers(tmp_path: Path) -> None:
    out = tmp_path / "measured.json"
    words = ["bench", "--rows", "w4", "--runs", "1", "--seconds", "1", "--rate", "20", "--alone"]
    done = CliRunner().invoke(build(), [*words, "--core", "0", "--load-core", "0", "--out", str(out)])
    assert done.exit_code == 0, done.output
    kept = [measure.Measured.of(each) for each in measure.load_kept(out)["rows"]]
    assert [(each.row, each.rate) for each in kept] == [("w3", 20), ("w4", 40)]
    assert all(run.failed == 0 and run.us_per_call > 0 for each in kept for run in each.runs["ringfence"])
    busiest = {each.row: each.runs["ringfence"][0].busiest for each in kept}
    assert busiest["w3"] == 1.0 > busiest["w4"]
