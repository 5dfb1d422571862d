"""The audit of this node: the last report, and a button that makes another."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from ringfence.console.web import office_of, page, render
from ringfence.service.config import Config
from ringfence.store.records import Permission

LONGEST_SECONDS = 600.0
"""For an audit; it ends by itself after five minutes."""

# The report is one file with its own styles, and no script.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"


class Running:
    """The audit that runs, if one does."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.problem = ""

    @property
    def now(self) -> bool:
        """Whether one runs."""
        return self.task is not None and not self.task.done()

    def start(self, config: Config) -> None:
        """Start one, unless it runs."""
        if not self.now:
            self.problem = ""
            self.task = asyncio.create_task(self._run(config))

    async def _run(self, config: Config) -> None:
        words = ("-m", "ringfence", "audit", "--config", str(config.file), "--html", str(report_of(config)))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                _, errors = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            self.problem = "it took too long"
            return
        if process.returncode not in (0, 1):  # 1: something was found
            self.problem = errors.decode("utf-8", "replace")[-300:]


def report_of(config: Config) -> Path:
    """Where the report is kept."""
    return config.node.data_dir / "audit.html"


RUNNING = Running()


@page()
async def show(request: Request) -> Response:
    """Whether there is a report, and of when."""
    report = report_of(office_of(request).config)
    made = report.stat().st_mtime if report.exists() else None
    return render(request, "audit.html", made=made, running=RUNNING.now, problem=RUNNING.problem)


@page(Permission.ACCOUNTS)
async def start(request: Request) -> Response:
    """Begin an audit: it makes two accounts for its time, so it wants the right to make accounts."""
    RUNNING.start(office_of(request).config)
    return RedirectResponse("/audit", 303)


@page()
async def report(request: Request) -> Response:
    """The report itself."""
    path = report_of(office_of(request).config)
    if not path.exists():
        raise HTTPException(404, "There is no report yet.")
    return FileResponse(path, media_type="text/html", headers={"Content-Security-Policy": POLICY})


ROUTES = (
    Route("/audit", show, methods=["GET"]),
    Route("/audit", start, methods=["POST"]),
    Route("/audit/report", report, methods=["GET"]),
)
