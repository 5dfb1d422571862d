"""A program that uses the library sees nothing of our log, unless it asks."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import structlog
from ringfence.transport.quiet import quiet_unless_configured
{before}
quiet_unless_configured()
log = structlog.get_logger("ringfence.test")
log.info("ordinary", remote="192.0.2.1")
log.warning("grave", remote="192.0.2.1")
"""


def output(before: str = "") -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before)], capture_output=True, text=True, check=True
    )
    return done.stdout, done.stderr


def test_only_warnings_and_only_to_standard_error() -> None:
    told, errors = output()
    assert told == ""
    assert "grave" in errors
    assert "ordinary" not in errors


def test_one_who_asks_sees_all_by_the_name_of_the_logger() -> None:
    _, errors = output("import logging; logging.basicConfig(level=logging.INFO)")
    assert "INFO:ringfence.test:event='ordinary'" in errors
    assert "192.0.2.1" in errors


def test_a_configuration_of_ones_own_stays() -> None:
    told, errors = output("structlog.configure()")
    assert "ordinary" in told
    assert errors == ""
