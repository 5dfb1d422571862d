"""``ringfence audit``: the nine requirements, put to a SIP server that you operate."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.text import Text

from ringfence.cli.accounts import credentials, generate_password, open_database
from ringfence.cli.audit_options import (
    Also,
    Burst,
    Domain,
    Evidence,
    Html,
    Junit,
    Only,
    Operated,
    PasswordFile,
    Rate,
    SecondPasswordFile,
    SecondUser,
    Strict,
    TargetArgument,
    Trust,
    User,
    Wait,
    WholeTime,
)
from ringfence.cli.failure import Exit, Failure
from ringfence.cli.options import ConfigOption, JsonOption, load_config
from ringfence.cli.output import console, print_json
from ringfence.cli.phone import read_password
from ringfence.message import LocalError
from ringfence.service.config import Config
from ringfence.service.control import CommandError
from ringfence.service.control_client import NodeUnavailable, ask

if TYPE_CHECKING:
    from ringfence.audit.finding import Probe, Report, Requirement
    from ringfence.audit.run import Progress
    from ringfence.audit.site import Login
    from ringfence.audit.target import Target

LOOPBACK_WAIT, NETWORK_WAIT = 1.0, 3.0
"""Seconds for an answer: on this machine it comes at once, elsewhere a datagram may be lost and sent again twice."""

RATE = 50.0
"""Messages a second: a small office makes as many."""

SECONDS = 300.0
"""For an audit of a server that answers slowly; of one that answers it takes a minute."""

NAMES = ("audit-caller", "audit-callee")
"""Accounts that are made for the time of an audit of our own node."""

SEEN_SECONDS = 3.0
"""In which a running node has seen a new account."""


def audit(
    target: TargetArgument = None,
    domain: Domain = None,
    also: Also = None,
    user: User = None,
    password_file: PasswordFile = None,
    second_user: SecondUser = None,
    second_password_file: SecondPasswordFile = None,
    trust: Trust = None,
    only: Only = None,
    rate: Rate = RATE,
    seconds: WholeTime = SECONDS,
    wait: Wait = None,
    burst: Burst = True,
    evidence: Evidence = False,
    html: Html = None,
    junit: Junit = None,
    operated: Operated = False,
    strict: Strict = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Audit a SIP server that you operate: nine requirements, scored, with evidence. Exit code 1 when one fails.

    Without TARGET it audits the node of the configuration, its ledger and keys too, with two accounts that are made for
    it and removed at the end.
    """
    import uvloop

    if target is None and user is not None:
        raise Failure(
            Exit.USAGE, "accounts of our own node are made by the audit", "leave out --user, or name a TARGET"
        )
    loaded = load_config(config) if target is None or config is not None else None
    logins = _logins(user, password_file, second_user, second_password_file)
    run = _Run(
        target, domain, tuple(also or ()), loaded, logins, tuple(trust or ()), rate, wait, burst, operated
    )
    report = uvloop.run(run.all(seconds, _chosen(only)))
    _write(report, html, junit)
    _show(report, evidence=evidence, json=json)
    if report.failed or (strict and report.weak):
        raise typer.Exit(Exit.NO)


class _Run:
    """One audit as it was asked for."""

    def __init__(
        self,
        target: str | None,
        domain: str | None,
        also: tuple[str, ...],
        config: Config | None,
        logins: tuple[Login, ...],
        trust: tuple[Path, ...],
        rate: float,
        wait: float | None,
        burst: bool,
        operated: bool,
    ) -> None:
        self.target, self.domain, self.also, self.config = target, domain, also, config
        self.logins, self.trust, self.rate = logins, trust, rate
        self.wait, self.burst, self.operated = wait, burst, operated

    async def all(self, seconds: float, requirements: tuple[Requirement, ...]) -> Report:
        """Find the server, ask whether it may be probed, and probe it."""
        found = await self._find()
        if self.target is not None and not found.loopback and not self.operated:
            _confirm(found)
        if self.config is not None and self.target is None:
            _is_serving(self.config)
            async with temporary_accounts(self.config) as logins:
                return await self._audit(found, logins, seconds, requirements)
        return await self._audit(found, self.logins, seconds, requirements)

    async def _find(self) -> Target:
        from ringfence.audit.target import find, of_config
        from ringfence.transport.resolver import Resolver

        if self.target is None:
            assert self.config is not None  # read in that case
            return of_config(self.config)
        resolver = Resolver()
        try:
            return await find(self.target, self.domain, self.also, resolver)
        except LocalError as error:
            code = Exit.UNAVAILABLE if "leads nowhere" in str(error) else Exit.USAGE
            raise Failure(
                code, str(error), "write sips:example.org, or sip:192.0.2.1:5060;transport=udp"
            ) from None
        finally:
            await resolver.close()

    async def _audit(
        self, found: Target, logins: tuple[Login, ...], seconds: float, requirements: tuple[Requirement, ...]
    ) -> Report:
        from ringfence.audit.line import Pace
        from ringfence.audit.run import Unreachable
        from ringfence.audit.run import audit as run
        from ringfence.audit.site import Site

        wait = self.wait or (LOOPBACK_WAIT if found.loopback else NETWORK_WAIT)
        site = Site(found, wait, Pace(self.rate), logins, self.config, trust=self.trust, burst=self.burst)
        with _progress() as progress:
            try:
                return await run(site, requirements, seconds=seconds, progress=progress)
            except Unreachable as error:
                raise Failure(
                    Exit.UNAVAILABLE, f"{found.text} does not answer: {error}", _reach(found)
                ) from None


