"""Show the messages that pass a node to whoever asks over the control socket, while they ask and no longer.

The driver calls `Trace.observe` only while somebody watches. A message becomes a few facts, is compared with
the filter and put into a bounded queue; one who reads too slowly loses messages, is told how many, and holds
nobody up. Credentials are left out always, identities where the caller asked for privacy (RFC 3323).
"""

from __future__ import annotations

import asyncio
import re
import time
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol, Self

from ringfence.message import Message, PeerError, Request, Response
from ringfence.roles.bodies import exposure_of
from ringfence.security.privacy import LEVELS, Treatment, treatment_of
from ringfence.service.control import Arguments, CommandError, Json
from ringfence.service.copies import copy_of
from ringfence.service.logs import PRIVATE, redact, redact_identities
from ringfence.transport.flow import Flow

MAX_WAITING = 1000
"""Messages that wait for one watcher: a second of a busy node."""

MAX_PRIVATE = 20_000
"""Private calls that are remembered while somebody watches, the oldest forgotten first."""

MAX_TEXT = 65_536
"""Characters of a message that are shown."""

Observe = Callable[[str, Message, Flow], None]

COUNTS = frozenset({"CSeq", "RAck", "Max-Forwards", "Content-Length"})
"""What the privacy service replaces and that names nobody."""

VALUES = {"status": re.compile(r"[1-6](?:[0-9]{2}|xx)"), "transport": re.compile("udp|tcp|tls|wss?")}
EXAMPLES = {"status": "486 or status=4xx", "transport": "tls, or udp, tcp, ws, wss"}
"""What a filter may want of what has few values: a slip would show nothing, and look like a quiet node."""

PEERS_OWN = ("method", "cseq", "call_id", "from", "to", "start")
"""Facts of a message in which its sender may have written anything."""

FILTER_KEYS = ("method", "status", "from", "to", "call-id", "remote", "transport")


class Exporter(Protocol):
    """What sends messages to another program all the time. It never waits and never raises."""

    def offer(self, direction: str, message: Message, flow: Flow, now: float, *, private: bool) -> None:
        """Take a message. `now` is in seconds since the epoch; `private`: nobody may learn whose it is."""


class Filter(NamedTuple):
    """Which messages to show: those that every condition fits, a key and words of which one must fit."""

    conditions: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Self:
        """Read conditions such as ``method=INVITE,BYE`` or ``status=4xx``. Raises CommandError."""
        conditions = []
        for text in texts:
            key, equals, words = text.partition("=")
            if not equals or key not in FILTER_KEYS or not words:
                fix = "write KEY=WORD[,WORD...] with one of the keys " + ", ".join(FILTER_KEYS)
                raise CommandError(f"{text!r} is no filter", fix)
            conditions.append((key, tuple(words.lower().split(","))))
            if key in VALUES and (
                odd := [each for each in conditions[-1][1] if not VALUES[key].fullmatch(each)]
            ):
                raise CommandError(f"{odd[0]!r} is no {key}", f"write {key}={EXAMPLES[key]}")
        return cls(tuple(conditions))

    def fits(self, event: Mapping[str, Any]) -> bool:
        """Whether the event of a message is to be shown."""
        return all(any(_fits(key, word, event) for word in words) for key, words in self.conditions)


def _fits(key: str, word: str, event: Mapping[str, Any]) -> bool:
    if key == "status":
        status = str(event["status"] or "")
        return status == word or (word.endswith("xx") and status[:1] == word[:1])
    value = str(event[key.replace("-", "_")]).lower()
    return value == word if key in ("method", "transport") else word in value


class Trace:
    """The watchers of one node. `watch` is the driver's: it is given `observe`, or None to stop."""

    def __init__(
        self,
        watch: Callable[[Observe | None], None],
        clock: Callable[[], float] = time.time,
        private: Callable[[Message], bool] = lambda _message: False,
    ) -> None:
        """``private`` tells of a message that it is of somebody who wants to be named to nobody, although it does not
        say so itself."""
        self._watch = watch
        self._clock = clock
        self._private = private
        self._watchers: set[_Watcher] = set()
        self._exporters: tuple[Exporter, ...] = ()
        self._private_calls: dict[str, None] = {}

    def observe(self, direction: str, message: Message, flow: Flow) -> None:
        """Show a message that came "in" or goes "out" on the flow."""
        private = self._is_private(message)
        now = self._clock()
        for exporter in self._exporters:
            exporter.offer(direction, message, flow, now, private=private)
        if not self._watchers:
            return
        event = describe(direction, message, flow, now, private=private)
        for watcher in self._watchers:
            watcher.offer(event, message, private=private)

    def _is_private(self, message: Message) -> bool:
        """Whether nobody may learn whose message it is. A call stays private when only its INVITE says so."""
        calls, call_id = self._private_calls, message.headers.get("Call-ID") or ""
        if asks_privacy(message):
            calls[call_id] = None
            if len(calls) > MAX_PRIVATE:
                del calls[next(iter(calls))]
            return True
        return call_id in calls or self._private(message)

    async def command(self, arguments: Arguments) -> AsyncGenerator[Json]:
        """The control command ``trace``, until whoever watches hangs up.

        Its arguments are ``filter``, a list of conditions, ``text``, true for whole messages, and ``data``, true for
        them as other programs take them (`copies`), in base64.
        """
        wanted = Filter.parse(arguments.get("filter", ()))
        watcher = _Watcher(wanted, bool(arguments.get("text")), bool(arguments.get("data")))
        self._watchers.add(watcher)
        self._look()
        try:
            while True:
                yield await watcher.next()
        finally:
            self._watchers.discard(watcher)
            self._look()

    def export(self, exporter: Exporter) -> None:
        """Show every message to what sends it elsewhere, until `leave`."""
        self._exporters = (*self._exporters, exporter)
        self._look()

    def leave(self, exporter: Exporter) -> None:
        """Show it nothing more."""
        self._exporters = tuple(each for each in self._exporters if each is not exporter)
        self._look()

    def _look(self) -> None:
        """Have the driver show messages while anybody looks, and no longer."""
        self._watch(self.observe if self._watchers or self._exporters else None)


