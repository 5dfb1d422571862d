"""The record of calls, and whether it is as it was written."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringfence.console.web import office_of, page, render, session_of
from ringfence.ledger.keys import Privacy, read_public_keys
from ringfence.ledger.reading import reading
from ringfence.ledger.records import CallRecord, records_of
from ringfence.ledger.verification import Report
from ringfence.ledger.witness import read_witness
from ringfence.service.config import Config
from ringfence.service.ledger import public_path
from ringfence.service.secrets import read_secret
from ringfence.service.wiring import derive
from ringfence.store.records import Permission

SHOWN = 200
"""Calls on the page; the command line has all."""


@page()
async def show(request: Request) -> Response:
    """The latest calls. Who asked not to be named is named to those only who have the right, and who ask for it."""
    config = office_of(request).config
    session = await session_of(request)
    reveal = "reveal" in request.query_params and session is not None and session.may(Permission.REVEAL)
    calls: list[CallRecord] = []
    if config.ledger.enabled:
        calls = await asyncio.to_thread(_calls, config, reveal)
    return render(request, "ledger.html", calls=calls, reveal=reveal, enabled=config.ledger.enabled)


@page()
async def verify(request: Request) -> Response:
    """Check every chain from its beginning. It takes a while for a long ledger."""
    reports = await asyncio.to_thread(verified, office_of(request).config)
    return render(request, "verified.html", reports=reports)


def _calls(config: Config, reveal: bool) -> list[CallRecord]:
    privacy = Privacy(derive(read_secret(config.secret_file), "ledger")) if reveal else None
    with reading(config.ledger_url) as reader:
        latest: deque[CallRecord] = deque(records_of(reader.events(), privacy), SHOWN)
    return sorted(latest, key=lambda call: -call.started)


def verified(config: Config) -> list[Report]:
    """What checking every chain has shown. Blocks. Raises StoreError, LocalError."""
    keys = read_public_keys(public_path(config.ledger_key))
    witnessed: dict[str, Any] = read_witness(config.ledger_witness) if config.ledger_witness.exists() else {}
    with reading(config.ledger_url) as reader:
        return list(reader.verify(keys, witnessed))


ROUTES = (
    Route("/ledger", show, methods=["GET"]),
    Route("/ledger/verify", verify, methods=["POST"]),
)
