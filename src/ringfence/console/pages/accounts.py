"""Accounts: who there is, who is registered, and what may be changed of them."""

from __future__ import annotations

import time
from dataclasses import replace
from inspect import isawaitable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringfence.console.enrol import NotAnAddress, new_account
from ringfence.console.office import Office
from ringfence.console.passwords import generate, stored
from ringfence.console.web import office_of, page, render, segment
from ringfence.store.records import Account, Binding, Permission

PAGE = 100

MAX_NAME = 100
"""Characters of a name to show."""


@page()
async def show(request: Request) -> Response:
    """A page of accounts; ``q`` keeps those in whose address or name it stands."""
    office = office_of(request)
    wanted = request.query_params.get("q", "").strip().lower()
    after = request.query_params.get("after", "")
    found: list[Account] = []
    while len(found) <= PAGE:
        read = office.database.accounts.list(after, 1000)
        found += [each for each in read if wanted in each.aor.lower() or wanted in each.display_name.lower()]
        if len(read) < 1000:
            break
        after = read[-1].aor
    more = found[PAGE - 1].aor if len(found) > PAGE else ""
    rows = [(each, len(await _bindings(office, each.aor))) for each in found[:PAGE]]
    return render(request, "accounts.html", rows=rows, wanted=wanted, more=more)


@page()
async def one(request: Request) -> Response:
    """One account."""
    return await _shown(request)


async def _shown(request: Request, password: str = "", status: int = 200) -> Response:
    office = office_of(request)
    account = _account(office, request.path_params["aor"])
    bindings = await _bindings(office, account.aor)
    return render(request, "account.html", status, account=account, bindings=bindings, password=password)


@page(Permission.ACCOUNTS)
async def add(request: Request) -> Response:
    """A new account, with a password that is shown once."""
    office, form = office_of(request), await request.form()
    password = generate()
    name = str(form.get("name", "")).strip()[:MAX_NAME]
    try:
        made = new_account(office.config, str(form.get("address", "")), name, password, time.time())
    except NotAnAddress as error:
        raise HTTPException(400, str(error)) from None
    await office.database.accounts.add(made)
    request.path_params["aor"] = made.aor
    return await _shown(request, password, 201)


@page(Permission.ACCOUNTS)
async def change(request: Request) -> Response:
    """Disable, enable, give a new password, or remove."""
    office, form = office_of(request), await request.form()
    account = _account(office, request.path_params["aor"])
    what = str(form.get("what", ""))
    if what == "remove":
        await office.database.accounts.remove(account.aor)
        return RedirectResponse("/accounts", 303)
    if what == "password":
        password = generate()
        secrets = stored(account.user, account.realm, password, account.credentials)
        await office.database.accounts.update(replace(account, credentials=secrets, updated=time.time()))
        return await _shown(request, password)
    if what not in ("disable", "enable"):
        raise HTTPException(400, "There is no such change.")
    await office.database.accounts.update(replace(account, disabled=what == "disable", updated=time.time()))
    return RedirectResponse(f"/accounts/{segment(account.aor)}", 303)


def _account(office: Office, aor: str) -> Account:
    account = office.database.accounts.by_aor(aor)
    if account is None:
        raise HTTPException(404, f"There is no account {aor}.")
    return account


async def _bindings(office: Office, aor: str) -> tuple[Binding, ...]:
    found = office.database.bindings.lookup(aor, time.time())
    return await found if isawaitable(found) else found


ROUTES = (
    Route("/accounts", show, methods=["GET"]),
    Route("/accounts", add, methods=["POST"]),
    Route("/accounts/{aor:path}", one, methods=["GET"]),
    Route("/accounts/{aor:path}", change, methods=["POST"]),
)
