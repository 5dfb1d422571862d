"""``ringfence user``: the accounts of the domain."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import replace
from inspect import isawaitable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ringfence.cli.accounts import (
    GENERATED,
    credentials,
    open_database,
    parse_address,
    read_password,
    user_of,
)
from ringfence.cli.failure import Exit, Failure
from ringfence.cli.options import ConfigOption, JsonOption, load_config
from ringfence.cli.output import console, print_facts, print_json, print_table
from ringfence.service.config import Config
from ringfence.store.records import Account, Rights

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ringfence.store.database import Database

T = TypeVar("T")

PAGE = 1000
"""Accounts that are read at a time."""

user = typer.Typer(help="The accounts of the domain: who may call, and what.", no_args_is_help=True)

Address = Annotated[str, typer.Argument(metavar="AOR", help="sip:user@domain, user@domain, or user.")]
Password = Annotated[
    str,
    typer.Option(
        metavar="SOURCE",
        help='"generated" (shown once), "prompt", or "-": a line of standard input.',
    ),
]
AllowMd5 = Annotated[
    bool, typer.Option("--allow-md5", help="Also store what old phones need: MD5 can be broken.")
]
Allow = Annotated[
    list[str] | None, typer.Option(metavar="PREFIX", help='May call what begins so: "tel:+358".')
]
Deny = Annotated[list[str] | None, typer.Option(metavar="PREFIX", help="May not call what begins so.")]
MaxCalls = Annotated[int | None, typer.Option(min=0, help="Calls at a time.")]
MaxRegistrations = Annotated[int | None, typer.Option(min=0, help="Phones at a time.")]

MaxSeconds = Annotated[int | None, typer.Option(min=0, help="Seconds of one call.")]


@user.command()
def add(
    aor: Address,
    password: Password = GENERATED,
    display_name: Annotated[str, typer.Option(help="The name that is shown.")] = "",
    alias: Annotated[
        list[str] | None, typer.Option(metavar="AOR", help="Another address of the user.")
    ] = None,
    allow: Allow = None,
    deny: Deny = None,
    max_calls: MaxCalls = None,
    max_registrations: MaxRegistrations = None,
    allow_md5: AllowMd5 = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Add an account. Its password is made here and shown once, unless another source is named."""
    loaded = load_config(config)
    uri = parse_address(aor, loaded)
    name = user_of(uri)
    secret, made = read_password(password, uri.aor)
    now = time.time()
    account = Account(
        uri.aor,
        name,
        loaded.realm,
        credentials(name, loaded, secret, md5=allow_md5),
        tuple(parse_address(each, loaded).aor for each in alias or ()),
        _rights(Rights(), allow, deny, max_calls, max_registrations),
        display_name,
        created=now,
        updated=now,
    )
    _run(loaded, lambda database: database.accounts.add(account))
    facts: dict[str, Any] = {"aor": account.aor, "user": name, "realm": loaded.realm}
    if made:
        facts["password"] = secret
    if json:
        print_json(facts)
    else:
        print_facts(facts)


@user.command("list")
def list_accounts(config: ConfigOption = None, json: JsonOption = False) -> None:
    """List the accounts, and how many phones of each are registered."""
    loaded = load_config(config)
    facts = _run(loaded, _all_facts)
    if json:
        print_json(facts)
        return
    columns = ("aor", "display_name", "phones", "max_calls", "allow", "deny", "algorithms", "disabled")
    print_table(
        [name.replace("_", " ") for name in columns],
        [
            [each[name] if name != "disabled" else "yes" if each[name] else "" for name in columns]
            for each in facts
        ],
    )


