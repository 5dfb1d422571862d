"""The calls of the last while, and each as a ladder: who sent what to whom, over what, and who could read it."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringfence.console.ladder import draw
from ringfence.console.web import office_of, page, render

SHOWN = 200


@page()
async def show(request: Request) -> Response:
    """The list, the latest first; ``q`` keeps those in whose addresses or Call-ID it stands."""
    wanted = request.query_params.get("q", "").strip().lower()
    found = [
        each
        for each in office_of(request).recent.latest(SHOWN)
        if not wanted or any(wanted in text.lower() for text in (each.caller, each.callee, each.call_id))
    ]
    return render(request, "calls.html", calls=found, wanted=wanted)


@page()
async def one(request: Request) -> Response:
    """One call."""
    office = office_of(request)
    call = office.recent.find(request.path_params["call_id"])
    if call is None:
        raise HTTPException(404, "This call is not remembered any more. The ledger has what it cost.")
    hops = _hops(call.messages)
    ladder = draw(call.messages, office.config.domain.name)
    return render(
        request, "call.html", call=call, ladder=ladder, hops=hops, exposures=_exposures(call.messages)
    )


def _hops(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each neighbour, how it was reached, and whether that was protected."""
    found = {(each["remote"], each["transport"]): each for each in messages}
    return [
        {"remote": remote, "transport": transport, "secure": each["secure"]}
        for (remote, transport), each in found.items()
    ]


def _exposures(messages: list[dict[str, Any]]) -> list[str]:
    """Who could read and who change what, each once."""
    return list(dict.fromkeys(each["exposure"] for each in messages if each.get("exposure")))


ROUTES = (
    Route("/calls", show, methods=["GET"]),
    Route("/calls/{call_id:path}", one, methods=["GET"]),
)
