"""``ringfence user privacy``: what is kept private of a user whose phones can't ask for it, and who may call it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Annotated, Any

import typer

from ringfence.cli.accounts import open_database, parse_address
from ringfence.cli.failure import Exit, Failure
from ringfence.cli.options import ConfigOption, JsonOption, load_config
from ringfence.cli.output import print_facts, print_json
from ringfence.cli.user import Address, user
from ringfence.security.privacy import LEVELS
from ringfence.service.config import Config
from ringfence.store.records import Account, Rights


@user.command()
def privacy(
    aor: Address,
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep",
            metavar="WHAT",
            help='What is kept private of its calls: header, session, user, id, history, with commas; "" for nothing.',
        ),
    ] = None,
    reject_anonymous: Annotated[
        bool | None,
        typer.Option(
            "--reject-anonymous/--accept-anonymous", help="Whether callers without a name get 433 (RFC 5079)."
        ),
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show or change the privacy of an account. A phone that says what it wants itself, or none, is obeyed.

    For calls to it, it holds from the next registration of its phones.
    """
    loaded = load_config(config)
    uri = parse_address(aor, loaded)
    wanted = None if keep is None else _values(keep)
    rights = asyncio.run(_change(loaded, uri.aor, wanted, reject_anonymous))
    facts: dict[str, Any] = {"aor": uri.aor, "reject_anonymous": rights.reject_anonymous}
    kept = sorted(rights.privacy)
    if json:
        print_json(facts | {"keep": kept})
    else:
        print_facts(facts | {"keep": ", ".join(kept) or "nothing"})


def _values(text: str) -> frozenset[str]:
    values = frozenset(each.strip().lower() for each in text.split(",") if each.strip())
    unknown = sorted(values - LEVELS)
    if unknown:
        known = ", ".join(sorted(LEVELS))
        raise Failure(Exit.USAGE, f"no such privacy: {', '.join(unknown)}", f"there are {known}")
    return values


async def _change(config: Config, aor: str, keep: frozenset[str] | None, reject: bool | None) -> Rights:
    async with open_database(config) as database:
        account = database.accounts.by_aor(aor)
        if not isinstance(account, Account):
            raise Failure(Exit.NO, f"there is no account {aor}", "see ringfence user list")
        rights = replace(
            account.rights,
            privacy=account.rights.privacy if keep is None else keep,
            reject_anonymous=account.rights.reject_anonymous if reject is None else reject,
        )
        if rights != account.rights:
            await database.accounts.update(replace(account, rights=rights, updated=time.time()))
        return rights
