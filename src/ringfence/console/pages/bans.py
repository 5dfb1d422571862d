"""Who is shut out, why, and until when."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringfence.console.web import office_of, page, render
from ringfence.service.control import CommandError
from ringfence.store.records import Permission

LENGTHS = {"30 minutes": 1800, "6 hours": 21_600, "7 days": 604_800, "until it is removed": 0}


@page()
async def show(request: Request) -> Response:
    """The list, as the node has it."""
    try:
        bans, problem = await office_of(request).ask("ban-list"), ""
    except CommandError as error:
        bans, problem = [], str(error)
    return render(request, "bans.html", bans=bans, problem=problem, lengths=LENGTHS)


@page(Permission.ACCOUNTS)
async def change(request: Request) -> Response:
    """Ban a network, or let it in again."""
    office, form = office_of(request), await request.form()
    network = str(form.get("network", "")).strip()
    if str(form.get("what")) == "remove":
        await office.ask("ban-remove", network=network)
    else:
        seconds = LENGTHS.get(str(form.get("length")))
        if seconds is None:
            raise HTTPException(400, "There is no such length.")
        reason = str(form.get("reason", "")).strip()[:200]
        await office.ask("ban-add", network=network, seconds=seconds or None, reason=reason)
    return RedirectResponse("/bans", 303)


ROUTES = (
    Route("/bans", show, methods=["GET"]),
    Route("/bans", change, methods=["POST"]),
)
