"""Who may ask: a program that brings a token, with the rights that its administrator has at that moment."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TypeVar

import structlog
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ringfence.console.guesses import WaitFirst
from ringfence.console.office import Office
from ringfence.console.tokens import digest_of
from ringfence.store.records import Administrator, Permission

log = structlog.get_logger("ringfence.console")

View = Callable[[Request], Awaitable[Response]]
Model = TypeVar("Model", bound=BaseModel)

SCHEME = {"WWW-Authenticate": 'Bearer realm="ringfence"'}


def office_of(request: Request) -> Office:
    """What the interface works with."""
    office = request.app.state.office
    assert isinstance(office, Office)
    return office


def allowed(permission: Permission = Permission.READ) -> Callable[[View], View]:
    """For programs whose token may do this."""

    def wrap(view: View) -> View:
        @wraps(view)
        async def guarded(request: Request) -> Response:
            administrator = await _administrator(request)
            if permission not in administrator.role.permissions:
                raise HTTPException(403, f"The role {administrator.role} may not do this.")
            request.state.administrator = administrator
            if request.method not in ("GET", "HEAD"):
                log.info(
                    "a program asked to change",
                    administrator=administrator.name,
                    method=request.method,
                    path=request.url.path,
                )
            return await view(request)

        guarded.permission = permission  # type: ignore[attr-defined]
        return guarded

    return wrap


async def _administrator(request: Request) -> Administrator:
    office = office_of(request)
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not text:
        raise HTTPException(401, "Bring a token: Authorization: Bearer TOKEN.", SCHEME)
    key = f"token from {request.client.host if request.client is not None else ''}"
    try:
        office.sessions.guesses.allow(key)
    except WaitFirst as error:
        raise HTTPException(429, str(error), {"Retry-After": f"{error.seconds:.0f}"}) from None
    token = await office.database.tokens.find(digest_of(text.strip()))
    found = await office.database.administrators.find(token.administrator) if token is not None else None
    if token is None or found is None or token.expires <= time.time():
        office.sessions.guesses.failed(key)
        raise HTTPException(401, "The token is not known, or has expired.", SCHEME)
    return found


async def body_of(request: Request, model: type[Model]) -> Model:
    """The body as the model wants it. Raises HTTPException (400)."""
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        raise HTTPException(400, said(error)) from None


def query_of(request: Request, model: type[Model]) -> Model:
    """The parameters as the model wants them. Raises HTTPException (400)."""
    try:
        return model.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise HTTPException(400, said(error)) from None


def said(error: ValidationError) -> str:
    """What is wrong, field by field, without the values: one may be a password."""
    return "; ".join(
        f"{'.'.join(map(str, each['loc'])) or 'the body'}: {each['msg']}"
        for each in error.errors(include_url=False, include_input=False, include_context=False)
    )
