"""What goes on now, and what wants attention."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringfence.console.pages.certificates import expiring
from ringfence.console.web import office_of, page, render

SHOWN = 8
"""Calls on the overview."""


@page()
async def show(request: Request) -> Response:
    """Figures, the latest calls, and what will go wrong soon. The page asks for itself again every few seconds."""
    office = office_of(request)
    status = await office.status()
    return render(
        request,
        "overview.html",
        status=status,
        counts=_counts(status),
        calls=office.recent.latest(SHOWN),
        accounts=office.database.accounts.count(),
        expiring=expiring(office.config),
        watching=office.recent.connected,
    )


def _counts(status: dict[str, Any] | None) -> list[tuple[str, int]]:
    return sorted((status or {}).get("counts", {}).items())


ROUTES = (Route("/", show, methods=["GET"]),)
