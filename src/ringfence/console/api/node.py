"""``/status``, ``/bans``, ``/calls``, ``/certificates`` and ``/ledger/verification``."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ringfence.console.api import models
from ringfence.console.api.access import allowed, body_of, office_of, query_of
from ringfence.console.office import NodeAway
from ringfence.console.pages.certificates import found as certificates_of
from ringfence.ledger.paging import Place, ended, going_on
from ringfence.ledger.reading import reading
from ringfence.ledger.records import CallRecord
from ringfence.service.config import Config
from ringfence.service.control import CommandError
from ringfence.store.records import Permission


@allowed()
async def status(request: Request) -> Response:
    """What the node does; ``serving`` is false when it does not answer."""
    office = office_of(request)
    facts = await office.status() or {}
    known = {name: facts[name] for name in models.Status.model_fields if name in facts}
    known |= {"serving": bool(facts), "domain": office.config.domain.name}
    known["accounts"] = office.database.accounts.count()
    return JSONResponse(models.Status.model_validate(known).model_dump())


@allowed()
async def list_bans(request: Request) -> Response:
    """The networks that are banned now."""
    bans = await office_of(request).ask("ban-list")
    return JSONResponse(models.Bans(items=[models.Ban.model_validate(each) for each in bans]).model_dump())


@allowed(Permission.ACCOUNTS)
async def add_ban(request: Request) -> Response:
    """Ban a network."""
    wanted = await body_of(request, models.NewBan)
    try:
        made = await office_of(request).ask(
            "ban-add", network=wanted.network, seconds=wanted.seconds or None, reason=wanted.reason
        )
    except NodeAway:
        raise
    except CommandError as error:
        raise HTTPException(400, error.reason) from None
    return JSONResponse(models.Ban.model_validate(made).model_dump(), 201)


@allowed(Permission.ACCOUNTS)
async def remove_ban(request: Request) -> Response:
    """Let a network in again."""
    try:
        await office_of(request).ask("ban-remove", network=request.path_params["network"])
    except NodeAway:
        raise
    except CommandError as error:
        raise HTTPException(404, error.reason) from None
    return Response(status_code=204)


@allowed()
async def list_calls(request: Request) -> Response:
    """The calls of the ledger."""
    config, wanted = office_of(request).config, query_of(request, models.CallPage)
    if not config.ledger.enabled:
        raise HTTPException(404, "No ledger is kept.")
    try:
        after = Place.parse(wanted.after) if wanted.after else None
    except ValueError:
        raise HTTPException(400, "after: it is what the part before gave as next") from None
    calls = await asyncio.to_thread(_read, config, wanted, after)
    more = _place(calls[wanted.limit - 1]) if len(calls) > wanted.limit else ""
    items = [models.Call(**_readable(each)) for each in calls[: wanted.limit]]
    return JSONResponse(models.Calls(items=items, next=more).model_dump())


def _readable(call: CallRecord) -> dict[str, Any]:
    """Its facts. Octets of a peer that are no UTF-8 can't stand in JSON."""
    facts = {name: getattr(call, name) for name in models.Call.model_fields}
    return {
        name: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for name, value in facts.items()
    }


def _place(call: CallRecord) -> str:
    return str(Place(call.started if call.open else call.ended, call.call))


def _read(config: Config, wanted: models.CallPage, after: Place | None) -> list[CallRecord]:
    with reading(config.ledger_url) as reader:
        if wanted.state == "ended":
            return ended(reader, wanted.limit + 1, after)
        now = going_on(reader, config.ledger.max_call_seconds, time.time())
        found = sorted(now, key=lambda call: (call.started, call.call))
        return [each for each in found if after is None or (each.started, each.call) > after][
            : wanted.limit + 1
        ]


@allowed()
async def list_certificates(request: Request) -> Response:
    """The certificates that the node uses."""
    items = [models.Certificate(**asdict(each)) for each in certificates_of(office_of(request).config)]
    return JSONResponse(models.Certificates(items=items).model_dump())


@allowed()
async def verify_ledger(request: Request) -> Response:
    """Check every chain of the ledger from its beginning; what was found within a minute is given again."""
    config = office_of(request).config
    if not config.ledger.enabled:
        raise HTTPException(404, "No ledger is kept.")
    proof = office_of(request).proof
    await proof.fresh(config)
    if proof.problem:
        raise HTTPException(503, proof.problem)
    chains = [
        models.Chain(
            writer=each.writer,
            events=each.events,
            sealed=each.sealed,
            unsealed=each.unsealed,
            finding=str(each.finding or ""),
        )
        for each in proof.reports
    ]
    told = models.Verification(good=proof.good, verified=proof.when, chains=chains)
    return JSONResponse(told.model_dump())
