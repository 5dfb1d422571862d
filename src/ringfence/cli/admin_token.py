"""``ringfence admin token``: what programs show to the console's interface instead of a password."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ringfence.cli.accounts import open_database
from ringfence.cli.admin import admin
from ringfence.cli.options import ConfigOption, JsonOption, load_config
from ringfence.cli.output import print_facts, print_json, print_table
from ringfence.service.config import Config

if TYPE_CHECKING:
    from ringfence.store.database import Database

T = TypeVar("T")

DAY = 86_400.0

token = typer.Typer(help="Tokens for programs that use the interface of the console.", no_args_is_help=True)
admin.add_typer(token, name="token")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the token: what uses it.")]


@token.command()
def add(
    name: Name,
    administrator: Annotated[
        str, typer.Option("--for", metavar="ADMINISTRATOR", help="Whose rights it has.")
    ] = "admin",
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it holds.")] = 365,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Make a token. It is shown this once. It may do what its administrator may, as long as there is one."""
    from ringfence.console.tokens import new_token

    made, text = new_token(name, administrator, time.time(), days * DAY)
    _run(load_config(config), lambda database: database.tokens.add(made))
    facts = {"name": name, "administrator": administrator, "until": _moment(made.expires), "token": text}
    print_json(facts) if json else print_facts(facts)


@token.command("list")
def list_tokens(config: ConfigOption = None, json: JsonOption = False) -> None:
    """List the tokens, without what they are."""
    found = _run(load_config(config), lambda database: database.tokens.list())
    facts = [
        {
            "name": each.name,
            "administrator": each.administrator,
            "since": _moment(each.created),
            "until": _moment(each.expires),
            "expired": each.expires <= time.time(),
        }
        for each in found
    ]
    if json:
        print_json(facts)
    else:
        print_table(
            ("name", "administrator", "since", "until", "expired"), [tuple(each.values()) for each in facts]
        )


@token.command()
def remove(name: Name, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Remove a token. It is good for nothing at once."""
    _run(load_config(config), lambda database: database.tokens.remove(name))
    facts = {"name": name, "removed": True}
    print_json(facts) if json else print_facts(facts)


def _moment(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds")


def _run(config: Config, work: Callable[[Database], Awaitable[T]]) -> T:
    async def run() -> T:
        async with open_database(config) as database:
            return await work(database)

    return asyncio.run(run())
