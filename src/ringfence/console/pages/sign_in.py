"""Sign in and out."""

from __future__ import annotations

from inspect import isawaitable

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringfence.console.guesses import WaitFirst
from ringfence.console.sessions import LONGEST_SECONDS, same_token
from ringfence.console.web import COOKIE, office_of, render, session_of

log = structlog.get_logger("ringfence.console")

MAX_FIELD = 200
"""Characters of a name or a password that are looked at."""


async def show(request: Request) -> Response:
    """The form."""
    return render(request, "sign_in.html", next=_safe(request.query_params.get("next", "/")), problem="")


async def enter(request: Request) -> Response:
    """Check the password. Wrong names and wrong passwords look alike, and take the same time."""
    office, form = office_of(request), await request.form()
    name, password = str(form.get("name", ""))[:MAX_FIELD], str(form.get("password", ""))[:MAX_FIELD]
    following = _safe(str(form.get("next", "/")))
    found = office.database.administrators.find(name)
    known = await found if isawaitable(found) else found
    address = request.client.host if request.client is not None else ""
    try:
        session = await office.sessions.sign_in(known, name, password, address)
    except WaitFirst as error:
        return render(
            request, "sign_in.html", 429, next=following, problem=f"Wait {error.seconds:.0f} seconds."
        )
    if session is None:
        log.warning("wrong name or password", name=name, address=address)
        return render(
            request, "sign_in.html", 403, next=following, problem="The name or the password is wrong."
        )
    log.info("signed in", name=name, address=address)
    response = RedirectResponse(following, 303)
    response.set_cookie(
        COOKIE, session, max_age=int(LONGEST_SECONDS), secure=True, httponly=True, samesite="strict", path="/"
    )
    return response


async def leave(request: Request) -> Response:
    """End the session."""
    session, form = await session_of(request), await request.form()
    if session is not None and same_token(session, str(form.get("csrf", ""))):
        office_of(request).sessions.end(request.cookies.get(COOKIE, ""))
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="strict", path="/")
    return response


def _safe(path: str) -> str:
    """A path of ours to go on to, never another site."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"


ROUTES = (
    Route("/sign-in", show, methods=["GET"]),
    Route("/sign-in", enter, methods=["POST"]),
    Route("/sign-out", leave, methods=["POST"]),
)
