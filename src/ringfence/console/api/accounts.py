"""``/accounts`` and ``/registrations``."""

from __future__ import annotations

import time
from dataclasses import replace
from inspect import isawaitable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ringfence.console.api import models
from ringfence.console.api.access import allowed, body_of, office_of, query_of
from ringfence.console.enrol import NotAnAddress, new_account
from ringfence.console.office import Office
from ringfence.console.passwords import generate, stored
from ringfence.store.records import Account, Permission

LIMITS = ("max_calls", "max_registrations", "max_seconds")


@allowed()
async def list_accounts(request: Request) -> Response:
    """Accounts in order of their addresses."""
    wanted = query_of(request, models.Page)
    found = office_of(request).database.accounts.list(wanted.after, wanted.limit + 1)
    more = found[wanted.limit - 1].aor if len(found) > wanted.limit else ""
    items = [_shown(each) for each in found[: wanted.limit]]
    return JSONResponse(models.Accounts(items=items, next=more).model_dump())


@allowed(Permission.ACCOUNTS)
async def add_account(request: Request) -> Response:
    """A new account."""
    office, wanted = office_of(request), await body_of(request, models.NewAccount)
    password = wanted.password or generate()
    try:
        account = new_account(office.config, wanted.address, wanted.display_name, password, time.time())
    except NotAnAddress as error:
        raise HTTPException(400, str(error)) from None
    if wanted.max_calls is not None:
        account = replace(account, rights=replace(account.rights, max_calls=wanted.max_calls))
    await office.database.accounts.add(account)
    return _with_password(account, "" if wanted.password else password, 201)


@allowed()
async def get_account(request: Request) -> Response:
    """One account."""
    return JSONResponse(_shown(_account(request)).model_dump())


@allowed(Permission.ACCOUNTS)
async def change_account(request: Request) -> Response:
    """Change what is named."""
    office, account = office_of(request), _account(request)
    wanted = await body_of(request, models.ChangedAccount)
    changes: dict[str, Any] = {"updated": time.time()}
    if wanted.display_name is not None:
        changes["display_name"] = wanted.display_name
    if wanted.disabled is not None:
        changes["disabled"] = wanted.disabled
    if wanted.password is not None:
        changes["credentials"] = stored(account.user, account.realm, wanted.password, account.credentials)
    rights: dict[str, Any] = {name: value for name in LIMITS if (value := getattr(wanted, name)) is not None}
    rights |= {
        name: tuple(value) for name in ("allow", "deny") if (value := getattr(wanted, name)) is not None
    }
    changed = replace(account, **changes, rights=replace(account.rights, **rights))
    await office.database.accounts.update(changed)
    return JSONResponse(_shown(changed).model_dump())


@allowed(Permission.ACCOUNTS)
async def remove_account(request: Request) -> Response:
    """Remove it with its registrations. Its calls stay in the ledger."""
    await office_of(request).database.accounts.remove(_account(request).aor)
    return Response(status_code=204)


@allowed(Permission.ACCOUNTS)
async def new_password(request: Request) -> Response:
    """Give it a new password, which is made here and shown this once."""
    office, account, password = office_of(request), _account(request), generate()
    secrets = stored(account.user, account.realm, password, account.credentials)
    changed = replace(account, credentials=secrets, updated=time.time())
    await office.database.accounts.update(changed)
    return _with_password(changed, password, 200)


@allowed()
async def list_registrations(request: Request) -> Response:
    """Phones in order of the addresses that they are registered for; ``limit`` counts addresses."""
    wanted = query_of(request, models.Page)
    read = office_of(request).database.bindings.list(time.time(), wanted.after, wanted.limit)
    found = await read if isawaitable(read) else read
    more = found[-1].aor if len({each.aor for each in found}) >= wanted.limit else ""
    items = [models.Registration.model_validate(each) for each in found]
    return JSONResponse(models.Registrations(items=items, next=more).model_dump())


def _account(request: Request) -> Account:
    office: Office = office_of(request)
    aor = str(request.path_params["aor"])
    account = office.database.accounts.by_aor(aor)
    if account is None:
        raise HTTPException(404, f"There is no account {aor}.")
    return account


def _shown(account: Account) -> models.Account:
    return models.Account(**_facts(account))


def _with_password(account: Account, password: str, status: int) -> Response:
    shown = models.AccountWithPassword(**_facts(account), password=password)
    return JSONResponse(shown.model_dump(), status)


def _facts(account: Account) -> dict[str, Any]:
    rights = account.rights
    return {
        "aor": account.aor,
        "user": account.user,
        "realm": account.realm,
        "display_name": account.display_name,
        "aliases": list(account.aliases),
        "disabled": account.disabled,
        "algorithms": sorted(account.credentials),
        "rights": models.Rights(
            allow=list(rights.allow),
            deny=list(rights.deny),
            max_calls=rights.max_calls,
            max_registrations=rights.max_registrations,
            max_seconds=rights.max_seconds,
        ),
        "created": account.created,
        "updated": account.updated,
    }
