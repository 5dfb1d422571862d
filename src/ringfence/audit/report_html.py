"""A report for people: one HTML file with everything in it, for the screen, for paper, in the dark, without scripts.

Each finding is a ``details`` element, which any browser opens by mouse, finger and keyboard; what is not good is open
already. All text from the server is escaped: a report of a hostile server runs nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from typing import Final

from ringfence.audit.finding import Finding, Fix, Judged, Report, Result, Shown
from ringfence.audit.report_style import STYLE

SIGNS: Final = {
    Result.PASS: ("pass", "✓"),
    Result.WEAK: ("weak", "!"),
    Result.FAIL: ("fail", "✗"),
    Result.UNSEEN: ("unseen", "–"),
}

TURN = 263.9
"""The length of a circle of radius 42: what the ring of the score is drawn on."""


def page(report: Report) -> str:
    """The whole file."""
    title = f"SIP security audit of {escape(report.domain)}"
    cards = "".join(map(_card, report.judged))
    sections = "".join(map(_section, report.judged))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<a class="skip" href="#findings">Skip to the findings</a>
<header>
{_head(report)}
</header>
<main>
<nav aria-label="The nine requirements"><ol class="cards">{cards}</ol></nav>
<div id="findings">{sections}</div>
</main>
<footer>{_foot(report)}</footer>
</body>
</html>
"""


def _head(report: Report) -> str:
    when = datetime.fromtimestamp(report.started, UTC)
    facts = [
        ("Target", report.target),
        ("Answers on", ", ".join(report.places)),
        ("Says that it is", report.software or "(it does not say)"),
        ("When", f"{when:%Y-%m-%d %H:%M} UTC, {report.seconds:.0f} s"),
    ]
    rows = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    remarks = "".join(f"<p class='remark'>{escape(each)}</p>" for each in report.remarks)
    return f"""<div class="head">
<div>
<p class="kicker">SIP security audit</p>
<h1>{escape(report.domain)}</h1>
<p class="verdict {_worst(report)}">{_verdict(report)}</p>
<dl class="facts">{rows}</dl>
</div>
{_ring(report.score, _worst(report))}
</div>
{_tally(report)}
{remarks}"""


def _worst(report: Report) -> str:
    if report.failed:
        return "fail"
    return "weak" if report.count(Result.WEAK) else "pass"


def _verdict(report: Report) -> str:
    failed, weak = report.count(Result.FAIL), report.count(Result.WEAK)
    if failed:
        return f"{failed} {'probe has' if failed == 1 else 'probes have'} failed."
    if weak:
        return f"Nothing has failed; {weak} {'thing' if weak == 1 else 'things'} could be better."
    return "Everything that was asked is as it should be."


def _ring(score: int | None, kind: str) -> str:
    shown = "–" if score is None else str(score)
    part = TURN * (score or 0) / 100
    return f"""<svg class="ring {kind}" viewBox="0 0 100 100" role="img" aria-label="Score: {shown} of 100">
<circle cx="50" cy="50" r="42" class="track"/>
<circle cx="50" cy="50" r="42" class="arc" stroke-dasharray="{part:.1f} {TURN}" transform="rotate(-90 50 50)"/>
<text x="50" y="54" class="number">{shown}</text><text x="50" y="69" class="of">of 100</text>
</svg>"""


def _tally(report: Report) -> str:
    items = []
    for result, (name, sign) in SIGNS.items():
        count = report.count(result)
        items.append(f"<li class='{name}'><b aria-hidden='true'>{sign}</b> {count} {escape(result)}</li>")
    return f"<ul class='tally' aria-label='Findings'>{''.join(items)}</ul>"


def _card(judged: Judged) -> str:
    name = SIGNS[judged.result][0]
    score = judged.score
    shown = "–" if score is None else str(score)
    bars = _bars(judged)
    need = judged.requirement
    return f"""<li><a class="card {name}" href="#r{need.number}">
<span class="count">{need.number}</span><span class="title">{escape(need.name)}</span>
<span class="score">{shown}</span>{bars}</a></li>"""


