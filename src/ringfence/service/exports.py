"""What shows messages to other programs all the time: HEP to Homer, traces to an OpenTelemetry collector.

Nothing is made, and no message is looked at, when neither is configured.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.message import LocalError
from ringfence.security.pem import key_file_flaw
from ringfence.service.config import Config
from ringfence.service.finding import Finding, error, warning
from ringfence.service.hep import Agent
from ringfence.service.homer import Homer, Server
from ringfence.service.metrics import Metrics
from ringfence.service.secrets import read_secret
from ringfence.service.trace import Trace
from ringfence.service.wiring import Parts, derive

if TYPE_CHECKING:
    from ringfence.service.spans import Spans

SWEEP_SECONDS = 30.0
"""How often spans are looked for that have been open for too long."""

OTLP = "opentelemetry.exporter"
"""What of OpenTelemetry is not there when only its API is, which other packages bring."""

MAX_KEY = 255
"""Octets of the password of a HEP server."""

Repeat = Callable[[float, Callable[[], Awaitable[None]]], None]


class Exports:
    """What a node exports, from `open` to `close`."""

    def __init__(self, parts: Parts, trace: Trace, metrics: Metrics) -> None:
        """Raises LocalError: a file can't be read, or a package is missing."""
        config = parts.config
        self._trace = trace
        self._tasks: list[asyncio.Task[None]] = []
        self._homer = make_homer(config)
        self._spans = make_spans(config)
        if self._homer is not None:
            _read_homer(metrics, self._homer)
        if self._spans is not None:
            spans = self._spans
            parts.server.steps = spans.timed(parts.server.steps)
            text = "INVITEs that were traced, and those that were not since too many went on"
            metrics.counter("ringfence_traced", text, ("what",), lambda: _named(spans.counts))

    def open(self, repeat: Repeat) -> None:
        """Begin."""
        if self._homer is not None:
            self._trace.export(self._homer)
            self._tasks.append(asyncio.create_task(self._homer.run()))
        if self._spans is not None:
            self._trace.export(self._spans)
            repeat(SWEEP_SECONDS, self._sweep)

    async def _sweep(self) -> None:
        if self._spans is not None:
            self._spans.sweep(time.time())

    async def close(self) -> None:
        """End. Spans are flushed, messages that wait for a HEP server are not."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._homer is not None:
            self._trace.leave(self._homer)
        if self._spans is not None:
            self._trace.leave(self._spans)
            await self._spans.close()


def make_homer(config: Config) -> Homer | None:
    """From ``[hep]``. Raises LocalError."""
    section = config.hep
    if not section.server:
        return None
    context = None
    if section.transport == "tls":
        context = ssl.create_default_context()
        if section.trust is not None:
            try:
                context.load_verify_locations(section.trust)
            except OSError as problem:  # ssl.SSLError is one
                raise LocalError(f"{section.trust}: {problem}") from None
    password = _first_line(section.password).encode() if section.password is not None else b""
    if len(password) > MAX_KEY:
        raise LocalError(f"{section.password}: a password of more than {MAX_KEY} octets")
    server = Server(section.server, section.port, section.transport == "udp", context)
    agent = Agent(section.capture_id, password, config.writer)
    return Homer(server, agent, section.private, derive(read_secret(config.secret_file), "hep"))


def make_spans(config: Config) -> Spans | None:
    """From ``[otel]``. Raises LocalError."""
    section = config.otel
    if not section.endpoint:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

        from ringfence.service.spans import Spans
    except ImportError:
        raise LocalError("traces need OpenTelemetry; run: pip install 'ringfence[otel]'") from None
    facts = {
        "service.name": "ringfence",
        "service.version": version("ringfence"),
        "service.namespace": config.domain.name,
        "service.instance.id": config.writer,
    }
    exporter = OTLPSpanExporter(
        section.endpoint,
        certificate_file=str(section.trust) if section.trust is not None else None,
        headers=_headers(section.headers),
    )
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(section.sample)),
        resource=Resource.create(facts),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))  # a thread of its own, a bounded queue
    return Spans(provider, section.call_id, derive(read_secret(config.secret_file), "otel"))


def exports_are_safe(config: Config) -> Iterator[Finding]:
    """What is told to other programs can't be read by everybody on the way; the packages are there."""
    hep = config.hep
    if hep.server and hep.transport != "tls" and not _is_here(hep.server):
        reason = f"who calls whom goes to {hep.server} in plain text"
        yield warning(config, ("hep", "transport"), reason, 'write transport = "tls", or use a tunnel')
    for path in (("hep", "password"), ("otel", "headers")):
        file: Path | None = getattr(getattr(config, path[0]), path[1])
        if file is not None and not file.is_file():
            yield error(config, path, f"there is no file {file}", "make it, readable by nobody else")
    if config.otel.endpoint and (find_spec("opentelemetry") is None or find_spec(OTLP) is None):
        reason = "traces need OpenTelemetry"
        yield error(config, ("otel", "endpoint"), reason, "run: pip install 'ringfence[otel]'")


def _read_homer(metrics: Metrics, homer: Homer) -> None:
    text = (
        "Messages for the HEP server: sent, dropped (too many waited), lost (in a broken connection), omitted"
    )
    metrics.counter("ringfence_hep_messages", text, ("outcome",), lambda: _named(homer.counts))
    metrics.gauge("ringfence_hep_waiting", "Messages that wait for it", (), lambda: {(): homer.waiting})
    metrics.gauge("ringfence_hep_connected", "Whether it is there", (), lambda: {(): homer.connected})


def _named(counts: dict[str, int]) -> dict[tuple[str, ...], float]:
    return {(name,): count for name, count in counts.items()}


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _first_line(path: Path) -> str:
    return _lines(path)[0]


def _headers(path: Path | None) -> dict[str, str]:
    found = {}
    for line in _lines(path) if path is not None else []:
        name, colon, value = line.partition(":")
        if not colon:
            raise LocalError(f"{path}: each line is NAME: VALUE")
        found[name.strip()] = value.strip()
    return found


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
        flaw = key_file_flaw(path.stat().st_mode)
    except (OSError, UnicodeDecodeError) as problem:
        raise LocalError(f"{path}: {problem}") from None
    if flaw is not None:
        raise LocalError(f"{path}: {flaw}; run: chmod 600 {path}")
    return [each for each in text.splitlines() if each.strip()] or [""]
