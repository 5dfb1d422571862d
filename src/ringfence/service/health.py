"""``/healthz`` for whoever restarts the node or sends it traffic, ``/metrics`` for Prometheus.

Health is a question with few words as its answer: each part that the node can't do without gives None when it
is well, or a sentence. 200 when all are well, 503 when one is not. What will be a problem is a warning, and changes
nothing: nobody must restart a node since its certificate ends in a week.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ringfence.service.logs import redact
from ringfence.service.metrics import CONTENT_TYPE, Metrics

CHECK_SECONDS = 2.0
"""A part that does not answer in this time is not well. Shorter than the time-outs of load balancers."""

Check = Callable[[], Awaitable[str | None]]
"""None: well. Else a sentence that says what is wrong."""

Facts = Callable[[], Mapping[str, Any]]
"""What /healthz tells besides: version, domain, uptime in seconds."""


def health_app(
    metrics: Metrics, checks: Mapping[str, Check], facts: Facts, warnings: Mapping[str, Check] | None = None
) -> Starlette:
    """The application. Names of `checks` and `warnings` are parts of the node: "database", "certificates"."""

    async def healthz(_request: Request) -> Response:
        found = await examine(checks)
        remarks = await examine(warnings or {})
        well = all(problem is None for problem in found.values())
        shown = {name: problem or "ok" for name, problem in found.items()}
        body = {"status": "ok" if well else "unavailable", **facts(), "checks": shown}
        if told := {name: remark for name, remark in remarks.items() if remark is not None}:
            body["warnings"] = told
        return JSONResponse(body, status_code=200 if well else 503, headers={"Cache-Control": "no-store"})

    async def show_metrics(_request: Request) -> Response:
        return PlainTextResponse(metrics.render(), media_type=CONTENT_TYPE)

    return Starlette(routes=[Route("/healthz", healthz), Route("/metrics", show_metrics)])


async def examine(checks: Mapping[str, Check]) -> dict[str, str | None]:
    """Ask every part at once; one that fails or is too slow is a problem, never an error."""
    problems = await asyncio.gather(*map(_ask, checks.values()))
    return dict(zip(checks, problems, strict=True))


async def _ask(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS:g} s"
    except Exception as error:  # any fault of a part is what we were asked about
        return redact(f"{type(error).__name__}: {error}")
