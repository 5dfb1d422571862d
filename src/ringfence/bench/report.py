"""What was measured as tables: the rows beside Kamailio, and what each thing that is turned on costs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ringfence.bench.measure import Measured, added, is_beside, ratios
from ringfence.bench.rows import ALL

RING, KAMAILIO = "ringfence", "kamailio"


def spread(values: Sequence[float], form: str) -> str:
    """Median, and least to most."""
    if len(values) == 1:
        return form.format(values[0])
    return f"{form.format(statistics.median(values))} ({form.format(min(values))}–{form.format(max(values))})"


def table(measured: Sequence[Measured]) -> str:
    """The rows beside Kamailio's."""
    head = ["", "scenario", "a second", "Ringfence us", "Kamailio us", "ratio", "Ringfence p50/p99 ms"]
    head += ["Kamailio p50/p99 ms", "failed"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for each in measured:
        beside = ratios(each.us(RING), each.us(KAMAILIO))
        cells = [
            each.row,
            each.what,
            f"{each.rate:g}",
            *(_figure(each.us(name)) for name in (RING, KAMAILIO)),
        ]
        cells.append(spread(beside, "{:.2f}") if beside else "–")
        cells += [_times(each, name) for name in (RING, KAMAILIO)]
        cells.append(" + ".join(str(sum(run.failed for run in runs)) for runs in each.runs.values()))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def price_table(measured: Sequence[Measured]) -> str:
    """What each thing costs, over the plain call and alone."""
    rows = {each.row: each for each in measured}
    plain = rows["p0"]
    head = [
        "",
        "scenario",
        "us a call",
        "times the plain call",
        "this alone adds, us",
        "over row",
        "p50/p99 ms",
        "failed",
    ]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for each in measured:
        base = rows[ALL[each.row].over or "p0"]
        alone = ["–", "–"] if each is plain else [spread(added(each, base), "{:+.0f}"), base.row]
        times = "1" if each is plain else spread(ratios(each.us(), plain.us()), "{:.2f}")
        failed = sum(run.failed for run in each.runs[RING])
        cells = [each.row, each.what, _figure(each.us()), times, *alone, _times(each, RING), str(failed)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def workers_table(measured: Sequence[Measured]) -> str:
    """One worker and two. Capacity is what a core can do for each worker: twice the cores by what a call costs more."""
    rows = {each.row: each for each in measured}
    head = ["", "scenario", "a second, each", "one worker us", "two workers us", "part of the busier one"]
    head += ["times the calls", "by the busier one", "failed"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for each in measured:
        base = rows.get(ALL[each.row].over)
        if base is None:
            continue
        number, busiest = ALL[each.row].workers, [run.busiest for run in each.runs[RING]]
        cheaper = ratios(base.us(), each.us())
        failed = sum(run.failed for run in (*base.runs[RING], *each.runs[RING]))
        cells = [
            each.row, base.what.removesuffix(", one worker"), f"{base.rate:g}", _figure(base.us()), _figure(each.us()),
            spread(busiest, "{:.2f}"), spread([number * ratio for ratio in cheaper], "{:.2f}"),
            spread(ratios(cheaper, busiest), "{:.2f}"), str(failed),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    method = (
        "Each worker gets as many calls a second. Workers and load share the cores, so that the load would end first, "
        "and not the node: what is measured is the CPU of a call. Two workers with a core each answer twice as many "
        "calls as one, times what a call costs one worker over what it costs two; by the busier one where the phones "
        "of this run are not spread evenly, as thousands would be."
    )
    return "\n".join([*lines, "", method])


def half_table(measured: Sequence[Measured]) -> str:
    """How long setting up a call takes while calls take half of the node's core."""
    head = [
        "",
        "scenario",
        "calls a second",
        "of the core",
        "p50 ms",
        "p99 ms",
        "cores of the load",
        "failed",
    ]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for each in measured:
        runs = each.runs[RING]
        cells = [
            each.row, each.what, f"{each.rate:g}", spread([us * each.rate / 1e6 for us in each.us()], "{:.0%}"),
            spread([run.p50_ms for run in runs], "{:.1f}"), spread([run.p99_ms for run in runs], "{:.1f}"),
            spread([run.load for run in runs], "{:.2f}"), str(sum(run.failed for run in runs)),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", "Where the load takes nearly a core, the times are its own."])


def small_table(measured: Sequence[Measured]) -> str:
    """What a plan needs besides calls."""
    lines = ["|  | what | us of CPU each | failed |", "|---|---|---|---|"]
    for each in measured:
        failed = sum(run.failed for run in each.runs[RING])
        lines.append(f"| {each.row} | {each.what} | {spread(each.us(), '{:.1f}')} | {failed} |")
    return "\n".join(lines)


def classics(measured: Sequence[Measured]) -> str:
    """The figures of the literature beside ours, of the rows that are there."""
    rows = {each.row: each for each in measured}
    lines = ["| figure | theirs | ours |", "|---|---|---|"]
    shares = (
        ("authentication, of a proxy's work without state", "80 % (Salsano 2002)", "c", "a"),
        ("authentication, of a stateful proxy's work", "45 % (Salsano 2002)", "c", "b"),
        ("authentication once for a TLS connection, of a call's work", "45 % (the same)", "p1", "p0"),
    )
    for what, theirs, one, other in shares:
        if one in rows and other in rows:
            part = [100 * (1 - 1 / each) for each in ratios(rows[one].us(), rows[other].us())]
            lines.append(f"| {what} | {theirs} | {spread(part, '{:.0f}')} % (rows {one} and {other}) |")
    times = (("a TLS connection each, times UDP", "f"), ("one TLS connection, times UDP", "e"))
    for what, one in times:
        if one in rows and "c" in rows:
            ours = spread(ratios(rows[one].us(), rows["c"].us()), "{:.1f}")
            lines.append(f"| {what} | up to 17 (Shen 2010) | {ours} (rows {one} and c) |")
    return "\n".join(lines)


def told(conditions: Mapping[str, Any], measured: Sequence[Measured]) -> str:
    """Under what conditions it came to be."""
    others = [run.others for each in measured for runs in each.runs.values() for run in runs]
    kamailio = f"Kamailio {conditions['kamailio']}, one worker; " if conditions["kamailio"] else ""
    return (
        f"Microseconds of CPU for each call, median of {conditions['runs']} runs of {conditions['seconds']:g} s "
        f"(least–most); {conditions['machine']}; {kamailio}Ringfence {conditions['ringfence']}, "
        f"{'compiled' if conditions['compiled'] else 'not compiled'}; {conditions['date']}. "
        f"Other work on the machine took {statistics.median(others):.2f} cores (at most {max(others):.2f})."
    )


def everything(conditions: Mapping[str, Any], measured: Sequence[Measured]) -> str:
    """All tables that there is something for, in Markdown."""
    parts = []
    if rows := [each for each in measured if is_beside(ALL[each.row])]:
        parts.append(table(rows))
    if prices := [each for each in measured if ALL[each.row].price]:
        parts.append(price_table(prices))
    if workers := [each for each in measured if ALL[each.row].links]:
        parts.append(workers_table(workers))
    if halves := [each for each in measured if ALL[each.row].half]:
        parts.append(half_table(halves))
    if small := [each for each in measured if ALL[each.row].small]:
        parts.append(small_table(small))
    if {"c", "f", "p1"} & {each.row for each in measured}:
        parts.append(classics(measured))
    return "\n\n".join([*parts, told(conditions, measured)])


def _figure(values: Sequence[float]) -> str:
    return spread(values, "{:.0f}") if values else "–"


def _times(each: Measured, server: str) -> str:
    runs = each.runs.get(server)
    if not runs:
        return "–"
    return " / ".join(
        f"{statistics.median(getattr(run, name) for run in runs):.1f}" for name in ("p50_ms", "p99_ms")
    )
