"""The interface: its resources, each with what it takes and gives, from which the description is made too."""

from __future__ import annotations

import http
from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ringfence.console.api import accounts, billing, models, node
from ringfence.console.api.access import View, office_of
from ringfence.console.api.openapi import Resource, described
from ringfence.console.office import NodeAway, Office
from ringfence.message import LocalError
from ringfence.service.control import CommandError
from ringfence.store.errors import RecordExists, RecordMissing, StoreError

RESOURCES = (
    Resource("GET", "/status", node.status, models.Status),
    Resource("GET", "/accounts", accounts.list_accounts, models.Accounts, query=models.Page),
    Resource(
        "POST", "/accounts", accounts.add_account, models.AccountWithPassword, models.NewAccount, status=201
    ),
    Resource("GET", "/accounts/{aor}", accounts.get_account, models.Account),
    Resource("PATCH", "/accounts/{aor}", accounts.change_account, models.Account, models.ChangedAccount),
    Resource("DELETE", "/accounts/{aor}", accounts.remove_account, status=204),
    Resource("POST", "/accounts/{aor}/password", accounts.new_password, models.AccountWithPassword),
    Resource("GET", "/accounts/{aor}/balance", billing.get_balance, models.Balance),
    Resource(
        "POST", "/accounts/{aor}/balance", billing.change_balance_by, models.Balance, models.ChangedBalance
    ),
    Resource("GET", "/prices", billing.list_prices, models.Prices),
    Resource("GET", "/registrations", accounts.list_registrations, models.Registrations, query=models.Page),
    Resource("GET", "/bans", node.list_bans, models.Bans),
    Resource("POST", "/bans", node.add_ban, models.Ban, models.NewBan, status=201),
    Resource("DELETE", "/bans/{network}", node.remove_ban, status=204),
    Resource("GET", "/calls", node.list_calls, models.Calls, query=models.CallPage),
    Resource("GET", "/certificates", node.list_certificates, models.Certificates),
    Resource("GET", "/ledger/verification", node.verify_ledger, models.Verification),
)
"""A new one is a function in a file beside this one, and is named here."""

PROBLEM = "application/problem+json"


def make_api(office: Office) -> Starlette:
    """What is mounted at ``/api/v1``."""
    routes = [Route("/openapi.json", _openapi, methods=["GET"])]
    # One route for each path, so that another method gets 405 with all that there are.
    for path in dict.fromkeys(each.path for each in RESOURCES):
        views = {each.method: each.view for each in RESOURCES if each.path == path}
        pattern = path.replace("{network}", "{network:path}")
        routes.append(Route(pattern, _by_method(views), methods=list(views)))
    app = Starlette(
        routes=routes,
        exception_handlers={
            HTTPException: _http_error,
            RecordExists: lambda _, error: problem(409, str(error)),
            RecordMissing: lambda _, error: problem(404, str(error)),
            NodeAway: lambda _, error: problem(503, str(error)),
            CommandError: lambda _, error: problem(409, str(error)),
            StoreError: lambda _, error: problem(503, str(error)),
            LocalError: lambda _, error: problem(503, str(error)),
        },
    )
    app.router.redirect_slashes = False
    app.state.office = office
    return app


def _by_method(views: Mapping[str, View]) -> View:
    async def view(request: Request) -> Response:
        chosen = views.get(request.method) or views["GET"]  # HEAD
        return await chosen(request)

    return view


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error as RFC 9457 has it."""
    told = models.Problem(title=http.HTTPStatus(status).phrase, status=status, detail=detail)
    return JSONResponse(told.model_dump(), status, headers, media_type=PROBLEM)


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, error.detail, error.headers)


async def _openapi(request: Request) -> Response:
    """The description, for whoever may reach the console: it names nobody."""
    office_of(request)
    return JSONResponse(described(RESOURCES))
