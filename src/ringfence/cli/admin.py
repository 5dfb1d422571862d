"""``ringfence admin``: who may sign in to run the domain, and what they may do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ringfence.cli.accounts import GENERATED, open_database, read_password
from ringfence.cli.failure import Exit, Failure
from ringfence.cli.options import ConfigOption, JsonOption, load_config
from ringfence.cli.output import print_facts, print_json, print_table
from ringfence.cli.user import Password
from ringfence.service.config import Config
from ringfence.store.passwords import hash_password
from ringfence.store.records import Administrator, AdministratorRole

if TYPE_CHECKING:
    from ringfence.store.database import Database

T = TypeVar("T")

admin = typer.Typer(
    help="Who may sign in to run the domain: owners, operators, auditors, billing.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the administrator.")]
ROLES = "owner: everything. operator: accounts and bans. billing: calls and credit. auditor: reads, changes nothing."
Role = Annotated[AdministratorRole, typer.Option(help=ROLES)]


@admin.command()
def add(
    name: Name,
    role: Role = AdministratorRole.AUDITOR,
    password: Password = GENERATED,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Add an administrator. The password is made here and shown once, unless another source is named."""
    loaded = load_config(config)
    secret, made = read_password(password, name)
    administrator = Administrator(name, hash_password(secret), role, time.time())
    _run(loaded, lambda database: database.administrators.add(administrator))
    _tell({"name": name, "role": str(role)} | ({"password": secret} if made else {}), json)


@admin.command("list")
def list_administrators(config: ConfigOption = None, json: JsonOption = False) -> None:
    """List the administrators, and what each may do."""
    found = _run(load_config(config), lambda database: database.administrators.list())
    facts = [
        {
            "name": each.name,
            "role": str(each.role),
            "may": sorted(map(str, each.role.permissions)),
            "since": datetime.fromtimestamp(each.created, UTC).isoformat(timespec="seconds"),
        }
        for each in found
    ]
    if json:
        print_json(facts)
    else:
        print_table(("name", "role", "may", "since"), [tuple(each.values()) for each in facts])


@admin.command()
def role(
    name: Name,
    new: Annotated[AdministratorRole, typer.Argument(metavar="ROLE", help=ROLES)],
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Give an administrator another role."""

    async def change(database: Database) -> None:
        administrator = await _found(database, name)
        if administrator.role is AdministratorRole.OWNER and new is not AdministratorRole.OWNER:
            await _keep_an_owner(database, name)
        await database.administrators.update(replace(administrator, role=new))

    _run(load_config(config), change)
    _tell({"name": name, "role": str(new)}, json)


@admin.command()
def passwd(
    name: Name, password: Password = GENERATED, config: ConfigOption = None, json: JsonOption = False
) -> None:
    """Give an administrator a new password."""
    loaded = load_config(config)
    secret, made = read_password(password, name)

    async def change(database: Database) -> None:
        administrator = await _found(database, name)
        await database.administrators.update(replace(administrator, password_hash=hash_password(secret)))

    _run(loaded, change)
    _tell({"name": name} | ({"password": secret} if made else {}), json)


@admin.command()
def remove(name: Name, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Remove an administrator. The last owner stays."""

    async def change(database: Database) -> None:
        if (await _found(database, name)).role is AdministratorRole.OWNER:
            await _keep_an_owner(database, name)
        await database.administrators.remove(name)

    _run(load_config(config), change)
    _tell({"name": name, "removed": True}, json)


async def _found(database: Database, name: str) -> Administrator:
    administrator = await database.administrators.find(name)
    if administrator is None:
        raise Failure(Exit.NO, f"there is no administrator {name}", "see ringfence admin list")
    return administrator


async def _keep_an_owner(database: Database, name: str) -> None:
    owners = [
        each.name for each in await database.administrators.list() if each.role is AdministratorRole.OWNER
    ]
    if owners == [name]:
        raise Failure(
            Exit.NO, f"{name} is the last owner", "make another one first: ringfence admin add --role owner"
        )


def _run(config: Config, work: Callable[[Database], Awaitable[T]]) -> T:
    async def run() -> T:
        async with open_database(config) as database:
            return await work(database)

    return asyncio.run(run())


def _tell(facts: dict[str, Any], json: bool) -> None:
    if json:
        print_json(facts)
    else:
        print_facts(facts)
