"""``ringfence user credit`` and ``unblock``: the money of prepaid accounts, and those that have called too much."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from ringfence.cli.accounts import open_database, parse_address
from ringfence.cli.failure import Exit, Failure
from ringfence.cli.options import ConfigOption, JsonOption, load_config
from ringfence.cli.output import print_facts, print_json
from ringfence.cli.user import Address, user
from ringfence.ledger.rates import money, read_money
from ringfence.service.config import Config


@user.command()
def credit(
    aor: Address,
    add: Annotated[str, typer.Option("--add", metavar="AMOUNT", help='Add to it: "10.00".')] = "",
    take: Annotated[str, typer.Option("--take", metavar="AMOUNT", help="Take from it.")] = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show or change the balance of a prepaid account. What calls that go on have set aside is not in it."""
    loaded = load_config(config)
    uri = parse_address(aor, loaded)
    balance = asyncio.run(_change(loaded, uri.aor, _amount(add) - _amount(take)))
    facts = {"aor": uri.aor, "balance": money(balance), "currency": loaded.charging.currency}
    if json:
        print_json(facts)
    else:
        print_facts(facts)


async def _change(config: Config, aor: str, amount: int) -> int:
    async with open_database(config) as database:
        account = database.accounts.by_aor(aor)
        if account is None and config.accounts.source == "database":
            raise Failure(Exit.NO, f"there is no account {aor}", "see ringfence user list")
        if amount:
            return await database.balances.change(aor, amount)
        return await database.balances.get(aor) or 0


def _amount(text: str) -> int:
    try:
        amount = read_money(text) if text else 0
    except ValueError as error:
        raise Failure(Exit.USAGE, str(error), 'write it as "10.00"') from None
    if amount < 0:
        raise Failure(Exit.USAGE, f"{text} is less than nothing", "use --add and --take")
    return amount


@user.command()
def unblock(aor: Address, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Let an account call again that the node has blocked since it has called too much ([fraud])."""
    from ringfence.service.control_client import ask

    loaded = load_config(config)
    uri = parse_address(aor, loaded)
    facts = ask(loaded.control_socket, "unblock", account=uri.aor)
    if json:
        print_json(facts)
    else:
        print_facts(facts)