@user.command()
def remove(
    aor: Address,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Remove an account and its registrations."""
    loaded = load_config(config)
    uri = parse_address(aor, loaded)
    if not yes and sys.stdin.isatty() and not typer.confirm(f"Remove {uri.aor} and its registrations?"):
        raise Failure(Exit.NO, "nothing was removed")
    _run(loaded, lambda database: database.accounts.remove(uri.aor))
    _tell({"aor": uri.aor, "removed": True}, f"{uri.aor} is removed.", json)


@user.command()
def passwd(
    aor: Address,
    password: Password = GENERATED,
    allow_md5: AllowMd5 = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Give an account a new password. MD5 has to be allowed anew."""
    loaded = load_config(config)
    uri = parse_address(aor, loaded)
    secret, made = read_password(password, uri.aor)

    def change(account: Account) -> Account:
        stored = credentials(account.user, loaded, secret, md5=allow_md5)
        return replace(account, realm=loaded.realm, credentials=stored)

    account = _run(loaded, lambda database: _update(database, uri.aor, change))
    facts = {"aor": account.aor, "user": account.user, "algorithms": sorted(account.credentials)}
    if made:
        facts["password"] = secret
    if json:
        print_json(facts)
    else:
        print_facts(facts)


@user.command()
def limit(
    aor: Address,
    allow: Allow = None,
    deny: Deny = None,
    max_calls: MaxCalls = None,
    max_registrations: MaxRegistrations = None,
    max_seconds: MaxSeconds = None,
    prepaid: Annotated[
        bool | None, typer.Option("--prepaid/--postpaid", help="Whether its calls need credit.")
    ] = None,
    disabled: Annotated[
        bool | None, typer.Option("--disable/--enable", help="Whether it may do anything.")
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show or change what an account may do. --allow and --deny replace the prefixes there were."""
    loaded = load_config(config)
    uri = parse_address(aor, loaded)

    def change(account: Account) -> Account:
        rights = _rights(account.rights, allow, deny, max_calls, max_registrations)
        rights = replace(
            rights,
            max_seconds=rights.max_seconds if max_seconds is None else max_seconds,
            prepaid=rights.prepaid if prepaid is None else prepaid,
        )
        return replace(account, rights=rights, disabled=account.disabled if disabled is None else disabled)

    account = _run(loaded, lambda database: _update(database, uri.aor, change))
    facts = _facts(account)
    if json:
        print_json(facts)
    else:
        print_facts(facts)


def _rights(
    rights: Rights,
    allow: list[str] | None,
    deny: list[str] | None,
    max_calls: int | None,
    max_registrations: int | None,
) -> Rights:
    return replace(
        rights,
        allow=rights.allow if allow is None else tuple(allow),
        deny=rights.deny if deny is None else tuple(deny),
        max_calls=rights.max_calls if max_calls is None else max_calls,
        max_registrations=rights.max_registrations if max_registrations is None else max_registrations,
    )


async def _update(database: Database, aor: str, change: Callable[[Account], Account]) -> Account:
    account = database.accounts.by_aor(aor)
    if account is None:
        raise Failure(Exit.NO, f"there is no account {aor}", "see ringfence user list")
    changed = change(account)
    if changed != account:
        changed = replace(changed, updated=time.time())
        await database.accounts.update(changed)
    return changed


async def _all_facts(database: Database) -> list[dict[str, Any]]:
    facts = []
    after = ""
    while page := database.accounts.list(after, PAGE):
        for account in page:
            found = database.bindings.lookup(account.aor, time.time())
            phones = len(await found if isawaitable(found) else found)
            facts.append(_facts(account) | {"phones": phones})
        after = page[-1].aor
    return facts


def _facts(account: Account) -> dict[str, Any]:
    return {
        "aor": account.aor,
        "user": account.user,
        "realm": account.realm,
        "display_name": account.display_name,
        "aliases": list(account.aliases),
        "allow": list(account.rights.allow),
        "deny": list(account.rights.deny),
        "max_calls": account.rights.max_calls,
        "max_registrations": account.rights.max_registrations,
        "max_seconds": account.rights.max_seconds,
        "prepaid": account.rights.prepaid,
        "algorithms": sorted(account.credentials, reverse=True),
        "disabled": account.disabled,
    }


def _run(config: Config, work: Callable[[Database], Awaitable[T]]) -> T:
    async def run() -> T:
        async with open_database(config) as database:
            return await work(database)

    return asyncio.run(run())


def _tell(facts: dict[str, Any], sentence: str, json: bool) -> None:
    if json:
        print_json(facts)
    else:
        console().print(sentence)
