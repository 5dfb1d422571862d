"""Money: prices, the balances of prepaid accounts, and the records of calls as a file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import takewhile
from tempfile import TemporaryFile
from typing import BinaryIO

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from ringfence.console.office import Office
from ringfence.console.web import office_of, page, render, session_of
from ringfence.ledger.export import write_csv
from ringfence.ledger.paging import forwards
from ringfence.ledger.rates import money, read_money
from ringfence.ledger.reading import reading
from ringfence.ledger.records import CallRecord, records_of
from ringfence.service.config import Config
from ringfence.store.records import Account, Permission

log = structlog.get_logger("ringfence.console")

PAGE = 50
"""Accounts on a page: each balance is a question to the database."""

PART = 65_536
"""Octets of a file of calls that are read at a time, while it is sent."""

DAY = 86_400.0


@page()
async def show(request: Request) -> Response:
    """Prices, and the balances of accounts that are prepaid; ``q`` keeps those in whose address or name it stands."""
    office = office_of(request)
    wanted = request.query_params.get("q", "").strip().lower()
    found, more = _prepaid(office, wanted, request.query_params.get("after", ""))
    balances = [await office.database.balances.get(each.aor) or 0 for each in found]
    return render(
        request,
        "billing.html",
        charging=office.config.charging,
        rates=sorted(office.config.rate, key=lambda each: each.prefix),
        rows=[(each, balance, money(balance)) for each, balance in zip(found, balances, strict=True)],
        wanted=wanted,
        more=more,
        ledger=office.config.ledger.enabled,
    )


def _prepaid(office: Office, wanted: str, after: str) -> tuple[list[Account], str]:
    found: list[Account] = []
    while len(found) <= PAGE:
        read = office.database.accounts.list(after, 1000)
        found += [
            each
            for each in read
            if each.rights.prepaid and (wanted in each.aor.lower() or wanted in each.display_name.lower())
        ]
        if len(read) < 1000:
            break
        after = read[-1].aor
    return found[:PAGE], found[PAGE - 1].aor if len(found) > PAGE else ""


@page(Permission.CREDIT)
async def change(request: Request) -> Response:
    """Add to a balance, take from it, make an account prepaid, or let it call without credit."""
    office, form = office_of(request), await request.form()
    what, address = str(form.get("what", "")), str(form.get("account", "")).strip()
    account = account_of(office, address)
    session = await session_of(request)
    assert session is not None  # the page is for those who are signed in
    if what in ("prepaid", "postpaid"):
        await set_prepaid(office, account, what == "prepaid", session.administrator.name)
    elif what in ("add", "take"):
        try:
            amount = read_money(str(form.get("amount", "")).strip().replace(",", "."))
        except ValueError as error:
            raise HTTPException(400, f"{error}. Write it as 10.00.") from None
        if amount <= 0:
            raise HTTPException(400, "An amount has to be more than nothing.")
        await change_balance(
            office, account, amount if what == "add" else -amount, session.administrator.name
        )
    else:
        raise HTTPException(400, "There is no such change.")
    return RedirectResponse("/billing", 303)


def account_of(office: Office, address: str) -> Account:
    """The account of an address, which may be written without ``sip:`` and domain. Raises HTTPException (404)."""
    whole = address if address.startswith("sip:") else f"sip:{address}"
    if "@" not in whole:
        whole += f"@{office.config.domain.name}"
    account = office.database.accounts.by_aor(whole)
    if account is None:
        raise HTTPException(404, f"There is no account {address}.")
    return account


async def change_balance(office: Office, account: Account, amount: int, by: str) -> int:
    """Add to a balance, or take from it; gives what it is then. Told in the log, with who did it."""
    balance = await office.database.balances.change(account.aor, amount)
    log.info(
        "balance changed", administrator=by, account=account.aor, amount=money(amount), balance=money(balance)
    )
    return balance


async def set_prepaid(office: Office, account: Account, prepaid: bool, by: str) -> None:
    """Let an account call on credit that it has paid for, or on a bill."""
    rights = replace(account.rights, prepaid=prepaid)
    await office.database.accounts.update(replace(account, rights=rights, updated=time.time()))
    log.info("prepaid changed", administrator=by, account=account.aor, prepaid=prepaid)


@page(Permission.CREDIT)
async def export(request: Request) -> Response:
    """The calls that began on these days, for billing (CSV). Of private callers nothing but what is charged."""
    config, query = office_of(request).config, request.query_params
    if not config.ledger.enabled:
        raise HTTPException(404, "No ledger is kept.")
    since, until = _day(query.get("since", ""), 0.0), _day(query.get("until", ""), 1e11) + DAY
    file = await asyncio.to_thread(_write, config, since, until)
    return StreamingResponse(
        _parts(file),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="calls-{config.domain.name}.csv"'},
    )


def _parts(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while part := file.read(PART):
            yield part


def _day(text: str, otherwise: float) -> float:
    """The beginning of a day as browsers send it."""
    if not text:
        return otherwise
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise HTTPException(400, "A day is written as 2026-01-31.") from None


def _write(config: Config, since: float, until: float) -> BinaryIO:
    file = TemporaryFile()  # noqa: SIM115  (closed when it has been sent)
    with reading(config.ledger_url) as reader:
        longest = until + config.ledger.max_call_seconds + 60.0
        events = takewhile(lambda event: event.time < longest, forwards(reader, since))
        calls: Iterator[CallRecord] = (
            each for each in records_of(events) if since <= each.started < until and not each.open
        )
        write_csv(calls, file)
    file.seek(0)
    return file


ROUTES = (
    Route("/billing", show, methods=["GET"]),
    Route("/billing", change, methods=["POST"]),
    Route("/billing/calls.csv", export, methods=["GET"]),
)
