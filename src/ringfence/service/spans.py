"""Calls as OpenTelemetry traces: a span for each INVITE that comes in, one below it for each branch that goes out and
for each step that had to wait.

They are made from the messages that pass, as a trace has them, so that nothing on the way of a message knows of this.
Which branch belongs to which call is known by the Via below ours; where that is hidden, by the context of the message
that caused it: the INVITE, or the answer that made us try the next target. There are no semantic conventions for SIP:
names of attributes follow those of HTTP, and ``network.*`` is as it stands there. No attribute names a user, an address
or a phone.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context

from ringfence.message import Message, PeerError, Request, Response
from ringfence.message.fields.via import VIA, Via
from ringfence.roles.call import Call
from ringfence.roles.pipeline import DECIDED, Continue, Step, Verdict
from ringfence.transport.flow import Flow

MAX_OPEN = 20_000
"""INVITEs that are followed at a time; more are counted, not traced."""

LONGEST_SECONDS = 900.0
"""For an INVITE to be answered: proxies give up after some minutes (Timer C). What is open then ends."""

FLUSH_SECONDS = 5.0
"""What a node that stops waits for the collector."""

Policy = Literal["hash", "plain", "omit"]
Key = tuple[str, str]
"""The branch and the sent-by of a Via: names a transaction (RFC 3261 section 17.2.3)."""


@dataclass(slots=True, eq=False)
class Followed:
    """An INVITE that came in, or a branch of one."""

    span: Span
    begun: float
    parent: Followed | None = None
    answered: bool = False
    branches: list[Key] = field(default_factory=list)


_current: ContextVar[Followed | None] = ContextVar("ringfence_call", default=None)


class Spans:
    """The exporter of one node."""

    def __init__(self, provider: TracerProvider, policy: Policy = "hash", key: bytes = b"") -> None:
        self.counts: Counter[str] = Counter()
        self._provider = provider
        self._tracer = provider.get_tracer("ringfence")
        self._policy = policy
        self._key = key
        self._calls: dict[Key, Followed] = {}
        self._branches: dict[Key, Followed] = {}

    def offer(self, direction: str, message: Message, _flow: Flow, now: float, *, private: bool) -> None:
        """Take a message of a call. What can't be read is nobody's: the node has dealt with it."""
        inward = direction == "in"
        try:
            if isinstance(message, Request):
                if message.method == "INVITE":
                    (self._came if inward else self._went)(message, _flow, now, private)
                    return
                if message.method == "CANCEL" and inward and (call := self._calls.get(key_of(message.via))):
                    call.span.add_event("CANCEL", timestamp=_ns(now))
            elif isinstance(message, Response) and message.cseq.method == "INVITE":
                (self._answered if inward else self._answers)(message, now)
                return
        except PeerError:
            pass
        if inward:
            _current.set(None)

    def sweep(self, now: float) -> None:
        """End what has been open for too long."""
        for open_ones in (self._branches, self._calls):
            for key, each in list(open_ones.items()):
                if now - each.begun < LONGEST_SECONDS:
                    break  # they stand in the order in which they began
                del open_ones[key]
                each.span.end(_ns(now))

    async def close(self) -> None:
        """End what is open and give the collector what it has not got."""
        for each in (*self._branches.values(), *self._calls.values()):
            each.span.end()
        self._calls.clear()
        self._branches.clear()
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await asyncio.to_thread(self._provider.shutdown)
        except TimeoutError:
            pass  # its thread is no reason to stay

    # -- what came and went ----------------------------------------------------------------------------

    def _came(self, request: Request, flow: Flow, now: float, private: bool) -> None:
        key = key_of(request.via)
        call = self._calls.get(key)
        if call is None:
            if len(self._calls) >= MAX_OPEN:
                self.counts["too many"] += 1
                _current.set(None)
                return
            self.counts["calls"] += 1
            span = self._tracer.start_span("INVITE", kind=SpanKind.SERVER, start_time=_ns(now))
            call = self._calls[key] = Followed(span, now)
            if span.is_recording():
                span.set_attributes(self._facts(request, flow, private))
        _current.set(call)

    def _went(self, request: Request, flow: Flow, now: float, private: bool) -> None:
        key = key_of(request.via)
        if key in self._branches:
            return  # sent again
        call = self._below(request) or _current.get()
        if call is None or len(self._branches) >= MAX_OPEN:
            return
        above = set_span_in_context(call.span)
        span = self._tracer.start_span("branch", above, SpanKind.CLIENT, start_time=_ns(now))
        self._branches[key] = Followed(span, now, call)
        call.branches.append(key)
        if span.is_recording():
            span.set_attributes(self._facts(request, flow, private))

    def _below(self, request: Request) -> Followed | None:
        """The call whose Via is the one below ours."""
        vias = request.headers.every(VIA)
        return self._calls.get(key_of(vias[1])) if len(vias) > 1 else None

    def _answered(self, response: Response, now: float) -> None:
        key = key_of(response.via)
        branch = self._branches.get(key)
        _current.set(None if branch is None else branch.parent)
        if branch is None:
            return
        branch.answered = True
        if response.status < 200:
            branch.span.add_event(str(response.status), timestamp=_ns(now))
            return
        del self._branches[key]
        _end(branch.span, response.status, now, failed=response.status == 408 or response.status >= 500)

    def _answers(self, response: Response, now: float) -> None:
        key = key_of(response.via)
        call = self._calls.get(key)
        if call is None:
            return
        if response.status < 200:
            call.span.add_event(str(response.status), timestamp=_ns(now))
            return
        del self._calls[key]
        for each in call.branches:
            branch = self._branches.get(each)
            if branch is not None and not branch.answered:  # nobody was there; the others answer their CANCEL
                del self._branches[each]
                branch.span.set_attribute("error.type", "no answer")
                branch.span.set_status(Status(StatusCode.ERROR))
                branch.span.end(_ns(now))
        _end(call.span, response.status, now, failed=500 <= response.status < 600)

    def _facts(self, request: Request, flow: Flow, private: bool) -> dict[str, str | bool]:
        facts: dict[str, str | bool] = {
            "network.protocol.name": "sip",
            "network.protocol.version": "2.0",
            "network.transport": "udp" if flow.transport == "UDP" else "tcp",
            "sip.request.method": request.method,
            "ringfence.transport": flow.transport,
            "ringfence.in_dialog": "tag" in request.to.params,
            "ringfence.private": private,
        }
        if not private and self._policy != "omit":
            facts["sip.call_id"] = self._name_of(request.call_id)
        return facts

    def _name_of(self, call_id: str) -> str:
        if self._policy == "plain":
            return call_id
        data = call_id.encode("utf-8", "surrogateescape")
        return blake2b(data, key=self._key, digest_size=12).hexdigest()

    # -- steps that wait -------------------------------------------------------------------------------

    def timed(self, steps: Iterable[Step]) -> tuple[Step, ...]:
        """The same steps, of which each that waits while an INVITE is decided on has a span: for a database, an AAA
        server, a certificate, DNS."""
        return tuple(self._timed(step) for step in steps)

    def _timed(self, step: Step) -> Step:
        name = str(getattr(step, "__name__", "step"))

        def watched(call: Call) -> Verdict | Awaitable[Verdict]:
            verdict = step(call)
            if isinstance(verdict, (Continue, *DECIDED)):
                return verdict
            above = _current.get()
            if above is None or call.request.method != "INVITE":
                return verdict
            return self._wait(name, above, verdict)

        return watched

    async def _wait(self, name: str, above: Followed, waiting: Awaitable[Verdict]) -> Verdict:
        span = self._tracer.start_span(name, set_span_in_context(above.span))
        try:
            return await waiting
        except PeerError as error:
            span.set_attribute("sip.response.status_code", error.status)
            raise
        finally:
            span.end()


def key_of(via: Via) -> Key:
    """What names the transaction of a Via."""
    return via.branch or "", f"{via.host}:{via.port}"


def _end(span: Span, status: int, now: float, *, failed: bool) -> None:
    span.set_attribute("sip.response.status_code", status)
    if failed:
        span.set_attribute("error.type", str(status))
        span.set_status(Status(StatusCode.ERROR))
    span.end(_ns(now))


def _ns(now: float) -> int:
    return int(now * 1_000_000_000)
