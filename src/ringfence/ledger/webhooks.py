"""Calls told to a web server as they happen, from the ledger and never beside it.

The ledger is the spool, as it is for RADIUS: a follower reads the events of one writer in order, posts each as JSON,
and moves on when the server has answered 2xx. Where it is, is kept in a file. While the server does not answer, it is
tried again, later each time, and calls go on. An event whose answer was lost is posted again with the same id, so that
the server can know it. Requests are signed as Standard Webhooks has it: HMAC-SHA256 over id, time and body.

What names a private caller is sealed in the ledger and leaves the node by no webhook.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import http.client
import json
import os
import ssl
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from ringfence.ledger.events import Event, Kind
from ringfence.ledger.keys import SEALED
from ringfence.ledger.reading import reading
from ringfence.message.errors import LocalError
from ringfence.store.errors import StoreError

log = structlog.get_logger("ringfence.webhooks")

LOOK_SECONDS = 0.5
"""How often the ledger is looked at for what is new."""

FIRST_RETRY, LONGEST_RETRY = 1.0, 300.0
"""Seconds before an event is posted again; doubled each time."""

ANSWER_SECONDS = 5.0
"""For the server to answer."""

AT_ONCE = 100
"""Events that are read at a time."""

TOLD = {Kind.START: "start", Kind.ANSWER: "answer", Kind.STOP: "stop", Kind.ALERT: "alert"}
"""What may be asked for, by the names of the configuration."""

ENCODED = "whsec_"
"""With this a secret is base64, as libraries for Standard Webhooks show it."""


class NotTaken(LocalError):
    """The server did not answer, or not with 2xx."""


@dataclass(frozen=True, slots=True)
class Hook:
    """Where events go. ``events``: names of `TOLD`. ``trust``: a root for its certificate besides the system's."""

    url: str
    secret: bytes = field(repr=False)
    events: frozenset[str] = frozenset(TOLD.values())
    trust: Path | None = None


def key_of(text: str) -> bytes:
    """The key of a secret as it stands in its file. Raises ValueError when it begins as base64 and is none."""
    text = text.strip()
    if text.startswith(ENCODED):
        return b64decode(text.removeprefix(ENCODED), validate=True)
    return text.encode()


def signature(secret: bytes, name: str, when: int, body: bytes) -> str:
    """The value of ``Webhook-Signature``."""
    digest = hmac.digest(secret, f"{name}.{when}.".encode() + body, hashlib.sha256)
    return f"v1,{b64encode(digest).decode()}"


class WebhookFollower:
    """Tells one server of the calls of one writer. ``place``: the file that keeps how far it has come."""

    def __init__(
        self, url: str, writer: str, hook: Hook, place: Path, clock: Callable[[], float] = time.time
    ) -> None:
        self._url = url
        self._writer = writer
        self._hook = hook
        self._file = place
        self._clock = clock
        self._number: int | None = None

    @property
    def needs(self) -> int | None:
        """The next event that the server has to be told of; None for one that has not been told of any yet.

        Raises:
            OSError: The place can't be read.
        """
        number = self._number if self._number is not None else _read_place(self._file)
        return number + 1 if number is not None else None

    async def run(self) -> None:
        """Follow the ledger until cancelled."""
        pause = FIRST_RETRY
        while True:
            try:
                more = await asyncio.to_thread(self.advance)
            except (NotTaken, StoreError, OSError) as error:
                log.warning("a webhook waits", url=self._hook.url, reason=str(error), again_in=pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_RETRY)
                continue
            pause = FIRST_RETRY
            if not more:
                await asyncio.sleep(LOOK_SECONDS)

    def advance(self) -> bool:
        """Post what is new, a portion of it; gives whether there may be more. Blocks.

        Raises:
            NotTaken: The server did not take it. What it had taken before is not posted again.
            StoreError, OSError: The ledger can't be read, or the place not be written.
        """
        with reading(self._url) as ledger:
            if self._number is None:
                self._number = _read_place(self._file)
            if self._number is None:  # a new webhook is told of what comes, not of what was
                self._number = ledger.newest(self._writer)
                _write_place(self._file, self._number)
            events = list(islice(ledger.numbered(self._writer, self._number + 1), AT_ONCE))
        for number, event in events:
            if TOLD.get(event.kind) in self._hook.events:
                self._post(number, event)
            self._number = number
            _write_place(self._file, number)
        return len(events) == AT_ONCE

    def _post(self, number: int, event: Event) -> None:
        name, when, body = f"{self._writer}-{number}", int(self._clock()), body_of(event)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Ringfence",
            "Webhook-Id": name,
            "Webhook-Timestamp": str(when),
            "Webhook-Signature": signature(self._hook.secret, name, when, body),
        }
        target = urlsplit(self._hook.url)
        connection = self._connection()
        try:
            path = (target.path or "/") + (f"?{target.query}" if target.query else "")
            connection.request("POST", path, body, headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise NotTaken(str(error) or type(error).__name__) from None
        finally:
            connection.close()
        if not 200 <= status < 300:  # a redirect too: the owner named the URL that is meant
            raise NotTaken(f"it answered {status}")

    def _connection(self) -> http.client.HTTPConnection:
        target = urlsplit(self._hook.url)
        host = target.hostname or ""
        if target.scheme == "http":
            return http.client.HTTPConnection(host, target.port, timeout=ANSWER_SECONDS)
        context = ssl.create_default_context()
        if self._hook.trust is not None:
            context.load_verify_locations(self._hook.trust)
        return http.client.HTTPSConnection(host, target.port, timeout=ANSWER_SECONDS, context=context)


def body_of(event: Event) -> bytes:
    """What is posted."""
    facts = {name: value for name, value in event.facts.items() if name != SEALED}
    told = {"event": TOLD[event.kind], "time": event.time, "call": event.call, "facts": facts}
    return json.dumps(told, sort_keys=True).encode()


def _read_place(path: Path) -> int | None:
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["number"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise OSError(f"{path} can't be read: {error}") from None


def _write_place(path: Path, number: int) -> None:
    temporary = path.with_name(path.name + ".new")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"number": number}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
