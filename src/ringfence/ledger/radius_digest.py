"""Digest authentication by RADIUS servers (RFC 5090): is this response right, and what may the user do?

We make the nonces, as a RADIUS client "recognizes" them (section 2.1.2); or the servers do, and are asked for each
(section 2.1.5, `radius_nonces`). Against BlastRADIUS (CVE-2024-3596) each Access-Request begins
with a Message-Authenticator, and an answer without one, or with a Proxy-State that we did not send, is none at all.

Servers are asked one after the other. One that has not answered is left alone for a while; while all are, one request
at a time goes to find out whether somebody is back, and the others fail at once. No request waits longer than ``tries``
times ``timeout`` for each server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from pyrad.client_async import ClientAsync  # type: ignore[import-untyped]
from pyrad.dictionary import Dictionary  # type: ignore[import-untyped]
from pyrad.packet import AccessAccept, AccessChallenge, AccessReject  # type: ignore[import-untyped]

from ringfence.ledger.radius import MAX_TEXT, RadiusServer
from ringfence.ledger.radius_nonces import Ticket, demand_of, escaped, nextnonce_of, wanted_attributes
from ringfence.security.digest import AUTH_INT, Outcome
from ringfence.store.authority import (
    Authority,
    Demand,
    Grant,
    Judgement,
    NoJudgement,
    NonceMaker,
    Question,
    Wanted,
)

log = structlog.get_logger("ringfence.radius")

PENDING = 200
"""Requests that may wait for one server: an identifier has 256 values (RFC 2865 section 3)."""

DEAD_SECONDS = 20.0
"""How long a server that has not answered is asked last."""


class _Server:
    """One server, its socket and whether it has answered lately. ``place``: its place among the servers."""

    def __init__(self, place: int, server: RadiusServer, dictionary: Dictionary) -> None:
        self.place = place
        self.name = f"{server.host}:{server.port}"
        self.dead_until = 0.0
        self.waiting = 0
        self._sterman = server.sterman
        self._client = ClientAsync(
            server.host,
            auth_port=server.port,
            secret=server.secret,
            dict=dictionary,
            retries=server.tries - 1,
            timeout=server.timeout,
            enforce_ma=True,
        )
        self._opening = asyncio.Lock()
        self._open = False

    async def ask(self, attributes: Mapping[str, str], state: bytes = b"") -> Any:
        """The reply. ``state``: what it has given us with a challenge. Raises TimeoutError or OSError when there is
        none."""
        self.waiting += 1  # before anything is waited for: identifiers are given out by this number
        try:
            return await self._send(attributes, state)
        finally:
            self.waiting -= 1

    async def _send(self, attributes: Mapping[str, str], state: bytes) -> Any:
        async with self._opening:
            if not self._open:
                await self._client.initialize_transports(enable_auth=True)
                self._open = True
        request = self._client.CreateAuthPacket()
        request.add_message_authenticator()
        for name, value in _as_sterman(attributes) if self._sterman else attributes.items():
            request.AddAttribute(name, value)
        if state:
            request.AddAttribute("State", state)
        return await self._client.SendPacket(request)

    async def close(self) -> None:
        if self._open:
            await self._client.deinitialize_transports()


class RadiusAuthority:
    """See `store.authority.Authority`. ``name``: ours, as NAS-Identifier."""

    def __init__(
        self, servers: Sequence[RadiusServer], name: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        dictionary = Dictionary(str(Path(__file__).with_name("radius.dictionary")))
        self._servers = [_Server(place, server, dictionary) for place, server in enumerate(servers)]
        self._name = name
        self._clock = clock
        self._probing = False

    async def judge(self, question: Question) -> Judgement:
        """See `Authority.judge`."""
        ticket = Ticket.parse(question.ticket) if question.ticket is not None else None
        attributes = self._attributes(question, ticket)
        if attributes is None:
            return Judgement(Outcome.WRONG)
        place, reply = await self._ask(
            attributes, None if ticket is None else ticket.for_use(question.credentials)
        )
        return _judgement(place, reply, question)

    async def demand(self, wanted: Wanted) -> Demand:
        """See `NonceMaker.demand`."""
        place, reply = await self._ask({**wanted_attributes(wanted), "NAS-Identifier": self._name})
        demand = demand_of(place, reply) if reply.code == AccessChallenge else None
        if demand is None:
            log.error("a RADIUS server was asked for a nonce and gave none", code=reply.code)
            raise NoJudgement(503, "the RADIUS server makes no nonces")
        return demand

    async def close(self) -> None:
        """See `Authority.close`."""
        for server in self._servers:
            await server.close()

    async def _ask(self, attributes: Mapping[str, str], ticket: Ticket | None = None) -> tuple[int, Any]:
        """The reply of one of them, and its place."""
        now = self._clock()
        alive = [each for each in self._servers if each.dead_until <= now]
        if alive:
            return await self._ask_each(alive, attributes, ticket)
        if self._probing:
            raise NoJudgement(503, "no RADIUS server answers")
        self._probing = True
        try:
            return await self._ask_each(self._servers, attributes, ticket)
        finally:
            self._probing = False

    async def _ask_each(
        self, servers: Sequence[_Server], attributes: Mapping[str, str], ticket: Ticket | None
    ) -> tuple[int, Any]:
        busy = True
        maker = None if ticket is None else ticket.place
        for server in sorted(
            servers, key=lambda each: each.place != maker
        ):  # who made the nonce knows it best
            if server.waiting >= PENDING:
                continue
            busy = False
            state = ticket.state if ticket is not None and server.place == maker else b""
            try:
                reply = await server.ask(attributes, state)
            except (TimeoutError, OSError) as error:
                log.warning("a RADIUS server does not answer", server=server.name, reason=str(error))
                server.dead_until = self._clock() + DEAD_SECONDS
                continue
            server.dead_until = 0.0
            return server.place, reply
        if busy:
            raise NoJudgement(503, "too many wait for the RADIUS servers")
        raise NoJudgement(504, "no RADIUS server has answered")

    def _attributes(self, question: Question, ticket: Ticket | None) -> Mapping[str, str] | None:
        """RFC 5090 section 2.1.2; None for what does not fit into RADIUS, so that no server can have meant it."""
        given = question.credentials
        found = {
            "User-Name": given.username,
            "NAS-Identifier": self._name,
            "Digest-Response": given.response,
            "Digest-Realm": given.realm,
            "Digest-Nonce": given.nonce,
            "Digest-Method": question.method,
            "Digest-URI": given.uri,
            "Digest-Qop": given.qop,
            "Digest-Algorithm": given.algorithm,
            "Digest-Entity-Body-Hash": question.body_hash,
            "Digest-CNonce": given.cnonce,
            "Digest-Nonce-Count": given.nc,
            "Digest-Username": given.username,
            "Digest-Opaque": given.opaque if ticket is None else ticket.opaque,
            "SIP-AOR": question.address,
        }
        # Section 2.1.2: values go as they stood between the quotes, with what was escaped there.
        values = {name: escaped(value) for name, value in found.items() if value}
        fits = all(value.isprintable() and len(value.encode()) <= MAX_TEXT for value in values.values())
        return values if fits else None


_STERMAN = (
    "Digest-Realm",
    "Digest-Nonce",
    "Digest-Method",
    "Digest-URI",
    "Digest-Qop",
    "Digest-Algorithm",
    "Digest-Entity-Body-Hash",
    "Digest-CNonce",
    "Digest-Nonce-Count",
    "Digest-Username",
)
"""The sub-attributes of the draft in order of their types, from 1 on."""


def _as_sterman(attributes: Mapping[str, str]) -> Iterator[tuple[str, str | bytes]]:
    """The same as the draft puts it: each part of the digest is a sub-attribute of one of type 207."""
    for name, value in attributes.items():
        if name == "Digest-Response":
            yield "Sterman-Response", value
        elif name in _STERMAN:
            octets = value.encode()[: MAX_TEXT - 2]
            yield "Sterman-Attributes", bytes((_STERMAN.index(name) + 1, len(octets) + 2)) + octets
        elif not name.startswith("Digest-"):
            yield name, value


def _judgement(place: int, reply: Any, question: Question) -> Judgement:
    """What a server means."""
    if reply.code == AccessAccept:
        proof = reply.get("Digest-Response-Auth", [""])[0]
        qop = question.credentials.qop
        if proof and qop is not None and qop.lower() == AUTH_INT:
            # Section 2.1.3: "behaves as if it had received an Access-Reject packet", since who can't know our answer
            # can't have hashed it.
            return Judgement(Outcome.WRONG)
        following = nextnonce_of(place, reply, question) if question.ticket is not None else None
        return Judgement(Outcome.OK, _grant(reply), proof, following)
    if reply.code == AccessChallenge:
        outcome = Outcome.STALE if reply.get("Digest-Stale", [""])[0] == "true" else Outcome.WRONG
        return Judgement(outcome, demand=demand_of(place, reply) if question.ticket is not None else None)
    if reply.code != AccessReject:
        raise NoJudgement(503, f"a RADIUS server answered with code {reply.code}")
    return Judgement(Outcome.WRONG)


def _grant(reply: Any) -> Grant:
    return Grant(
        reply.get("Filter-Id", [""])[0],
        reply.get("Port-Limit", [None])[0],
        reply.get("Session-Timeout", [None])[0],
    )


_PROVED: type[Authority] = RadiusAuthority  # by the type checker
_PROVED_TOO: type[NonceMaker] = RadiusAuthority
