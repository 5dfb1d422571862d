"""``/prices`` and ``/accounts/{aor}/balance``."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ringfence.console.api import models
from ringfence.console.api.access import allowed, body_of, office_of
from ringfence.console.office import Office
from ringfence.console.pages.billing import change_balance, set_prepaid
from ringfence.ledger.rates import money, read_money
from ringfence.store.records import Account, Permission


@allowed()
async def list_prices(request: Request) -> Response:
    """What calls cost: the longest prefix of a destination decides. They are set in the configuration."""
    config = office_of(request).config
    items = [models.Price.model_validate(each) for each in config.rate]
    return JSONResponse(models.Prices(currency=config.charging.currency, items=items).model_dump())


@allowed()
async def get_balance(request: Request) -> Response:
    """The balance of an account. What calls that go on have set aside is not in it."""
    office, account = office_of(request), _account(request)
    return _shown(office, account, await office.database.balances.get(account.aor) or 0)


@allowed(Permission.CREDIT)
async def change_balance_by(request: Request) -> Response:
    """Add an amount to a balance, or take it when it begins with a minus; say whether the account is prepaid."""
    office, wanted = office_of(request), await body_of(request, models.ChangedBalance)
    account, by = _account(request), request.state.administrator.name
    try:
        amount = read_money(wanted.change)
    except ValueError as error:
        raise HTTPException(400, f"change: {error}") from None
    if wanted.prepaid is not None and wanted.prepaid != account.rights.prepaid:
        await set_prepaid(office, account, wanted.prepaid, by)
        account = _account(request)
    if amount:
        return _shown(office, account, await change_balance(office, account, amount, by))
    return _shown(office, account, await office.database.balances.get(account.aor) or 0)


def _account(request: Request) -> Account:
    aor = str(request.path_params["aor"])
    account = office_of(request).database.accounts.by_aor(aor)
    if account is None:
        raise HTTPException(404, f"There is no account {aor}.")
    return account


def _shown(office: Office, account: Account, balance: int) -> Response:
    told = models.Balance(
        aor=account.aor,
        prepaid=account.rights.prepaid,
        balance=money(balance),
        currency=office.config.charging.currency,
    )
    return JSONResponse(told.model_dump())
