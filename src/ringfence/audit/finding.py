"""What an audit says: a probe, what it found, and the messages that show it.

A probe asks one question. Its finding is *pass*, *weak* (it holds, with less than it could), *fail*, or *not
observable* with the reason. Nothing is guessed: what could not be seen takes no part in the score.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ringfence.audit.site import Site


class Result(StrEnum):
    """What a probe found."""

    PASS = "pass"  # noqa: S105  (not a password)
    WEAK = "weak"
    FAIL = "fail"
    UNSEEN = "not observable"


WORTH = {Result.PASS: 1.0, Result.WEAK: 0.5, Result.FAIL: 0.0}
"""Of one finding, of its probe's weight."""


class Verdict(NamedTuple):
    """What a probe says of a server, with the detail for people."""

    result: Result
    detail: str


def passed(detail: str) -> Verdict:
    """The requirement holds here."""
    return Verdict(Result.PASS, detail)


def weak(detail: str) -> Verdict:
    """It holds, with less than it could."""
    return Verdict(Result.WEAK, detail)


def failed(detail: str) -> Verdict:
    """It does not hold."""
    return Verdict(Result.FAIL, detail)


def unseen(reason: str) -> Verdict:
    """It could not be seen, and why."""
    return Verdict(Result.UNSEEN, reason)


class Fix(NamedTuple):
    """The line of configuration that mends it, for three servers."""

    ringfence: str
    kamailio: str
    asterisk: str


@dataclass(frozen=True, slots=True)
class Probe:
    """One question to a server."""

    name: str
    """Stable, for programs: lower case with hyphens, unique in the audit."""
    title: str
    clause: str
    """Such as "RFC 3261 section 22.1"."""
    meaning: str
    """What it means for the owner when it fails."""
    fix: Fix
    ask: Callable[[Site], Awaitable[Verdict]]
    weight: int = 1
    """1 for good practice, 2 for what the standard demands or an attacker likes, 3 for an open door."""
    loud: int = 0
    """When it comes: 0 with the others, 1 after them, 2 since a guard may answer it with a ban, 3 at the very end."""
    proves_guard: bool = False
    """A ban of the auditor is what it asks for."""


class Requirement(NamedTuple):
    """One of the nine, with its probes."""

    number: int
    name: str
    demand: str
    """The paper's words, shortened."""
    probes: tuple[Probe, ...]


class Shown(NamedTuple):
    """One message as evidence, redacted. ``seconds`` are from the start of the probe."""

    seconds: float
    outward: bool
    place: str
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A probe, its verdict and the evidence."""

    probe: Probe
    verdict: Verdict
    evidence: tuple[Shown, ...] = ()
    left_out: int = 0
    """Messages that were exchanged besides."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Judged:
    """A requirement with its findings."""

    requirement: Requirement
    findings: tuple[Finding, ...]

    @property
    def score(self) -> int | None:
        """From 0 to 100; None when nothing of it could be seen."""
        return score(self.findings)

    @property
    def result(self) -> Result:
        """The worst of what was seen."""
        return worst(finding.verdict.result for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Report:
    """All of an audit. ``started`` is in seconds since 1970."""

    target: str
    domain: str
    places: tuple[str, ...]
    started: float
    seconds: float
    judged: tuple[Judged, ...]
    software: str = ""
    """What the server says that it is."""
    remarks: tuple[str, ...] = field(default=())

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Of all requirements, in order."""
        return tuple(finding for each in self.judged for finding in each.findings)

    @property
    def score(self) -> int | None:
        """The mean of the requirements that have one: each counts the same, however many probes it has."""
        scores = [each.score for each in self.judged if each.score is not None]
        return round(sum(scores) / len(scores)) if scores else None

    @property
    def failed(self) -> bool:
        """Whether anything has failed."""
        return any(finding.verdict.result is Result.FAIL for finding in self.findings)

    @property
    def weak(self) -> bool:
        """Whether anything is weak."""
        return any(finding.verdict.result is Result.WEAK for finding in self.findings)

    def count(self, result: Result) -> int:
        """How many findings have this result."""
        return sum(finding.verdict.result is result for finding in self.findings)


def score(findings: Iterable[Finding]) -> int | None:
    """The share of the weights that holds, in percent; None when nothing was seen."""
    seen = [each for each in findings if each.verdict.result is not Result.UNSEEN]
    total = sum(each.probe.weight for each in seen)
    if not total:
        return None
    held = sum(each.probe.weight * WORTH[each.verdict.result] for each in seen)
    return int(100 * held / total)  # downwards: 100 says that all of it holds


def worst(results: Iterable[Result]) -> Result:
    """The worst result; not observable when there is no other."""
    found = set(results)
    order = (Result.FAIL, Result.WEAK, Result.PASS)
    return next((each for each in order if each in found), Result.UNSEEN)