class _Watcher:
    def __init__(self, wanted: Filter, text: bool, data: bool = False) -> None:
        self._wanted = wanted
        self._text = text
        self._data = data
        self._lost = 0
        self._queue: asyncio.Queue[Json] = asyncio.Queue(MAX_WAITING)

    def offer(self, event: dict[str, Json], message: Message, *, private: bool = False) -> None:
        if not self._wanted.fits(event):
            return
        if self._queue.full():
            self._lost += 1
            return
        if self._text:
            event = event | {"text": _whole(message, private=private)}
        if self._data:
            event = event | {"data": b64encode(copy_of(message, private=private)).decode()}
        self._queue.put_nowait(event)

    async def next(self) -> Json:
        event = await self._queue.get()
        if self._lost:
            event, self._lost = event | {"lost": self._lost}, 0
        return event


def describe(
    direction: str, message: Message, flow: Flow, now: float, *, private: bool = False
) -> dict[str, Json]:
    """The facts of one message as they are shown, in JSON's types. `now` is in seconds since the epoch.

    ``private``: the party on this side is named to nobody, nor is where it is.
    """
    event: dict[str, Json] = {
        "time": now,
        "direction": direction,
        "transport": flow.transport,
        "secure": flow.secure,
        "local": str(flow.local),
        "remote": str(flow.remote),
        **facts_of(message),
    }
    if isinstance(message, Request):
        event["exposure"] = _exposure(message, flow)
    if private or asks_privacy(message):
        event |= dict.fromkeys(("from", "call_id", "remote"), PRIVATE)
        event["start"] = redact_identities(str(event["start"]))
    return event


def facts_of(message: Message) -> dict[str, Json]:
    """What a message says of itself, as it is shown and as filters look at it."""
    cseq = message.headers.get("CSeq") or ""
    facts: dict[str, Json] = {
        "method": cseq.rpartition(" ")[2],
        "cseq": cseq,
        "call_id": message.headers.get("Call-ID") or "",
        "from": _address(message, "From"),
        "to": _address(message, "To"),
        "status": None,
        "start": "",
    }
    if isinstance(message, Request):
        facts |= {"method": message.method, "start": f"{message.method} {redact(message.uri)}"}
    elif isinstance(message, Response):
        facts |= {"status": message.status, "start": f"{message.status} {message.reason}"}
    for name in PEERS_OWN:
        facts[name] = _readable(str(facts[name]))
    return facts


def _readable(text: str) -> str:
    """Octets that are no UTF-8 stand in text as lone surrogates, which no program reads."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _exposure(message: Request, flow: Flow) -> str:
    """Who could read the message and who could change it."""
    try:
        uri = message.target
    except PeerError:
        uri = None
    return str(exposure_of(message, uri, secure=flow.secure))


def _address(message: Message, name: str) -> str:
    try:
        address = message.from_ if name == "From" else message.to
    except PeerError:
        return ""
    return redact(str(address.uri))


def asks_privacy(message: Message) -> bool:
    """Whether a message asks for any privacy (RFC 3323)."""
    asked = (message.headers.get("Privacy") or "none").lower()
    return asked != "none"


def _whole(message: Message, *, private: bool) -> str:
    if private:
        return _without_names(message)[:MAX_TEXT]
    return redact(message.to_bytes().decode("utf-8", "replace"))[:MAX_TEXT]


def _without_names(message: Message) -> str:
    """The message without its body and what names the party on this side, by the table of `security.privacy`."""
    start = message.to_bytes().partition(b"\r\n")[0].decode("utf-8", "replace")
    lines = [redact_identities(redact(start))]
    for name, value in message.headers:
        told = treatment_of(name, LEVELS) is Treatment.KEEP or name in COUNTS
        lines.append(f"{name}: {redact(value) if told else PRIVATE}")
    body = f"[{len(message.body)} octets]" if message.body else ""
    return "\r\n".join([*lines, "", body])
