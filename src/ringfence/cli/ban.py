"""``ringfence ban``: who is shut out, why, and until when.

A running node is asked, so that a ban holds at once; without one, or where it has workers, the database is changed, and
what runs on it follows within a second.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar

import typer

from ringfence.cli.accounts import open_database
from ringfence.cli.failure import Exit, Failure
from ringfence.cli.options import ConfigOption, JsonOption, load_config
from ringfence.cli.output import print_facts, print_json, print_table
from ringfence.service.config import Config
from ringfence.service.control import CommandError
from ringfence.service.control_client import NodeUnavailable, ask
from ringfence.store.ports import Store

T = TypeVar("T")

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}

ban = typer.Typer(help="Addresses and networks that nothing is taken from.", no_args_is_help=True)

Which = Annotated[
    str,
    typer.Argument(
        metavar="NETWORK", help="An address such as 192.0.2.7, or a network such as 192.0.2.0/24."
    ),
]


@ban.command()
def add(
    network: Which,
    duration: Annotated[
        str,
        typer.Option("--for", metavar="TIME", help="Such as 30m, 6h or 7d. Without: until it is removed."),
    ] = "",
    reason: Annotated[str, typer.Option(metavar="TEXT", help="For whoever reads the list.")] = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Shut an address or a network out. What it has open is closed."""
    arguments = {"network": network, "seconds": _seconds(duration), "reason": reason}

    async def work(store: Store) -> Any:
        from ringfence.service.guard import ban_facts, new_ban  # the roles: 0.05 s that other commands save

        made = new_ban(arguments, time.time())
        await store.bans.put(made)
        return ban_facts(made)

    facts = _do(load_config(config), "ban-add", arguments, work)
    print_json(facts) if json else print_facts(_shown(facts))


@ban.command()
def remove(network: Which, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Let a banned address or network in again; what it was banned for is forgotten."""

    async def work(store: Store) -> Any:
        from ringfence.service.guard import new_ban

        name = new_ban({"network": network}, 0.0).network
        if not await store.bans.remove(name):
            raise CommandError(f"{name} is not banned", "see ringfence ban list")
        return {"network": name, "removed": True}

    facts = _do(load_config(config), "ban-remove", {"network": network}, work)
    print_json(facts) if json else print_facts(facts)


@ban.command(name="list")
def show(config: ConfigOption = None, json: JsonOption = False) -> None:
    """List who is shut out now."""

    async def work(store: Store) -> Any:
        from ringfence.service.guard import ban_facts

        now = time.time()
        return [ban_facts(each) for each in store.bans.all() if each.holds(now)]

    found = _do(load_config(config), "ban-list", {}, work)
    found.sort(key=lambda each: each["since"])
    if json:
        print_json(found)
        return
    columns = ("network", "until", "reason", "by", "times")
    print_table(columns, [[str(_shown(each)[column]) for column in columns] for each in found])


def _do(
    config: Config, command: str, arguments: dict[str, Any], work: Callable[[Store], Awaitable[T]]
) -> Any:
    try:
        return ask(config.control_socket, command, **arguments)
    except NodeUnavailable:
        pass
    except CommandError as error:
        if not error.reason.startswith("unknown command"):  # the process that has workers knows none of bans
            raise

    async def with_database() -> T:
        async with open_database(config) as store:
            return await work(store)

    return asyncio.run(with_database())


def _seconds(text: str) -> float:
    if not text:
        return 0.0
    found = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)([smhd]?)", text.strip().lower())
    if found is None or not float(found[1]):
        raise Failure(Exit.USAGE, f"{text!r} is no time", "write 90s, 30m, 6h or 7d")
    return float(found[1]) * UNITS[found[2]]


def _shown(facts: dict[str, Any]) -> dict[str, Any]:
    """The same with times for people."""
    return facts | {"since": _time(facts["since"]), "until": _time(facts["until"])}


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "removed"
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M:%S}"
