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

MAX_VALUE = 200
"""Characters of a header field that are shown as evidence."""

ARRIVED = {
    "authorization": "It brought credentials (digest).",
    "proxy-authorization": "It brought credentials (digest).",
    "identity": "It arrived signed (RFC 8224).",
    "p-asserted-identity": "The hop before claimed {}; we believe that of trusted peers only.",
}
LEFT = {
    "p-asserted-identity": "We assert {} to the next hop.",
    "identity": "It left signed (RFC 8224).",
    "privacy": "It left with the wish for privacy: {}.",
}
"""Header fields of an INVITE that tell of its caller."""


@page()
async def show(request: Request) -> Response:
    """The list, the latest first; ``q`` keeps those in whose addresses or Call-ID it stands."""
    wanted = request.query_params.get("q", "").strip().lower()
    found = [
        each
        for each in office_of(request).recent.latest(SHOWN)
        if not wanted or any(wanted in text.lower() for text in (each.caller, each.callee, each.call_id))
    ]
    recent = office_of(request).recent
    return render(request, "calls.html", calls=found, wanted=wanted, private=recent.private)


@page()
async def one(request: Request) -> Response:
    """One call, by its Call-ID, which may have any character: so it is no part of the path."""
    office = office_of(request)
    call = office.recent.find(request.query_params.get("id", ""))
    if call is None:
        raise HTTPException(404, "This call is not remembered any more. The ledger has what it cost.")
    hops = _hops(call.messages)
    ladder = draw(call.messages, office.config.domain.name)
    return render(
        request,
        "call.html",
        call=call,
        ladder=ladder,
        hops=hops,
        exposures=_exposures(call.messages),
        evidence=evidence(call.messages),
    )


def _hops(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each neighbour, how it was reached, and whether that was protected."""
    found = {(each["remote"], each["transport"]): each for each in messages}
    return [
        {"remote": remote, "transport": transport, "secure": each["secure"]}
        for (remote, transport), each in found.items()
    ]


def evidence(messages: list[dict[str, Any]]) -> list[str]:
    """What the caller is known by, as the messages have it: what it brought, and what we say of it to the next."""
    found = []
    for each in messages:
        if each["method"] != "INVITE" or each["status"] is not None:
            continue
        came = each["direction"] == "in"
        for line in str(each.get("text", "")).split("\n\n")[0].splitlines():
            name, _, value = line.partition(":")
            told = (ARRIVED if came else LEFT).get(name.strip().lower())
            if told is not None:
                found.append(told.format(value.strip()[:MAX_VALUE]))
    return list(dict.fromkeys(found))


def _exposures(messages: list[dict[str, Any]]) -> list[str]:
    """Who could read and who change what, each once."""
    return list(dict.fromkeys(each["exposure"] for each in messages if each.get("exposure")))


ROUTES = (
    Route("/calls", show, methods=["GET"]),
    Route("/calls/one", one, methods=["GET"]),
)
