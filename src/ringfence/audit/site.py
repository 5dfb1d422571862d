"""The server as the probes see it: its ports that answer, the test accounts, and how to ask it something."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ringfence.audit.exchange import Answer, again, ask, build, contact_of, token
from ringfence.audit.line import Line, Pace, Place, Tape, contexts_for_any_server
from ringfence.audit.target import Target
from ringfence.message import Request
from ringfence.security.digest import Algorithm
from ringfence.security.digest_client import answer as digest
from ringfence.security.digest_client import choose
from ringfence.service.config import Config

PREFERRED = ("UDP", "TCP", "TLS", "WSS", "WS")
"""Where a probe that can do with any transport asks: the plainest comes first, since it protects least."""

OTHER_SOURCE = "127.0.0.9"
"""Another address of this machine: who answers it and not us has banned us."""

STRANGE_SOURCE = "127.0.0.8"
"""Another one yet, for what may get its sender banned."""

BANNED = "it refuses this address, and answers another (a ban)"

EXPIRES = "300"
"""Seconds of a test registration: it is taken back at the end, and is soon over if that fails."""


class Unobservable(Exception):
    """A probe cannot see what it asks for; the text is the reason."""


class Login(NamedTuple):
    """A test account."""

    user: str
    password: str
    name: str = ""
    """The user name of the digest, if it is not the user."""


@dataclass
class Site:
    """One server under audit."""

    target: Target
    wait: float
    """Seconds in which it has to answer."""
    pace: Pace
    logins: tuple[Login, ...] = ()
    config: Config | None = None
    """Of the node that is audited, when it is ours to read."""
    trust: tuple[Path, ...] = ()
    """Roots that the server's certificate may come from; none: the operating system's."""
    patience: float = 40.0
    """Seconds within which a connection that does not get on has to be closed: Timer B and a little."""
    burst: bool = True
    """Whether the probes that a guard may answer with a ban are to be run."""
    places: tuple[Place, ...] = ()
    tape: Tape = field(default_factory=Tape)
    software: str = ""
    lost: str = ""
    """Why the server answers no more; empty while it does."""
    foreign: str = ""
    """The answer that says that the server is not for this domain; empty when it may be."""
    refusals: list[str] = field(default_factory=list)
    """Signs of a limit that were seen: 503 with Retry-After, 429, silence."""

    def __post_init__(self) -> None:
        self.contexts = contexts_for_any_server()
        self.nobody = f"audit-{token(4)}"
        """A user that there is not."""
        self._main: Line | None = None
        self._kept: dict[str, Any] = {}

    @property
    def domain(self) -> str:
        """The domain that the server serves."""
        return self.target.domain

    # -- where -----------------------------------------------------------------------------------------

    def place(self, *transports: str) -> Place | None:
        """The first place that answers with one of these transports, in this order."""
        for transport in transports:
            for place in self.places:
                if place.transport == transport:
                    return place
        return None

    def need(self, *transports: str) -> Place:
        """The same. Raises Unobservable when there is none."""
        found = self.place(*transports)
        if found is None:
            raise Unobservable(f"the server answers on no {' or '.join(transports)} port that was found")
        return found

    @property
    def main(self) -> Place:
        """Where a probe that can do with any transport asks."""
        return self.need(*PREFERRED)

    @contextlib.asynccontextmanager
    async def open(self, place: Place | None = None, local: str | None = None) -> Any:
        """A line of its own for one probe."""
        line = Line(place or self.main, self.tape, self.pace, self.contexts)
        await line.open(local)
        try:
            yield line
        finally:
            await line.close()

    async def line(self) -> Line:
        """The line that probes share."""
        if self._main is not None and self._main.ended and not self._main.place.datagrams:
            await self._main.close()
            self._main = None
        if self._main is None:
            self._main = Line(self.main, self.tape, self.pace, self.contexts)
            await self._main.open()
        return self._main

    async def close(self) -> None:
        """Take back what was registered, close all."""
        for kept in self._kept.values():
            with contextlib.suppress(OSError, Unobservable):
                await kept.close()
        if self._main is not None:
            await self._main.close()

    # -- asking ----------------------------------------------------------------------------------------

    def uri(self, user: str = "", scheme: str = "sip") -> str:
        """The address of a user of the domain, or that of the domain."""
        host = f"[{self.domain}]" if ":" in self.domain else self.domain
        return f"{scheme}:{user}@{host}" if user else f"{scheme}:{host}"

    async def ask(
        self, method: str, uri: str, *, line: Line | None = None, wait: float = 0, **parts: Any
    ) -> Answer:
        """Send a request without credentials and see what comes; parts are those of ``build``."""
        line = line or await self.line()
        parts.setdefault("sender", self.uri(self.nobody))
        answer = await ask(line, build(line, method, uri, **parts), wait or self.wait)
        self.look(answer)
        return answer

    async def send(self, line: Line, request: Request, wait: float = 0) -> Answer:
        """Send a request that is there already."""
        answer = await ask(line, request, wait or self.wait)
        self.look(answer)
        return answer

    async def look_at_domain(self) -> None:
        """See whether the server takes a registration in the domain for its own business."""
        uri = self.uri(self.nobody)
        answer = await self.ask("REGISTER", self.uri(), sender=uri, to=uri)
        if answer.status in {403, 404, 478, 500, 502}:
            self.foreign = f"a REGISTER there is answered {answer}"

    def look(self, answer: Answer) -> None:
        """Note what an answer tells besides: the software, and limits that were met."""
        final = answer.final
        if final is None:
            return
        self.software = self.software or final.headers.get("Server") or final.headers.get("User-Agent") or ""
        if final.status in {429, 503} and len(self.refusals) < 50:
            retry = final.headers.get("Retry-After")
            self.refusals.append(f"{answer}{f', Retry-After {retry}' if retry else ''}")

    async def alive(self, place: Place | None = None, local: str | None = None) -> bool:
        """Whether the server answers a new request from a new port."""
        return not await self.silence(place, local)

    async def silence(self, place: Place | None = None, local: str | None = None) -> str:
        """Why the server does not answer a new request from a new port; empty when it does."""
        try:
            async with self.open(place, local) as line:
                request = build(line, "OPTIONS", self.uri(), sender=self.uri(self.nobody))
                answer = await ask(line, request, self.wait)
                ended = line.ended
        except OSError as error:
            where = f"{(place or self.main).endpoint} "
            return str(error).removeprefix(where) or type(error).__name__
        self.look(answer)
        if answer.status:
            return ""
        if answer.octets:
            return f"{answer.octets} octets came that are no SIP response to an OPTIONS"
        return ended or f"no answer in {self.wait:g} s"

    @property
    def stranger(self) -> str | None:
        """Another address of this machine, where the server is on it: its own one may be spared what strangers meet."""
        near = self.target.loopback and ":" not in self.main.endpoint.host
        return STRANGE_SOURCE if near else None

    async def diagnose(self, local: str | None = None) -> str:
        """Why it does not answer (this address of ours); empty when it does after all."""
        for _ in range(2):
            if await self.alive(local=local):
                return ""
            await asyncio.sleep(self.wait)
        if self.stranger is not None and await self.alive(local=OTHER_SOURCE):
            return f"{BANNED}: let it pass for the time of the audit"
        return "it answers no more"

    # -- with credentials ------------------------------------------------------------------------------

    def login(self, number: int = 0) -> Login:
        """A test account. Raises Unobservable."""
        if len(self.logins) <= number:
            option = "--second-user" if number else "--user"
            raise Unobservable(f"it needs {'a second' if number else 'a'} test account: give {option}")
        return self.logins[number]

    def credentials(
        self, login: Login, answer: Answer, request: Request, *, count: int = 1, **changes: Any
    ) -> list[tuple[str, str]]:
        """Header fields that answer a challenge; ``changes`` are attributes of the credentials to be replaced."""
        name = "Authorization" if answer.status == 401 else "Proxy-Authorization"
        supported = changes.pop("supported", tuple(Algorithm))
        fields = []
        for challenge in choose(answer.challenges, supported)[:1]:
            made = digest(
                challenge,
                method=request.method,
                uri=changes.pop("uri", request.uri),
                username=login.name or login.user,
                password=login.password,
                cnonce=token(8),
                body=request.body,
                count=count,
            )
            for key, value in changes.items():
                setattr(made, key, value)
            fields.append((name, str(made)))
        return fields

    async def authorized(self, line: Line, login: Login, request: Request, wait: float = 0) -> Answer:
        """Send a request, and again with credentials if they are asked for."""
        first = await self.send(line, request, wait)
        if not first.challenged:
            return first
        return await self.send(line, again(request, extra=self.credentials(login, first, request)), wait)

    async def register(
        self, line: Line, login: Login, *, contact: str = "", expires: str = EXPIRES
    ) -> Answer:
        """Register a test account on a line."""
        contact = contact or contact_of(line).replace("audit@", f"{login.user}@")
        request = build(
            line,
            "REGISTER",
            self.uri(),
            sender=self.uri(login.user),
            to=self.uri(login.user),
            contact=f"<{contact}>",
            extra=[("Expires", expires)],
        )
        return await self.authorized(line, login, request)

    async def keep(self, name: str, made: Any) -> Any:
        """Keep something for later probes; it is closed at the end."""
        self._kept[name] = made
        return made

    async def drop(self, name: str) -> None:
        """Close what was kept under this name."""
        if (kept := self._kept.pop(name, None)) is not None:
            await kept.close()

    def kept(self, name: str) -> Any:
        """What was kept under this name, or None."""
        return self._kept.get(name)


INTERNAL = re.compile(
    r"(?<![\d.])(?:10\.\d{1,3}|127\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01])|169\.254)\.\d{1,3}(?:\.\d{1,3})?(?![\d.])"
)
"""Addresses that mean nothing outside (RFC 1918, RFC 3927), and loopback."""


def internal_addresses(texts: Iterable[str], known: Iterable[str]) -> list[str]:
    """Internal addresses in these texts besides those that we know from using them."""
    found = dict.fromkeys(match[0] for text in texts for match in INTERNAL.finditer(text))
    known = set(known)
    return [address for address in found if address not in known]
