"""The record of calls, a part at a time, and whether it is as it was written."""

from __future__ import annotations

import asyncio
from itertools import islice
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringfence.console.web import office_of, page, render, session_of
from ringfence.ledger.keys import Privacy
from ringfence.ledger.paging import Place, latest
from ringfence.ledger.reading import reading
from ringfence.ledger.records import CallRecord
from ringfence.service.config import Config
from ringfence.service.secrets import read_secret
from ringfence.service.wiring import derive
from ringfence.store.records import Permission

SHOWN = 100
"""Calls on a page."""


@page()
async def show(request: Request) -> Response:
    """The latest calls, or those before. Who asked not to be named is named to those only who have the right, and who
    ask for it."""
    office = office_of(request)
    config, session, query = office.config, await session_of(request), request.query_params
    reveal = "reveal" in query and session is not None and session.may(Permission.REVEAL)
    try:
        before = Place.parse(query["before"]) if "before" in query else None
    except ValueError:
        raise HTTPException(400, "There is no such page of the ledger.") from None
    calls: list[CallRecord] = []
    if config.ledger.enabled:
        calls = await asyncio.to_thread(calls_of, config, SHOWN + 1, before, reveal)
    older = ""
    if len(calls) > SHOWN:
        last = calls[SHOWN - 1]
        older = quote(str(Place(last.started, last.call)))
    return render(
        request,
        "ledger.html",
        calls=list(islice(calls, SHOWN)),
        reveal=reveal,
        enabled=config.ledger.enabled,
        older=older,
        first=before is None,
        proof=office.proof,
    )


@page()
async def verify(request: Request) -> Response:
    """Begin to check every chain from its beginning. It goes on in the background."""
    office = office_of(request)
    office.proof.start(office.config)
    if "HX-Request" in request.headers:
        return render(request, "verified.html", proof=office.proof)
    return RedirectResponse("/ledger", 303)


@page()
async def state(request: Request) -> Response:
    """What was found, or that it goes on."""
    return render(request, "verified.html", proof=office_of(request).proof)


def calls_of(config: Config, count: int, before: Place | None, reveal: bool = False) -> list[CallRecord]:
    """So many calls, the latest first. Blocks. Raises StoreError."""
    privacy = Privacy(derive(read_secret(config.secret_file), "ledger")) if reveal else None
    with reading(config.ledger_url) as reader:
        return latest(reader, count, before, privacy)


ROUTES = (
    Route("/ledger", show, methods=["GET"]),
    Route("/ledger/verify", verify, methods=["POST"]),
    Route("/ledger/verified", state, methods=["GET"]),
)
