"""A report for the terminal: a line for each requirement and probe; what failed with its meaning and the way out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ringfence.audit.finding import Finding, Judged, Report, Result

SIGNS: Final = {
    Result.PASS: ("✓", "green"),
    Result.WEAK: ("!", "yellow"),
    Result.FAIL: ("✗", "bold red"),
    Result.UNSEEN: ("–", "dim"),
}

BAR = 20
"""Cells of the bar that shows a score."""


def render(report: Report, *, evidence: bool = False) -> RenderableType:
    """All of it; ``evidence`` adds the messages of what is not good."""
    parts: list[RenderableType] = [_head(report), _scores(report)]
    for judged in report.judged:
        parts.append(Text(f"\n{judged.requirement.number} {judged.requirement.name}", "bold"))
        for finding in judged.findings:
            parts += _finding(finding, evidence)
    parts.append(_foot(report))
    return Group(*parts)


def _plain(text: str) -> str:
    """What a server sent, without what would steer the terminal."""
    return "".join(each if each.isprintable() or each == "\n" else "?" for each in text)


def _head(report: Report) -> Text:
    named = f", which says that it is {_plain(report.software)}" if report.software else ""
    text = Text.assemble(
        ("Audit of ", ""), (report.domain, "bold"), f" at {', '.join(report.places)}{named}\n"
    )
    for remark in report.remarks:
        text.append(f"{_plain(remark)}\n", "yellow")
    return text


def _scores(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(5):
        table.add_column(no_wrap=True)
    for judged in report.judged:
        table.add_row(
            str(judged.requirement.number),
            judged.requirement.name,
            _bar(judged),
            _percent(judged.score),
            _tally(judged),
        )
    return table


def _bar(judged: Judged) -> Text:
    full = round(BAR * (judged.score or 0) / 100)
    return Text.assemble(("━" * full, SIGNS[judged.result][1]), ("━" * (BAR - full), "dim"))


def _percent(score: int | None) -> Text:
    return Text("–" if score is None else str(score), "bold", justify="right")


def _tally(judged: Judged) -> Text:
    text = Text()
    for result, (sign, style) in SIGNS.items():
        count = sum(each.verdict.result is result for each in judged.findings)
        if count:
            text.append(f"{sign} {count}  ", style)
    return text


def _finding(finding: Finding, evidence: bool) -> Iterator[RenderableType]:
    probe, (result, detail) = finding.probe, finding.verdict
    sign, style = SIGNS[result]
    yield Padding(
        Text.assemble((f"{sign} {probe.title}", style), (f"  {probe.name}", "dim")),
        (0, 0, 0, 2),
        expand=False,
    )
    yield Padding(
        Text(_plain(detail), "dim" if result in {Result.PASS, Result.UNSEEN} else ""),
        (0, 0, 0, 4),
        expand=False,
    )
    if result in {Result.FAIL, Result.WEAK}:
        yield Padding(Text(f"{probe.meaning} {probe.clause}", "italic"), (0, 0, 0, 4), expand=False)
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(style="dim")
        table.add_column(overflow="fold", style="cyan")
        for name, line in probe.fix._asdict().items():
            table.add_row(name.capitalize(), Text(line))
        yield Padding(table, (0, 0, 0, 4), expand=False)
    if evidence and result is not Result.PASS:
        yield from _evidence(finding)


def _evidence(finding: Finding) -> Iterator[RenderableType]:
    for each in finding.evidence:
        arrow, style = ("▶", "cyan") if each.outward else ("◀", "magenta")
        yield Padding(Text(f"{each.seconds:7.3f} {arrow} {each.place}", style), (0, 0, 0, 4), expand=False)
        yield Padding(Text(_plain(each.text), "dim"), (0, 0, 0, 14), expand=False)
    if finding.left_out:
        yield Padding(Text(f"and {finding.left_out} more messages", "dim"), (0, 0, 0, 14), expand=False)


def _foot(report: Report) -> Text:
    counts = [f"{report.count(result)} {result}" for result in Result]
    score = "nothing was seen" if report.score is None else f"score {report.score} of 100"
    style = "bold red" if report.failed else "bold green"
    return Text(f"\n{score}: {', '.join(counts)}, in {report.seconds:.0f} s", style)
