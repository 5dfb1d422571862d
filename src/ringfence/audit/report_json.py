"""A report for programs. ``docs/audit.md`` describes the fields."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from ringfence.audit.finding import Finding, Judged, Report, Result

SCHEMA = "ringfence.audit/1"
"""The number is raised when a field changes its meaning or goes away, not when one is added."""


def facts(report: Report) -> dict[str, Any]:
    """The report as values that JSON has."""
    return {
        "schema": SCHEMA,
        "ringfence": version("ringfence"),
        "target": report.target,
        "domain": report.domain,
        "places": list(report.places),
        "software": report.software,
        "started": datetime.fromtimestamp(report.started, UTC).isoformat(timespec="seconds"),
        "seconds": round(report.seconds, 1),
        "score": report.score,
        "good": not report.failed,
        "counts": {str(result): report.count(result) for result in Result},
        "remarks": list(report.remarks),
        "requirements": [_requirement(each) for each in report.judged],
    }


def _requirement(judged: Judged) -> dict[str, Any]:
    return {
        "number": judged.requirement.number,
        "name": judged.requirement.name,
        "demand": judged.requirement.demand,
        "score": judged.score,
        "result": str(judged.result),
        "findings": [_finding(each) for each in judged.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    probe = finding.probe
    return {
        "probe": probe.name,
        "title": probe.title,
        "result": str(finding.verdict.result),
        "detail": finding.verdict.detail,
        "weight": probe.weight,
        "clause": probe.clause,
        "meaning": probe.meaning,
        "fix": probe.fix._asdict(),
        "seconds": round(finding.seconds, 3),
        "evidence": [each._asdict() for each in finding.evidence],
        "left_out": finding.left_out,
    }