def _bars(judged: Judged) -> str:
    """A row of little boxes, one for each probe, in order: the shape of a requirement at a glance."""
    boxes, gap = len(judged.findings), 3
    width = (240 - gap * (boxes - 1)) / boxes
    parts = []
    for place, finding in enumerate(judged.findings):
        name = SIGNS[finding.verdict.result][0]
        parts.append(
            f'<rect x="{place * (width + gap):.1f}" width="{width:.1f}" height="8" rx="2" class="{name}"/>'
        )
    told = ", ".join(
        f"{count} {escape(result)}"
        for result in Result
        if (count := sum(each.verdict.result is result for each in judged.findings))
    )
    box = 'viewBox="0 0 240 8" preserveAspectRatio="none"'
    return f'<svg class="bars" {box} role="img" aria-label="{told}">{"".join(parts)}</svg>'


def _section(judged: Judged) -> str:
    need = judged.requirement
    score = "not observable" if judged.score is None else f"{judged.score} of 100"
    findings = "".join(map(_finding, judged.findings))
    return f"""<section id="r{need.number}" aria-labelledby="h{need.number}">
<h2 id="h{need.number}"><span class="count">{need.number}</span> {escape(need.name)} <small>{score}</small></h2>
<p class="demand">{escape(need.demand)}</p>
{findings}</section>"""


def _finding(finding: Finding) -> str:
    probe, (result, detail) = finding.probe, finding.verdict
    name, sign = SIGNS[result]
    opened = " open" if result in {Result.FAIL, Result.WEAK} else ""
    wrong = result in {Result.FAIL, Result.WEAK}
    meaning = f"<p class='meaning'>{escape(probe.meaning)}</p>" if wrong else ""
    fix = _fix(probe.fix) if wrong else ""
    return f"""<details class="finding {name}" id="{escape(probe.name)}"{opened}>
<summary><b class="sign" aria-hidden="true">{sign}</b><span class="what">{escape(probe.title)}</span>
<span class="chip">{escape(result)}</span></summary>
<div class="body"><p class="detail">{escape(detail)}</p>{meaning}
<p class="clause">{escape(probe.clause)} <span class="probe">{escape(probe.name)}</span></p>
{fix}{_evidence(finding)}</div>
</details>"""


def _fix(fix: Fix) -> str:
    rows = "".join(
        f"<div><dt>{name.capitalize()}</dt><dd><code>{escape(line)}</code></dd></div>"
        for name, line in fix._asdict().items()
    )
    return f"<dl class='fix' aria-label='What mends it'>{rows}</dl>"


def _evidence(finding: Finding) -> str:
    if not finding.evidence:
        return ""
    total = len(finding.evidence) + finding.left_out
    shown = "".join(map(_message, finding.evidence))
    more = f"<p class='more'>{finding.left_out} more messages are not shown.</p>" if finding.left_out else ""
    noun = "message" if total == 1 else "messages"
    return f"<details class='evidence'><summary>Evidence: {total} {noun}</summary>{shown}{more}</details>"


def _message(shown: Shown) -> str:
    way, word = ("out", "sent to") if shown.outward else ("in", "received from")
    return (
        f"<figure class='{way}'><figcaption>{shown.seconds:.3f} s, {word} {escape(shown.place)}</figcaption>"
        f"<pre tabindex='0'>{escape(shown.text)}</pre></figure>"
    )


def _foot(report: Report) -> str:
    return f"""<p>Made by <b>ringfence audit</b> {version("ringfence")}. The requirements are those of
“SIP Call Security in an Open IP Network” (Rantapuska, 2003). A requirement's score is the share of its probes that
hold, by their weight; weak ones count half, and what could not be observed does not count. Credentials are left out of
the evidence.</p>"""
