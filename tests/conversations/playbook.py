"""Tests that read as a conversation, without sockets and without a clock.

    play = Playbook()
    play >> request("INVITE") << Up("INVITE")      # it arrives, and goes to the transaction user
    play.trying() << 100                           # what the transaction user does; what is sent
    play.wait(0.5) >> request("INVITE") << 100     # half a second later it arrives again
    play.silent()                                  # and nothing else has happened

``>>`` brings a message in, ``<<`` takes the next effect and says what it must be: a status or a method is that
message sent; ``Up``, ``Fault`` and ``Over`` are the others. Nothing may happen that the test does not say: an effect
left over fails the next ``>>``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from ringfence.engine.effects import Deliver, Due, Effect, Ended, Failed, Outlet, Send
from ringfence.engine.machine import ClientTransaction, ServerTransaction, Transaction
from ringfence.engine.transactions import Transactions
from ringfence.message import Headers, Message, Request, Response, parse, response_to


@dataclass(frozen=True, slots=True)
class Wire:
    """A flow that goes nowhere."""

    key: str = "udp"
    reliable: bool = False


UDP = Wire()
TCP = Wire("tcp", reliable=True)


@dataclass(frozen=True, slots=True)
class Up:
    """A message of this status or method is delivered; ``stray`` without a transaction."""

    what: int | str
    stray: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """The transaction user is told of a failure."""

    status: int


@dataclass(frozen=True, slots=True)
class Over:
    """A transaction has ended."""


Expected = int | str | Up | Fault | Over


class Subject(Protocol):
    """What can be played with: ``Transactions``, or a role on top of them."""

    def receive(self, message: Request | Response, flow: Outlet, now: float, /) -> list[Effect]: ...

    def expire(self, now: float, /) -> list[Effect]: ...

    def next_deadline(self) -> float | None: ...


class Playbook:
    """One element under test, its clock, and what it has done that nobody has looked at yet."""

    def __init__(self, subject: Subject | None = None, flow: Wire = UDP) -> None:
        self.transactions = Transactions()
        self.subject: Subject = subject or self.transactions
        self.flow = flow
        self.now = 1000.0
        self.pending: list[Effect] = []
        self.sent: list[Message] = []
        self.server: Any = None
        self.received: Any = None
        self.client: Any = None

    # -- what happens ----------------------------------------------------------------------------------

    def __rshift__(self, message: Request | Response) -> Playbook:
        """A message arrives; written and parsed, as one from the network is."""
        self.silent()
        return self.happen(self.subject.receive(wire(message), self.flow, self.now))

    def wait(self, seconds: float) -> Playbook:
        """Time passes; every deadline on the way is kept when it is due."""
        end = self.now + seconds
        while (due := self.subject.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.happen(self.subject.expire(self.now))
        self.now = end
        return self

    def happen(self, effects: list[Effect]) -> Playbook:
        """Note the effects of anything; tell the transaction users whose timers are due."""
        for effect in effects:
            if isinstance(effect, Due):
                self.happen(effect.owner.expired(effect.timer, self.now))
            else:
                self.pending.append(effect)
        return self

    # -- what the transaction user does ----------------------------------------------------------------

    def answer(self, status: int, *, to_tag: str = "t", server: ServerTransaction | None = None) -> Playbook:
        """Answer the last request delivered, or that of another server transaction."""
        server = server or self.server
        response = response_to(self.received, status, to_tag=to_tag)
        return self.happen(self.transactions.respond(server, response, self.now))

    def trying(self) -> Playbook:
        """Say that the answer to the last request may take long."""
        return self.happen(self.transactions.trying(self.server, self.now))

    def send(self, request: Request, user: Any = "user") -> Playbook:
        """Send a request through a new client transaction."""
        self.client, effects = self.transactions.request(request, self.flow, user, self.now)
        return self.happen(effects)

    def cancel(self, reason: str | None = None) -> Playbook:
        """Cancel the last request sent."""
        return self.happen(self.transactions.cancel(self.client, self.now, reason))

    # -- what must have happened -----------------------------------------------------------------------

    def __lshift__(self, expected: Expected) -> Playbook:
        """The next effect is this one."""
        assert self.pending, f"nothing happened where {expected!r} was expected"
        effect = self.pending.pop(0)
        assert matches(effect, expected), f"{shown(effect)} where {expected!r} was expected"
        if isinstance(effect, Send):
            self.sent.append(effect.message)
        elif isinstance(effect, Deliver):
            self._delivered(effect)
        elif isinstance(effect, Ended):
            effect.transaction.release()
        return self

    def silent(self) -> Playbook:
        """Nothing has happened that was not looked at."""
        assert not self.pending, f"unexpected: {', '.join(map(shown, self.pending))}"
        return self

    def _delivered(self, effect: Deliver) -> None:
        if isinstance(effect.transaction, ServerTransaction):
            self.server = effect.transaction
            self.received = effect.message
        elif isinstance(effect.transaction, ClientTransaction):
            assert effect.transaction.user is not None


def shown(effect: Effect) -> str:
    """An effect for a person."""
    values = ", ".join(repr(getattr(effect, name)) for name in effect.__slots__)
    return f"{type(effect).__name__}({values})"


def matches(effect: Effect, expected: Expected) -> bool:
    """Whether an effect is what a test says."""
    match effect, expected:
        case Send(message=message), int() | str():
            return named(message) == expected
        case Deliver(message=message, transaction=transaction), Up(what, stray):
            return named(message) == what and (transaction is None) == stray
        case Failed(status=status), Fault(wanted):
            return status == wanted
        case Ended(), Over():
            return True
    return False


def named(message: Message) -> int | str:
    """The status of a response, the method of a request."""
    return message.status if isinstance(message, Response) else str(getattr(message, "method", ""))


def wire(message: Request | Response) -> Request | Response:
    """The message as the other side reads it."""
    return parse(message.to_bytes())


def request(
    method: str = "INVITE",
    *,
    branch: str | None = "z9hG4bKa",
    cseq: int = 1,
    to_tag: str | None = None,
    from_tag: str | None = "f",
    uri: str = "sip:bob@example.net",
    sent_by: str = "pc33.example.org",
    call_id: str = "call-1",
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes = b"",
) -> Request:
    """A request of Alice to Bob. Without a branch it is one of RFC 2543."""
    via = f"SIP/2.0/UDP {sent_by}" + ("" if branch is None else f";branch={branch}")
    fields = [
        ("Via", via),
        ("Max-Forwards", "70"),
        ("From", "Alice <sip:alice@example.org>" + ("" if from_tag is None else f";tag={from_tag}")),
        ("To", "Bob <sip:bob@example.net>" + ("" if to_tag is None else f";tag={to_tag}")),
        ("Call-ID", call_id),
        ("CSeq", f"{cseq} {method}"),
        *headers,
        ("Content-Length", str(len(body))),
    ]
    return Request(method, uri, Headers(fields), body)


def response(to: Request, status: int, *, to_tag: str = "t") -> Response:
    """A response of the other side."""
    return response_to(to, status, to_tag=to_tag)


def transactions_are_gone(play: Playbook) -> None:
    """Assert that no trace of any transaction is left."""
    assert len(play.transactions) == 0
    assert play.transactions.next_deadline() is None


__all__ = [
    "TCP",
    "UDP",
    "Fault",
    "Over",
    "Playbook",
    "Transaction",
    "Up",
    "Wire",
    "request",
    "response",
    "transactions_are_gone",
    "wire",
]
