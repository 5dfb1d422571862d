"""Run SIPp: scenarios are files in sipp/, where ``<include file="x.xml"/>`` stands for the elements of x.xml."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop.node import Node, password_of
from tests.interop.processes import HOST, Program, eventually, free_port

SCENARIOS = Path(__file__).parent / "sipp"
SECONDS = 60
"""For one run; a good one takes three."""

CALLS = 200
RATE = 100
"""Calls a second: a tenth of what the node can do, so that only mistakes make calls fail."""


@dataclass(frozen=True)
class Outcome:
    """What one SIPp counted at its end."""

    created: int
    successful: int
    failed: int
    retransmissions: int


class Sipp:
    """One SIPp, caller or callee, that ends by itself after ``calls`` calls."""

    def __init__(
        self,
        node: Node,
        scenario: str,
        directory: Path,
        transport: str,
        *,
        port: int,
        calls: int = CALLS,
        caller: str | None = None,
        callee: str = "",
        contact: int | None = None,
        expires: int = 600,
    ) -> None:
        """Start it.

        Args:
            node: where requests go.
            scenario: the name of a file without its ``.xml``.
            directory: for its files.
            transport: ``udp`` or ``tcp``.
            port: its own.
            calls: after how many it ends.
            caller: the user who calls; None: it waits for calls.
            callee: the user called.
            contact: the port to register; its own unless given.
            expires: seconds for which to register it.
        """
        self.directory = directory / f"{scenario}-{port}"
        self.directory.mkdir(parents=True)
        self.calls = calls
        self.scenario = scenario
        (self.directory / "scenario.xml").write_text(_included(f"{scenario}.xml"), encoding="utf-8")
        target = f"{callee}@{node.domain}" if callee else node.domain
        words = [
            "-sf", "scenario.xml", "-i", HOST, "-p", str(port), "-t", f"{transport[0]}1", "-m", str(calls),
            "-nostdin", "-timeout", f"{SECONDS}s", "-timeout_error", "-default_behaviors", "all,-bye",
            "-trace_stat", "-stf", "statistics.csv", "-trace_err", "-error_file", "errors.log",
        ]  # fmt: skip
        if caller is not None:
            credentials = f"[authentication username={caller} password={password_of(caller)}]"
            (self.directory / "callers.csv").write_text(f"SEQUENTIAL\n{caller};{credentials}\n")
            words += [
                f"{HOST}:{node.listen[transport]}",
                "-inf",
                "callers.csv",
                "-r",
                str(RATE),
                "-l",
                str(calls),
            ]
            words += ["-auth_uri", target, "-key", "callee", callee, "-key", "domain", node.domain]
            words += ["-key", "contact", str(contact or port), "-key", "expires", str(expires)]
        self.program = Program(["sipp", *words], self.directory)

    def wait(self) -> Outcome:
        """Let it end and see that it counted every call as good."""
        code = self.program.wait(SECONDS + 10)
        with (self.directory / "statistics.csv").open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter=";"))
        names = ("TotalCallCreated", "SuccessfulCall(C)", "FailedCall(C)", "Retransmissions(C)")
        outcome = Outcome(*(int(rows[-1][name]) for name in names))
        errors = self.directory / "errors.log"
        said = errors.read_text(encoding="utf-8", errors="replace")[:3000] if errors.exists() else ""
        assert code == 0, f"{self.scenario}: {outcome}\n{said}"
        assert (outcome.successful, outcome.failed) == (self.calls, 0), f"{self.scenario}: {outcome}\n{said}"
        return outcome


def _included(name: str) -> str:
    text = (SCENARIOS / name).read_text(encoding="utf-8")
    return re.sub(r'<include file="([a-z_]+\.xml)"/>', lambda match: _included(match[1]), text)


@contextmanager
def registered(node: Node, user: str, directory: Path, transport: str, port: int) -> Iterator[None]:
    """While the block runs, ``port`` is a contact of the user."""

    def register(expires: int) -> None:
        own = free_port()
        Sipp(
            node, "register", directory, transport,
            port=own, calls=1, caller=user, contact=port, expires=expires,
        ).wait()  # fmt: skip

    register(600)
    try:
        yield
    finally:
        register(0)


def wait_for_port(port: int) -> None:
    """Wait until something is bound to a UDP or TCP port of this machine."""
    number = f":{port:04X} "

    def bound() -> bool:
        tables = (Path(f"/proc/net/{name}").read_text(encoding="ascii") for name in ("udp", "tcp"))
        return any(number in line.partition(": ")[2][:22] for table in tables for line in table.splitlines())

    eventually(bound, f"port {port} is open")
