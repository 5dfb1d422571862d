"""Two test accounts: one calls, the other is called, so that a probe sees what reaches the callee."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ringfence.audit.exchange import Answer, again, ask, build, contact_of, token
from ringfence.audit.line import Line
from ringfence.audit.site import Login, Site, Unobservable
from ringfence.message import PeerError, Request, parse, response_to

PAIR = "pair"

FAILED_MARKS = ("verstat=tn-validation-failed", "verstat=no-tn-validation")
MARKS = (
    *FAILED_MARKS,
    "ringfence-caller: unverified",
    "ringfence-caller: failed",
    "alert-info:",
    "anonymous.invalid",
)
"""What a callee's phone can tell an unproved caller by (ATIS-1000074 section 5.3.1, RFC 3325, RFC 7462, our own)."""


@dataclass(slots=True)
class Delivery:
    """What became of a request from one account to the other."""

    answer: Answer
    arrived: Request | None
    """As the callee got it."""

    @property
    def request(self) -> Request:
        """As the callee got it. Raises Unobservable when nothing came."""
        if self.arrived is None:
            raise Unobservable(f"nothing reached the second account: {self.answer}")
        return self.arrived

    @property
    def mark(self) -> str:
        """What tells the callee that this caller has proved nothing; empty for no such thing."""
        head = self.request.to_bytes().partition(b"\r\n\r\n")[0].decode("utf-8", "replace").lower()
        return next((mark for mark in MARKS if mark in head), "")

    def get(self, name: str) -> str:
        """All values of a header field that the callee got, joined."""
        return ", ".join(self.request.headers.all(name))


@dataclass(slots=True)
class Script:
    """What the callee answers to one call, and what it got."""

    method: str
    status: int
    fields: tuple[tuple[str, str], ...] = ()
    arrived: list[Request] = field(default_factory=list)

    def fits(self, request: Request) -> bool:
        """Whether this may be the request that is waited for: a privacy service gives it another Call-ID."""
        return not self.arrived and self.method == request.method


class Callee:
    """A registered account that answers by script; what it has no script for, it answers with 200."""

    def __init__(self, site: Site, login: Login, line: Line) -> None:
        self.site, self.login, self.line = site, login, line
        self.scripts: dict[str, Script] = {}
        self.awaited: Script | None = None
        """What was sent last, under whatever Call-ID it comes."""
        self._tag = token(4)
        self._reading: asyncio.Task[None] | None = None

    def expect(self, request: Request, status: int, fields: Iterable[tuple[str, str]] = ()) -> Script:
        """Answer this request in this way; gives what keeps it when it has come."""
        self.awaited = self.scripts[request.call_id] = Script(request.method, status, tuple(fields))
        return self.awaited

    def start(self) -> None:
        """Answer from now on."""
        self._reading = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        while self.line.ended is None or self.line.place.datagrams:
            data = await self.line.receive(60)
            if data is None:
                continue
            try:
                request = parse(data)
                if isinstance(request, Request) and request.method != "ACK":
                    await self._answer(request)
            except PeerError:
                continue  # it is on the tape

    async def _answer(self, request: Request) -> None:
        script = self.scripts.get(request.call_id)
        if script is None and self.awaited is not None and self.awaited.fits(request):
            script = self.scripts[request.call_id] = self.awaited
        status = 200
        fields: tuple[tuple[str, str], ...] = ()
        if script is not None:
            script.arrived.append(request)
            if request.method not in {"BYE", "CANCEL"}:
                status, fields = script.status, script.fields
        response = response_to(request, status, to_tag=self._tag)
        if status == 200 and request.method == "INVITE":
            response.headers.add("Contact", f"<{contact_of(self.line)}>")
        for name, value in fields:
            response.headers.add(name, value)
        await self.line.send(response.to_bytes(), at_once=True)

    async def close(self) -> None:
        """Take the registration back."""
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
        if self.line.ended is None or self.line.place.datagrams:
            await self.site.register(self.line, self.login, expires="0")
        await self.line.close()


class Pair:
    """Two registered accounts, each on its own line."""

    def __init__(self, site: Site, caller: Login, outgoing: Line, callee: Callee) -> None:
        self.site, self.caller, self.outgoing, self.callee = site, caller, outgoing, callee

    async def deliver(
        self,
        method: str = "INVITE",
        *,
        uri: str = "",
        extra: Iterable[tuple[str, str]] = (),
        status: int = 486,
        answering: Iterable[tuple[str, str]] = (),
        line: Line | None = None,
        authenticate: bool = True,
        **parts: Any,
    ) -> Delivery:
        """Send from the caller (or another line) to the callee, who answers with ``status``."""
        site = self.site
        line = line or self.outgoing
        parts.setdefault("sender", site.uri(self.caller.user))
        parts.setdefault("contact", f"<{contact_of(line).replace('audit@', f'{self.caller.user}@')}>")
        request = build(line, method, uri or site.uri(self.callee.login.user), extra=extra, **parts)
        script = self.callee.expect(request, status, answering)
        answer = await ask(line, request, site.wait)
        if authenticate and answer.challenged:
            fields = site.credentials(self.caller, answer, request)
            answer = await ask(line, again(request, extra=fields), site.wait)
        site.look(answer)
        first = next((each for each in script.arrived if each.method == method), None)
        return Delivery(answer, first)

    async def close(self) -> None:
        """Take the registrations back."""
        await self.callee.close()
        if self.outgoing.ended is None or self.outgoing.place.datagrams:
            await self.site.register(self.outgoing, self.caller, expires="0")
        await self.outgoing.close()


async def pair(site: Site) -> Pair:
    """The two accounts, registered; made once and kept. Raises Unobservable."""
    found: Pair | None = site.kept(PAIR)
    if found is not None:
        if found.callee.line.ended is None or found.callee.line.place.datagrams:
            return found
        await found.close()
    caller, login = site.login(0), site.login(1)
    outgoing = await registered(site, caller)
    try:
        incoming = await registered(site, login)
    except (Unobservable, OSError):
        await outgoing.close()
        raise
    callee = Callee(site, login, incoming)
    callee.start()
    made: Pair = await site.keep(PAIR, Pair(site, caller, outgoing, callee))
    return made


async def registered(site: Site, login: Login, *transports: str) -> Line:
    """A line on which an account has registered. Raises Unobservable."""
    line = Line(
        site.need(*(transports or ("TLS", "TCP", "UDP", "WSS", "WS"))), site.tape, site.pace, site.contexts
    )
    await line.open()
    answer = await site.register(line, login)
    if answer.status != 200:
        await line.close()
        raise Unobservable(f"the test account {login.user} could not register: {answer}")
    return line
