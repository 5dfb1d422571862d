"""``ringfence caller``: who may call whom: what users have said of callers, and the owner's own word.

It works on the database, whether the node runs or not; a running node acts on it within a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer

from ringfence.cli.accounts import open_database, parse_address
from ringfence.cli.failure import Exit, Failure
from ringfence.cli.options import ConfigOption, JsonOption, load_config
from ringfence.cli.output import print_facts, print_json, print_table
from ringfence.guard.reputation import EVERYBODY, Handle, Reputation
from ringfence.roles.callers import handle_named
from ringfence.service.config import Config
from ringfence.store.ports import Store
from ringfence.store.records import Opinion

T = TypeVar("T")

PAGE = 1000
"""Opinions that are read at a time."""

caller = typer.Typer(help="Callers of other domains: who is refused, and who may call.", no_args_is_help=True)

Name = Annotated[
    str,
    typer.Argument(
        metavar="CALLER",
        help="sip:user@domain, tel:+number, domain:name, or address:ADDRESS for one who proves nothing.",
    ),
]
By = Annotated[
    str, typer.Option(metavar="AOR", help="The user whose word it is. Without: it holds for everybody.")
]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="For whoever reads the list.")]


@caller.command()
def report(
    name: Name, by: By = "", reason: Why = "", config: ConfigOption = None, json: JsonOption = False
) -> None:
    """Refuse a caller from now on."""
    _say(name, by, reason or "by the owner", config, json, wanted=False)


@caller.command()
def allow(
    name: Name, by: By = "", reason: Why = "", config: ConfigOption = None, json: JsonOption = False
) -> None:
    """Let a caller through, whatever the rule for strangers is, and whoever has reported it."""
    _say(name, by, reason or "by the owner", config, json, wanted=True)


@caller.command()
def forgive(name: Name, by: By = "", config: ConfigOption = None, json: JsonOption = False) -> None:
    """Forget what was said of a caller: by one user, or by all."""
    loaded = load_config(config)
    handle, callee = _handle(name), _callee(by, loaded) if by else ""

    async def work(people: Reputation, _store: Store) -> int:
        return sum([await people.forgive(each, callee) for each in handle.names])

    count = _run(loaded, work)
    if not count:
        raise Failure(Exit.NO, f"nobody has said anything of {name}", "see ringfence caller list")
    facts = {"caller": handle.names[0], "forgotten": count}
    print_json(facts) if json else print_facts(facts)


@caller.command(name="list")
def show(by: By = "", config: ConfigOption = None, json: JsonOption = False) -> None:
    """List what was said of callers, and until when it holds."""
    loaded = load_config(config)
    callee = _callee(by, loaded) if by else ""

    async def work(_people: Reputation, store: Store) -> list[Opinion]:
        found: list[Opinion] = []
        after = ("", "")
        while page := store.opinions.list(time.time(), after, PAGE):
            found += page
            after = (page[-1].caller, page[-1].callee)
        return found

    opinions = [each for each in _run(loaded, work) if not callee or each.callee == callee]
    if json:
        print_json([_facts(each) for each in opinions])
        return
    columns = ("caller", "callee", "opinion", "until", "reason")
    print_table(columns, [[str(_facts(each)[column]) for column in columns] for each in opinions])


def _say(name: str, by: str, reason: str, config: Any, json: bool, *, wanted: bool) -> None:
    loaded = load_config(config)
    handle, callee = _handle(name), _callee(by, loaded)

    async def work(people: Reputation, _store: Store) -> None:
        say = people.allow if wanted else people.report
        await say(handle, callee, time.time(), reason)

    _run(loaded, work)
    facts = {"caller": handle.names[0], "callee": callee, "opinion": _word(wanted)}
    print_json(facts) if json else print_facts(facts)


def _run(config: Config, work: Callable[[Reputation, Store], Awaitable[T]]) -> T:
    from ringfence.service.identity import make_strangers  # the roles: 0.05 s that other commands save

    async def with_database() -> T:
        async with open_database(config) as database:
            return await work(make_strangers(config, database).reputation, database)

    return asyncio.run(with_database())


def _handle(name: str) -> Handle:
    try:
        return handle_named(name)
    except ValueError as error:
        fix = "write sip:user@domain, tel:+number, domain:name or address:ADDRESS"
        raise Failure(Exit.BAD_DATA, f"{name} is no caller: {error}", fix) from None


def _callee(by: str, config: Config) -> str:
    return parse_address(by, config).aor if by else EVERYBODY


def _facts(opinion: Opinion) -> dict[str, str]:
    return {
        "caller": opinion.caller,
        "callee": "everybody" if opinion.callee == EVERYBODY else opinion.callee,
        "opinion": _word(opinion.wanted),
        "until": time.strftime("%Y-%m-%d", time.gmtime(opinion.expires_at)),
        "reason": opinion.reason,
    }


def _word(wanted: bool) -> str:
    return "wanted" if wanted else "unwanted"
