"""What faults.py breaks: a node with two users, one of whom calls the other again and again, and what was promised."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from ringfence.message import Request, Response
from ringfence.message.fields import RECORD_ROUTE
from tests.interop.node import Node
from tests.interop.processes import eventually
from tests.interop.raw import RawPhone, call_id_of

ANSWER_SECONDS = 4.0
"""A call that has no final response by then has failed."""


@dataclass
class Call:
    """One call of Alice."""

    call_id: str
    status: int
    answered_in: float


@dataclass
class Traffic:
    """Alice calls Bob until told to stop. Bob's phone answers at once."""

    node: Node
    alice: RawPhone
    bob: RawPhone
    calls: list[Call] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Traffic:
        for work in (self._answer, self._call):
            self._threads.append(threading.Thread(target=work, daemon=True))
            self._threads[-1].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(3 * ANSWER_SECONDS)

    def statuses(self, since: int = 0) -> dict[int, int]:
        """How often each outcome came; 0 is no answer."""
        found: dict[int, int] = {}
        for call in self.calls[since:]:
            found[call.status] = found.get(call.status, 0) + 1
        return dict(sorted(found.items()))

    def wait_for(self, status: int, count: int, seconds: float = 20.0) -> None:
        """Let calls go on until so many more have ended like this."""
        begin = len(self.calls)

        def enough() -> bool:
            return sum(call.status == status for call in self.calls[begin:]) >= count

        eventually(enough, f"{count} calls end with {status}: {self.statuses(begin)}", seconds)

    def _answer(self) -> None:
        while not self._stop.is_set():
            message = self.bob.receive(0.1)
            if isinstance(message, Request) and message.method != "ACK":
                self.bob.reply(message, 200)

    def _call(self) -> None:
        while not self._stop.is_set():
            self.calls.append(self._one())
            time.sleep(0.03)

    def _one(self) -> Call:
        data = self.alice.text("INVITE", f"sip:bob@{self.node.domain}")
        call_id = call_id_of(data)
        begun = time.monotonic()
        try:
            response = self.alice.ask(data, ANSWER_SECONDS)
        except (AssertionError, OSError):
            return Call(call_id, 0, ANSWER_SECONDS)
        took = time.monotonic() - begun
        if response.status == 200:
            with contextlib.suppress(AssertionError, OSError):
                self._hang_up(response)
        return Call(call_id, response.status, took)

    def _hang_up(self, response: Response) -> None:
        target = (response.headers.get("Contact") or "").strip("<>")
        for method, cseq in (("ACK", 2), ("BYE", 3)):
            lines = [
                f"{method} {target} SIP/2.0",
                f"Via: SIP/2.0/UDP {self.alice.host}:{self.alice.port};branch=z9hG4bK{time.monotonic_ns()};rport",
                "Max-Forwards: 70",
                *(f"Route: {each}" for each in reversed(response.headers.every(RECORD_ROUTE))),
                f"From: {response.headers.get('From')}",
                f"To: {response.headers.get('To')}",
                f"Call-ID: {response.call_id}",
                f"CSeq: {cseq} {method}",
                "Content-Length: 0",
            ]
            self.alice.send("\r\n".join(lines).encode() + b"\r\n\r\n")
        self.alice.final(ANSWER_SECONDS, response.call_id)


@dataclass
class Row:
    """What is told of one fault."""

    fault: str
    meanwhile: str
    afterwards: str
    lost: str = "nothing"


class World:
    """A node with two users whose phones are registered."""

    def __init__(self, directory: Path, settings: str = "", transports: tuple[str, ...] = ("udp",)) -> None:
        self.node = Node.create(directory / "node", transports=transports, settings=settings)
        for user in ("alice", "bob"):
            self.node.add_user(user, calls=100)
        self.phones: list[RawPhone] = []

    def serve(self) -> Traffic:
        """Start the node, and register the phones."""
        self.node.serve()
        self.phones = [RawPhone(self.node, user) for user in ("alice", "bob")]
        for phone in self.phones:
            assert phone.register().status == 200
        return Traffic(self.node, *self.phones)

    def close(self) -> None:
        """End all."""
        for phone in self.phones:
            phone.close()
        self.node.end()

    def losses(self, calls: list[Call]) -> str:
        """What was promised and is not there. The node is stopped for it, so that all is written."""
        self.node.end()
        text = self.node.command("ledger", "export", "--format", "json")
        recorded = [json.loads(line)["call_id"] for line in text.splitlines() if line.strip()]
        lost = [
            f"call {call.call_id}: {recorded.count(call.call_id)} records"
            for call in calls
            if call.status == 200 and recorded.count(call.call_id) != 1
        ]
        verified = self.node.command("ledger", "verify")  # raises when it does not
        assert "event" in verified, verified
        return "; ".join(lost) or "nothing"


@contextlib.contextmanager
def world(directory: Path, settings: str = "", transports: tuple[str, ...] = ("udp",)) -> Iterator[World]:
    """A world that is closed in any case."""
    made = World(directory, settings, transports)
    try:
        yield made
    finally:
        made.close()


def said(statuses: dict[int, int]) -> str:
    """Outcomes for people."""
    return ", ".join(f"{count} × {status or 'no answer'}" for status, count in statuses.items()) or "no call"
