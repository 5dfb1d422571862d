"""``ringfence check``: is this configuration right, and is it secure?"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.text import Text

from ringfence.cli.failure import Exit
from ringfence.cli.options import ConfigOption, JsonOption, find_config
from ringfence.cli.output import console, print_json
from ringfence.service.checks import examine
from ringfence.service.config import Config
from ringfence.service.finding import Finding, Severity
from ringfence.service.identity_checks import unsigned_accounts
from ringfence.service.problems import ConfigError
from ringfence.service.template import reference


def check(
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    show_reference: Annotated[
        bool, typer.Option("--reference", help="Print every key with its meaning and default, and end.")
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Check a configuration and the security that follows from it. Exit code 1 when something is wrong."""
    if show_reference:
        console().print(reference(), markup=False, end="")
        return
    try:
        loaded = Config.load(find_config(config))
        findings = [*examine(loaded), *asyncio.run(unsigned_accounts(loaded))]
    except ConfigError as error:
        findings = [Finding(Severity.ERROR, problem) for problem in error.problems]
    wrong = any(strict or finding.severity is Severity.ERROR for finding in findings)
    if json:
        shown = [{"severity": severity, **problem._asdict()} for severity, problem in findings]
        print_json({"good": not wrong, "findings": shown})
    else:
        _show(findings)
    if wrong:
        raise typer.Exit(Exit.NO)


def _show(findings: list[Finding]) -> None:
    for severity, problem in findings:
        style = "bold red" if severity is Severity.ERROR else "yellow"
        console().print(Text.assemble((f"{severity}: ", style), str(problem)))
    errors = sum(severity is Severity.ERROR for severity, _ in findings)
    warnings = len(findings) - errors
    console().print(f"{errors} errors, {warnings} warnings" if findings else "Nothing to remark on.")
