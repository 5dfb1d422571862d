"""The nine requirements and their probes as a list: complete, unique, and with lines that really mend something."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from ringfence.audit.finding import Probe
from ringfence.audit.requirements import REQUIREMENTS
from ringfence.cli.app import COMMANDS, GROUPS
from ringfence.service.config import Config

PROBES = [probe for requirement in REQUIREMENTS for probe in requirement.probes]
CLAUSE = re.compile(r"(RFC \d{4}(,? section [\d.]+( step \d)?)?(, )?)+|(section|Rantapuska).*")
NEEDED = {"peer": 'domain = "example.net"', "listen": "port = 5061"}


def test_there_are_the_nine_requirements_of_the_paper() -> None:
    names = "Identification Anonymity Authorization Accounting Integrity Confidentiality Privacy"
    assert [each.number for each in REQUIREMENTS] == list(range(1, 10))
    assert [each.name for each in REQUIREMENTS] == [
        *names.split(),
        "Spam resistance",
        "Resistance to attacks",
    ]


def test_names_are_unique_and_can_be_typed() -> None:
    names = [probe.name for probe in PROBES]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in names)


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_a_probe_says_what_it_means_and_what_mends_it(probe: Probe) -> None:
    assert probe.meaning.endswith(".")
    assert CLAUSE.match(probe.clause), probe.clause
    assert all(probe.fix)
    assert 1 <= probe.weight <= 3
    assert 0 <= probe.loud <= 3


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_the_line_for_ringfence_is_one_that_it_reads(probe: Probe) -> None:
    line = probe.fix.ringfence
    if not line.startswith("["):
        commands = {command.__name__ for command in COMMANDS} | {name for name, _ in GROUPS}
        program, _, rest = line.partition(" ")
        assert (program == "ringfence" and rest.split()[0] in commands) or program == "chmod"
        return
    table, _, rest = line.partition("] ")
    name = '[domain]\nname = "example.org"\n'
    text = f"{name}{rest}\n" if table == "[domain" else f"{name}{table}]\n{rest}\n"
    values = tomllib.loads(text)
    Config.from_values(values, Path("ringfence.toml"))
