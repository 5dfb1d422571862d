"""What a rule of `ringfence check` finds: an error or a warning about one key, with its line and what to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from cryptography import x509

from ringfence.service.config import Config
from ringfence.service.lines import KeyPath
from ringfence.service.problems import Problem

DAY = 86_400.0
EXPIRY_WARNING = 21 * DAY
"""Seconds. Three weeks: a holiday passes, and a certificate is renewed in time."""


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"


class Finding(NamedTuple):
    """One thing that a rule found."""

    severity: Severity
    problem: Problem


Rule = Callable[[Config], Iterator[Finding]]


def error(config: Config, key: KeyPath, reason: str, fix: str) -> Finding:
    """Something that does not work, or lets in or gives away what it must not."""
    return Finding(Severity.ERROR, config.problem(key, reason, fix))


def warning(config: Config, key: KeyPath, reason: str, fix: str) -> Finding:
    """Something that the owner should know to have chosen."""
    return Finding(Severity.WARNING, config.problem(key, reason, fix))


def ends_soon(chain: Sequence[x509.Certificate]) -> float:
    """How many seconds before its end a chain wants attention: three weeks, or a quarter of a shorter life."""
    leaf = chain[0]
    return min(EXPIRY_WARNING, (leaf.not_valid_after_utc - leaf.not_valid_before_utc).total_seconds() / 4)


def expiry(config: Config, key: KeyPath, path: Path, chain: Sequence[x509.Certificate]) -> Iterator[Finding]:
    """Whether a chain has expired, or will soon."""
    left = min(each.not_valid_after_utc.timestamp() for each in chain) - time.time()
    acme = key[:1] == ("acme",)
    fix = f"run ringfence cert {'acme' if acme else 'renew'}, or put a new one there"
    if left < 0:
        yield error(config, key, f"{path} has expired", fix)
    elif left < ends_soon(chain):
        yield warning(config, key, f"{path} expires in {left / DAY:.0f} days", fix)