def _reach(found: Target) -> str:
    if "transport=" in found.text.lower():
        return "see whether it runs there, and whether a firewall is in the way"
    return "name its port and transport: sip:HOST:PORT;transport=tls"


def _logins(
    user: str | None, password_file: Path | None, second: str | None, second_file: Path | None
) -> tuple[Login, ...]:
    from ringfence.audit.site import Login

    if second is not None and user is None:
        raise Failure(Exit.USAGE, "--second-user without --user", "name both")
    found = []
    for name, file in ((user, password_file), (second, second_file)):
        if name is not None:
            found.append(Login(name, read_password(file, name)))
    return tuple(found)


def _chosen(only: list[str] | None) -> tuple[Requirement, ...]:
    from ringfence.audit.requirements import REQUIREMENTS

    if not only:
        return REQUIREMENTS
    wanted = {each.lower() for each in only}
    known = {name for each in REQUIREMENTS for name in (str(each.number), each.name.lower())}
    if unknown := wanted - known:
        names = ", ".join(each.name.lower() for each in REQUIREMENTS)
        raise Failure(
            Exit.USAGE, f"there is no requirement {sorted(unknown)[0]}", f"they are 1 to 9: {names}"
        )
    return tuple(each for each in REQUIREMENTS if {str(each.number), each.name.lower()} & wanted)


def _confirm(found: Target) -> None:
    """Somebody else's server is not to be probed: have the name typed by whoever operates it."""
    import sys

    where = ", ".join(found.addresses)
    if not sys.stdin.isatty():
        raise Failure(
            Exit.USAGE, f"{found.text} ({where}) is not this machine", "if it is yours, add --i-operate-this"
        )
    text = f"{found.text} is {where}. The audit sends forged and malformed messages to it.\nDo so if it is yours."
    console().print(Text(text, "yellow"))
    if typer.prompt(f"Type {found.domain} if that is you").strip().lower() != found.domain:
        raise Failure(Exit.NO, "nothing was sent")


def _is_serving(config: Config) -> None:
    try:
        ask(config.control_socket, "status")
    except NodeUnavailable as error:
        raise Failure(
            Exit.UNAVAILABLE, error.reason, "start it with ringfence serve, or name a TARGET"
        ) from None


@asynccontextmanager
async def temporary_accounts(config: Config) -> AsyncIterator[tuple[Login, ...]]:
    """Two accounts on our own node, which are removed at the end, as is a ban that the audit has earned."""
    from ringfence.audit.site import Login
    from ringfence.store.records import Account

    logins = []
    made: list[str] = []
    before = _banned(config)
    async with open_database(config) as database:
        try:
            for name in NAMES:
                login = Login(name, generate_password())
                aor = f"sip:{name}@{config.domain.name}"
                if database.accounts.by_aor(aor) is not None:
                    await database.accounts.remove(aor)  # of an audit that was killed
                secrets = credentials(name, config, login.password, md5=False)
                await database.accounts.add(Account(aor, name, config.realm, secrets, created=time.time()))
                made.append(aor)
                logins.append(login)
            await asyncio.sleep(SEEN_SECONDS)
            yield tuple(logins)
        finally:
            for aor in made:
                await database.accounts.remove(aor)
            for network in _banned(config) - before:
                with suppress(CommandError, NodeUnavailable):
                    ask(config.control_socket, "ban-remove", network=network)


def _banned(config: Config) -> set[str]:
    try:
        return {each["network"] for each in ask(config.control_socket, "ban-list")}
    except (CommandError, NodeUnavailable):
        return set()  # a node without a guard


def _show(report: Report, *, evidence: bool, json: bool) -> None:
    if json:
        from ringfence.audit.report_json import facts

        print_json(facts(report))
    else:
        from ringfence.audit.report_text import render

        console().print(render(report, evidence=evidence))


def _write(report: Report, html: Path | None, junit: Path | None) -> None:
    if html is not None:
        from ringfence.audit.report_html import page

        html.write_text(page(report), encoding="utf-8")
    if junit is not None:
        from ringfence.audit.report_junit import junit as xml

        junit.write_bytes(xml(report))


class _progress:
    """A bar on a terminal, and nothing elsewhere."""

    def __enter__(self) -> Progress | None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        screen = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            console=screen,
            transient=True,
        )
        if not screen.is_terminal:
            return None
        self._bar.start()
        task = self._bar.add_task("", total=None)

        def show(number: int, total: int, requirement: Requirement, probe: Probe) -> None:
            title = f"{requirement.number} {requirement.name}: {probe.title}"
            self._bar.update(task, description=title, completed=number - 1, total=total)

        return show

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
