"""``ringfence user import`` and ``rotate``: many accounts at once."""

from __future__ import annotations

import asyncio
import csv
import os
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from ringfence.cli.accounts import credentials, generate_password, open_database, parse_address, user_of
from ringfence.cli.failure import Exit, Failure
from ringfence.cli.options import ConfigOption, JsonOption, load_config
from ringfence.cli.output import print_facts, print_json, remark
from ringfence.cli.subscribers import Subscriber, read_subscribers
from ringfence.cli.user import user
from ringfence.security.digest import Algorithm, make_ha1
from ringfence.service.config import Config
from ringfence.store.records import HA1_LENGTHS, Account

if TYPE_CHECKING:
    from ringfence.store.database import Database

BATCH = 500
"""Accounts in one transaction."""

DAY = 86_400.0


_ALGORITHMS = {HA1_LENGTHS[each]: each for each in (Algorithm.MD5, Algorithm.SHA_256)}
"""Of ha1, by its digits: Kamailio has these two (parameter ``algorithm`` of its module auth)."""


@dataclass(slots=True)
class _Import:
    """What comes of the rows."""

    accounts: list[Account] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    md5_only: int = 0


@user.command("import")
def import_accounts(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="sqlite:////path/kamailio.sqlite, another SQL URL, a CSV file or a dump in SQL.",
        ),
    ],
    allow_md5: Annotated[
        bool, typer.Option("--allow-md5", help="Also store MD5 where the password is known.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Take accounts over from Kamailio's table subscriber. Accounts that are here already stay as they are.

    Where the password is known, it is stored as SHA-512-256 and SHA-256. Where only ha1 is, the account knows what that
    was made by, MD5 mostly, until it gets a new password.
    """
    loaded = load_config(config)
    rows = read_subscribers(source)
    made = asyncio.run(_import(loaded, rows, md5=allow_md5, store=not dry_run))
    facts: dict[str, object] = {
        "imported": len(made.accounts),
        "md5 only": made.md5_only,
        **{f"skipped: {reason}": number for reason, number in sorted(made.skipped.items())},
    }
    if dry_run:
        facts = {"dry run": "nothing was stored", **facts}
    if json:
        print_json(facts)
    else:
        print_facts(facts)
    if made.md5_only:
        remark(_about_md5(loaded, made.md5_only))


def _about_md5(config: Config, number: int) -> str:
    offered = Algorithm.MD5 in config.security.algorithms or any(
        Algorithm.MD5 in each.algorithms for each in config.listen
    )
    text = (
        f"Accounts that know MD5 only: {number}. MD5 can be broken; give them new passwords: "
        "ringfence user rotate --md5-only"
    )
    where = f'; until then they need "MD5" in security.algorithms, or in those of a port, in {config.file}'
    return text if offered else text + where


async def _import(config: Config, rows: Iterable[Subscriber], *, md5: bool, store: bool) -> _Import:
    made = _Import()
    async with open_database(config) as database:
        seen: set[str] = set()
        for row in rows:
            account = _account(config, database, row, made, md5=md5)
            if account is None:
                continue
            if account.aor in seen:
                made.skipped["twice in the source"] += 1
                continue
            seen.add(account.aor)
            made.accounts.append(account)
            made.md5_only += set(account.credentials) == {"MD5"}
        if store:
            for start in range(0, len(made.accounts), BATCH):
                await database.accounts.add_all(made.accounts[start : start + BATCH])
    return made


def _account(
    config: Config, database: Database, row: Subscriber, made: _Import, *, md5: bool
) -> Account | None:
    domain = row.domain.lower() or config.domain.name
    if domain not in config.domains:
        made.skipped["not of a domain here"] += 1
        return None
    try:
        uri = parse_address(f"{row.username}@{domain}", config)
    except Failure:
        made.skipped["no user name of an address"] += 1
        return None
    name = user_of(uri)
    if (
        database.accounts.by_aor(uri.aor) is not None
        or database.accounts.find(name, config.realm) is not None
    ):
        made.skipped["here already"] += 1
        return None
    ha1 = row.ha1.strip().lower()
    kind = _ALGORITHMS.get(len(ha1)) if not set(ha1) - set("0123456789abcdef") else None
    realm = row.domain or config.realm
    proved = kind is None or make_ha1(row.username, realm, row.password, kind) == ha1
    if row.password and proved:
        stored = credentials(name, config, row.password, md5=md5)
    elif kind is not None and domain == config.realm and name == row.username:
        stored = {str(kind): ha1}
    else:
        made.skipped["no password, and ha1 is none for the realm"] += 1
        return None
    now = time.time()
    return Account(uri.aor, name, config.realm, stored, created=now, updated=now)


# -- new passwords ---------------------------------------------------------------------------------------


@user.command()
def rotate(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where the new passwords are written: CSV.")
    ],
    md5_only: Annotated[bool, typer.Option("--md5-only", help="Of accounts that know MD5 only.")] = False,
    older: Annotated[
        int,
        typer.Option("--older", min=0, metavar="DAYS", help="Of accounts that have not changed for so long."),
    ] = 0,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Give many accounts new passwords, SHA-512-256 and SHA-256. Phones have to be told them."""
    if not md5_only and not older:
        raise Failure(Exit.USAGE, "all accounts would get new passwords", "say --md5-only, or --older DAYS")
    loaded = load_config(config)
    with open(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        changed = asyncio.run(_rotate(loaded, file, md5_only=md5_only, before=time.time() - older * DAY))
    facts = {"changed": changed, "passwords": str(output)}
    if json:
        print_json(facts)
    else:
        print_facts(facts)


async def _rotate(config: Config, file: TextIO, *, md5_only: bool, before: float) -> int:
    writer = csv.writer(file)
    writer.writerow(("aor", "user", "realm", "password"))
    changed = 0
    async with open_database(config) as database:
        after = ""
        while page := database.accounts.list(after):
            for account in page:
                if (md5_only and set(account.credentials) != {"MD5"}) or account.updated > before:
                    continue
                password = generate_password()
                stored = credentials(account.user, config, password, md5=False)
                writer.writerow((account.aor, account.user, config.realm, password))
                file.flush()  # before it counts: whoever kills us must not lock anybody out
                now = time.time()
                await database.accounts.update(
                    replace(account, realm=config.realm, credentials=stored, updated=now)
                )
                changed += 1
            after = page[-1].aor
    return changed
