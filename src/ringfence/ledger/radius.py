"""Accounting to RADIUS servers (RFC 2866), from the ledger and never beside it.

The ledger is the spool: it is durable already. This follower reads the events of one writer in order, sends a Start
when a call was answered and a Stop when it ended, and moves on when a server has said that it has them. Where it is,
is kept in a file. While no server answers it waits, and calls go on; when one is back it gets all that it missed, with
the time when it happened. A request whose answer was lost is sent again with the same Acct-Session-Id, by which the
server knows it (RFC 2866 section 2).
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import structlog
from pyrad.client import Client, Timeout  # type: ignore[import-untyped]
from pyrad.dictionary import Dictionary  # type: ignore[import-untyped]
from pyrad.packet import AccountingResponse, PacketError  # type: ignore[import-untyped]

from ringfence.ledger.events import Event, Kind
from ringfence.ledger.keys import Privacy
from ringfence.ledger.reading import reading
from ringfence.message.errors import LocalError

log = structlog.get_logger("ringfence.radius")

LOOK_SECONDS = 1.0
"""How often the ledger is looked at for what is new."""

RETRY_SECONDS = 5.0
"""How soon the servers are tried again after none has answered."""

AT_ONCE = 200
"""Events that are read at a time; the place is written after each portion."""

MAX_TEXT = 253
"""Octets of an attribute (RFC 2865 section 5)."""

_CAUSES = {
    "the node crashed": "NAS-Reboot",
    "the node stopped": "NAS-Reboot",
    "it lasted as long as a call may": "Session-Timeout",
    "its session was not refreshed": "NAS-Error",
    "it was not refreshed": "NAS-Error",
    "its credit is used up": "Session-Timeout",
    "its account has called too much": "Admin-Reset",
    "the account has too many calls": "Admin-Reset",
    "its credit server has ended it": "Admin-Reset",
}


@dataclass(frozen=True, slots=True)
class RadiusServer:
    """One server."""

    host: str
    port: int
    secret: bytes = field(repr=False)
    timeout: float = 2.0
    tries: int = 2
    sterman: bool = False
    """Digests are put as draft-sterman-aaa-sip-00 had them, before RFC 5090: so does rlm_digest of FreeRADIUS 3."""


@dataclass(slots=True)
class _Place:
    """How far the servers know the ledger: ``number`` was the last event; calls open then began at ``low`` or later."""

    number: int = 0
    low: int = 1


@dataclass(slots=True)
class _Call:
    number: int
    facts: dict[str, Any]
    answered: float = 0.0


class NoServer(LocalError):
    """No RADIUS server has answered."""


class RadiusAccounting:
    """Tells RADIUS servers of the calls of one writer. ``place``: the file that keeps how far it has come."""

    def __init__(
        self,
        url: str,
        writer: str,
        servers: Sequence[RadiusServer],
        place: Path,
        privacy: Privacy | None = None,
    ) -> None:
        self._url = url
        self._writer = writer
        self._file = place
        self._privacy = privacy
        dictionary = Dictionary(str(Path(__file__).with_name("radius.dictionary")))
        self._clients = [_client(server, dictionary) for server in servers]
        self._place = _read_place(place)
        self._calls: dict[str, _Call] = {}
        self._remembered = False
        self.behind = False
        """Whether no server answers, so that accounting waits in the ledger."""

    @property
    def needs(self) -> int:
        """The first event that may still have to be read: the start of a call that goes on, or the next one."""
        return self._place.low

    async def run(self) -> None:
        """Follow the ledger until cancelled."""
        while True:
            try:
                more = await asyncio.to_thread(self.advance)
            except NoServer as error:
                if not self.behind:
                    log.error("no RADIUS server answers; accounting waits in the ledger", reason=str(error))
                self.behind = True
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if self.behind:
                log.info("a RADIUS server answers again")
                self.behind = False
            if not more:
                await asyncio.sleep(LOOK_SECONDS)

    def advance(self) -> bool:
        """Send what is new, a portion of it; gives whether there may be more. Blocks.

        Raises:
            NoServer: Nobody took it. What had been taken before is not sent again.
            StoreError: The ledger can't be read.
        """
        with reading(self._url) as ledger:
            if not self._remembered:
                self._remember(ledger.numbered(self._writer, self._place.low))
            events = list(islice(ledger.numbered(self._writer, self._place.number + 1), AT_ONCE))
        try:
            for number, event in events:
                self._tell(number, event)
                self._place.number = number
        finally:
            if events:
                self._place.low = min(
                    (call.number for call in self._calls.values()), default=self._place.number + 1
                )
                _write_place(self._file, self._place)
        return len(events) == AT_ONCE

    def _remember(self, events: Iterable[tuple[int, Event]]) -> None:
        """The calls that were open when a process before this one stopped."""
        for number, event in events:
            if number > self._place.number:
                break
            self._follow(number, event)
        self._remembered = True

    def _follow(self, number: int, event: Event) -> _Call | None:
        """The call of an event as it is then; a stop takes it away."""
        if event.kind is Kind.START:
            facts = dict(event.facts) if self._privacy is None else self._privacy.open(event.facts)
            self._calls.setdefault(event.call, _Call(number, facts))
            return None
        call = self._calls.get(event.call)
        if call is None:
            return None
        if event.kind is Kind.ANSWER:
            first, call.answered = not call.answered, call.answered or event.time
            return call if first else None
        if event.kind is Kind.STOP:
            del self._calls[event.call]
            return call if call.answered else None
        return None

    def _tell(self, number: int, event: Event) -> None:
        before = self._calls.get(event.call)
        answered = before.answered if before is not None else 0.0
        call = self._follow(number, event)
        if call is None:
            return
        try:
            self._send(self._attributes(event, call))
        except NoServer:  # it will be told again: undo what `_follow` did
            assert before is not None
            before.answered = answered
            self._calls[event.call] = before
            raise

    def _attributes(self, event: Event, call: _Call) -> dict[str, Any]:
        stop = event.kind is Kind.STOP
        facts = call.facts
        attributes: dict[str, Any] = {
            "Acct-Status-Type": "Stop" if stop else "Start",
            "Acct-Session-Id": event.call,
            "User-Name": _text(
                str(facts.get("account") or facts.get("peer") or "outside").removeprefix("sip:")
            ),
            "NAS-Identifier": _text(self._writer),
            "Called-Station-Id": _text(str(facts.get("callee", ""))),
            "Acct-Authentic": "Local" if facts.get("account") else "Remote",
            "Event-Timestamp": int(event.time),
            "Acct-Delay-Time": max(0, int(time.time() - event.time)),
        }
        if not facts.get("private"):
            attributes["Calling-Station-Id"] = _text(str(facts.get("caller", "")))
        if stop:
            attributes["Acct-Session-Time"] = max(0, round(event.time - call.answered))
            reason = str(event.facts.get("reason", ""))
            attributes["Acct-Terminate-Cause"] = _CAUSES.get(reason, "User-Request")
        return attributes

    def _send(self, attributes: dict[str, Any]) -> None:
        """To the first server that answers, which is asked first from then on."""
        failures = []
        for client in tuple(self._clients):
            request = client.CreateAcctPacket()
            for name, value in attributes.items():
                request[name] = value
            try:
                reply = client.SendPacket(request)
            except (Timeout, PacketError, OSError) as error:
                failures.append(f"{client.server}: {str(error) or 'no answer'}")
                continue
            if reply.code == AccountingResponse:
                self._clients.remove(client)
                self._clients.insert(0, client)
                return
            failures.append(f"{client.server}: code {reply.code}")
        raise NoServer("; ".join(failures))


def _client(server: RadiusServer, dictionary: Dictionary) -> Client:
    return Client(
        server.host,
        acctport=server.port,
        secret=server.secret,
        dict=dictionary,
        retries=server.tries,
        timeout=server.timeout,
    )


def _text(text: str) -> str:
    """As much of a text as an attribute holds."""
    return text.encode("utf-8", "replace")[:MAX_TEXT].decode("utf-8", "ignore") or "-"


def _read_place(path: Path) -> _Place:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return _Place(int(fields["number"]), int(fields["low"]))
    except FileNotFoundError:
        return _Place()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LocalError(f"{path} can't be read: {error}") from None


def _write_place(path: Path, place: _Place) -> None:
    temporary = path.with_name(path.name + ".new")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"number": place.number, "low": place.low}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
