"""The application: its pages, and what runs beside them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from ringfence.console.api.app import make_api, problem
from ringfence.console.office import NodeAway, Office
from ringfence.console.pages import (
    accounts,
    audit,
    bans,
    billing,
    calls,
    certificates,
    ledger,
    overview,
    sign_in,
)
from ringfence.console.recent import RecentCalls
from ringfence.console.sessions import Sessions
from ringfence.console.shield import BodyLimit, OwnPagesOnly, SecurityHeaders
from ringfence.console.web import HERE, render, session_of
from ringfence.service.config import Config
from ringfence.service.control import CommandError
from ringfence.store.database import Database
from ringfence.store.errors import RecordExists, RecordMissing, StoreError
from ringfence.store.ports import REFRESH_SECONDS

PAGES = (sign_in, overview, calls, accounts, bans, ledger, billing, certificates, audit)
"""One file for each. A new one is imported above and named here."""


def make_app(office: Office, hosts: Sequence[str], more: Sequence[BaseRoute] = ()) -> Starlette:
    """The console. ``hosts``: the names by which a browser may ask for it; any other is a rebinding attack."""
    routes: list[BaseRoute] = [route for each in PAGES for route in each.ROUTES]
    routes += [
        *more,
        Mount("/api/v1", make_api(office)),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
            Middleware(OwnPagesOnly),
            Middleware(BodyLimit),
        ],
        exception_handlers={
            HTTPException: _http_error,
            NodeAway: _unavailable,
            CommandError: _no,
            RecordExists: _no,
            RecordMissing: _no,
            StoreError: _unavailable,
        },
    )
    app.state.office = office
    return app


@contextlib.asynccontextmanager
async def opened(config: Config) -> AsyncIterator[Office]:
    """The office, its database open and its eyes on the node. Raises StoreError."""
    database = await Database.open(config.database_url, **config.registrations.options)
    office = Office(config, database, Sessions(time.monotonic), RecentCalls(config.control_socket))
    tasks = [asyncio.create_task(office.recent.follow()), asyncio.create_task(_refresh(database))]
    try:
        yield office
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await database.close()


async def _refresh(database: Database) -> None:
    while True:
        await asyncio.sleep(REFRESH_SECONDS)
        with contextlib.suppress(StoreError):  # pages say so when they need it
            await database.refresh()


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if request.url.path.startswith("/api/"):  # a line feed in a path, which no mount takes
        return problem(error.status_code, error.detail, error.headers)
    with contextlib.suppress(StoreError):
        await session_of(request)  # for the navigation
    answer = render(
        request, "error.html", error.status_code, title=str(error.status_code), reason=error.detail
    )
    answer.headers.update(error.headers or {})
    return answer


async def _no(request: Request, error: Exception) -> Response:
    fix = error.fix if isinstance(error, CommandError) else ""
    return render(request, "error.html", 409, title="Not done", reason=str(error), fix=fix)


async def _unavailable(request: Request, error: Exception) -> Response:
    fix = error.fix if isinstance(error, CommandError) else ""
    return render(request, "error.html", 503, title="Not available", reason=str(error), fix=fix)
