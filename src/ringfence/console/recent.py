"""The calls of the last while, as the node shows them to a trace: what the call page draws.

The console watches as long as it runs. What it keeps is bounded, and has no more than a trace may show: no credentials,
and no identities where the caller asked for privacy.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from ringfence.service.control import CommandError
from ringfence.service.logs import PRIVATE
from ringfence.service.supervisor import ask_worker

MAX_CALLS = 500
"""Calls that are remembered; the one that was quiet longest goes."""

MAX_MESSAGES = 200
"""Messages of one call: a long one with many holds has fewer."""

RETRY_SECONDS = 2.0

WATCHED = {
    "text": True,
    "filter": ["method=INVITE,ACK,BYE,CANCEL,PRACK,UPDATE,INFO,REFER,NOTIFY,MESSAGE"],
}
"""What is asked of the node: what calls are made of."""


@dataclass(slots=True)
class Recent:
    """One call, by its Call-ID."""

    call_id: str
    begun: float
    messages: list[dict[str, Any]] = field(default_factory=list)
    more: int = 0
    """Messages that there was no room for."""

    @property
    def caller(self) -> str:
        """Who calls, as its first message says."""
        return str(self.messages[0]["from"])

    @property
    def callee(self) -> str:
        """Who is called."""
        return str(self.messages[0]["to"])

    @property
    def methods(self) -> list[str]:
        """What was asked, each once, in order."""
        return list(dict.fromkeys(each["method"] for each in self.messages))

    @property
    def state(self) -> str:
        """Where an INVITE stands: trying, ringing, talking, over, or refused with its status."""
        state = "trying"
        for each in self.messages:
            status, method = each["status"], each["method"]
            if method == "BYE" and status is not None and status >= 200:
                return "over"
            if method != "INVITE" or status is None or state == "talking":
                continue
            if status >= 300 and status not in (401, 407):
                state = f"refused {status}"
            elif status >= 200 and status < 300:
                state = "talking"
            elif status in (180, 183):
                state = "ringing"
        return state


class RecentCalls:
    """What was seen, the latest last. ``follow`` runs until it is cancelled."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._calls: OrderedDict[str, Recent] = OrderedDict()
        self.connected = False
        self.private = 0
        """Messages of callers who asked for privacy: a trace doesn't tell which belong together."""

    def __len__(self) -> int:
        return len(self._calls)

    def latest(self, count: int) -> list[Recent]:
        """The calls that something was last seen of, the latest first."""
        return list(islice(reversed(self._calls.values()), count))

    def find(self, call_id: str) -> Recent | None:
        """One of them."""
        return self._calls.get(call_id)

    def add(self, event: dict[str, Any]) -> None:
        """Take note of a message."""
        call_id = event["call_id"]
        if call_id == PRIVATE:
            self.private += 1
            return
        recent = self._calls.get(call_id)
        if recent is None and event["method"] != "INVITE":
            return  # a registration, or of a call that began before
        if recent is None:
            recent = self._calls[call_id] = Recent(call_id, event["time"])
            if len(self._calls) > MAX_CALLS:
                self._calls.popitem(last=False)
        self._calls.move_to_end(call_id)
        if len(recent.messages) < MAX_MESSAGES:
            recent.messages.append(event)
        else:
            recent.more += 1

    async def follow(self) -> None:
        """Watch the node; when it is away, wait for it."""
        while True:
            self.connected = await self._answers()
            with contextlib.suppress(CommandError):
                async for event in ask_worker(self._socket, "trace", WATCHED):
                    self.add(event)
            self.connected = False
            await asyncio.sleep(RETRY_SECONDS)

    async def _answers(self) -> bool:
        with contextlib.suppress(CommandError):
            async for _ in ask_worker(self._socket, "status", {}):
                return True
        return False
