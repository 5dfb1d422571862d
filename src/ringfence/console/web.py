"""What every page has: the session, the check of forms, the look.

A page is an ``async`` function of a request. ``@page(permission)`` lets in who is signed in and may; a form that
changes anything brings the token of its session. There is no script in a page but the one file that we serve, and the
Content-Security-Policy says so: what a caller writes into a display name stays text.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from inspect import isawaitable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import structlog
from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ringfence.console.office import Office
from ringfence.console.sessions import Session, same_token
from ringfence.store.records import Permission

COOKIE = "__Host-ringfence"
"""With this prefix a browser takes it over https only, for this host only, and from nobody else."""

log = structlog.get_logger("ringfence.console")

HERE = Path(__file__).parent

NAVIGATION = (
    ("/", "Overview"),
    ("/calls", "Calls"),
    ("/accounts", "Accounts"),
    ("/bans", "Bans"),
    ("/ledger", "Ledger"),
    ("/billing", "Billing"),
    ("/certificates", "Certificates"),
    ("/audit", "Audit"),
)

UNSEEN = re.compile(r"[\x80-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
"""Controls of direction and other characters without a shape; those that join letters (U+200C, U+200D) are of names."""

View = Callable[[Request], Awaitable[Response]]


def since(seconds: float) -> str:
    """A length of time for people."""
    seconds = int(seconds)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            rest = seconds % size // {86_400: 3_600, 3_600: 60, 60: 1}[size]
            return f"{seconds // size} {unit} {rest} {({'d': 'h', 'h': 'min', 'min': 's'})[unit]}"
    return f"{seconds} s"


def moment(when: float) -> str:
    """A time of day, with its date."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(when)) + "Z"


def segment(text: str) -> str:
    """Any text as one segment of a path. A slash in it leads nowhere."""
    return quote(text, safe="@:")


def plain(value: object) -> object:
    """What is put into a page, with each character written out that a reader would not see for what it is.

    A caller's name with an override of direction (U+202E) would turn what stands behind it around, and a lone
    surrogate, which is an octet that is no UTF-8, can't be sent at all.
    """
    if not isinstance(value, str) or isinstance(value, Markup) or value.isascii():
        return value
    return UNSEEN.sub(lambda found: ascii(found[0])[1:-1], value)


def make_environment() -> Environment:
    """The templates. Everything put into one is text, never markup."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        finalize=plain,
    )
    environment.filters |= {"since": since, "moment": moment, "segment": segment}
    return environment


ENVIRONMENT = make_environment()


def office_of(request: Request) -> Office:
    """What the page works with."""
    office = request.app.state.office
    assert isinstance(office, Office)
    return office


async def session_of(request: Request) -> Session | None:
    """Who asks; None for nobody who is signed in.

    The administrator is compared with the database each time: who was removed, or has another role or password, is
    signed out. A page that asks for itself again is no use of the session, which would never end. Raises StoreError.
    """
    if not hasattr(request.state, "session"):
        office, name = office_of(request), request.cookies.get(COOKIE, "")
        session = office.sessions.find(name, used=not _asks_itself(request))
        if session is not None:
            known = office.database.administrators.find(session.administrator.name)
            if (await known if isawaitable(known) else known) != session.administrator:
                office.sessions.end_of(session.administrator.name)
                session = None
        request.state.session = session
    found: Session | None = request.state.session
    return found


def _asks_itself(request: Request) -> bool:
    return "HX-Request" in request.headers and request.method == "GET"


def render(request: Request, template: str, status: int = 200, /, **facts: Any) -> Response:
    """A page; with htmx only its ``main``, where one is asked for."""
    session = getattr(request.state, "session", None)
    text = ENVIRONMENT.get_template(template).render(
        session=session,
        csrf=session.csrf if session is not None else "",
        may=session.may if session is not None else (lambda _permission: False),
        Permission=Permission,
        navigation=NAVIGATION,
        path=request.url.path,
        domain=office_of(request).config.domain.name,
        partial="HX-Request" in request.headers,
        **facts,
    )
    return HTMLResponse(text, status)


def page(permission: Permission = Permission.READ) -> Callable[[View], View]:
    """A page for those who are signed in and may; the others are sent to sign in, or told that they may not."""

    def wrap(view: View) -> View:
        @wraps(view)
        async def guarded(request: Request) -> Response:
            session = await session_of(request)
            if session is None and "HX-Request" in request.headers:
                return render(request, "ended.html")
            if session is None:
                return RedirectResponse(f"/sign-in?next={quote(request.url.path)}", 303)
            if not session.may(permission):
                reason = f"The role {session.administrator.role} may not do this."
                return render(request, "error.html", 403, title="Not allowed", reason=reason)
            if request.method not in ("GET", "HEAD") and not await _is_ours(request, session):
                reason = "The form is too old. Load the page again."
                return render(request, "error.html", 403, title="Not accepted", reason=reason)
            if request.method not in ("GET", "HEAD"):
                form = await request.form()
                log.info(
                    "asked to change",
                    administrator=session.administrator.name,
                    path=request.url.path,
                    what=str(form.get("what", ""))[:20],
                )
            return await view(request)

        return guarded

    return wrap


async def _is_ours(request: Request, session: Session) -> bool:
    """Whether a form comes from a page of this session."""
    form = await request.form()
    return same_token(session, request.headers.get("X-CSRF-Token") or str(form.get("csrf", "")))
