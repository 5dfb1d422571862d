"""The non-INVITE client transaction: RFC 3261 section 17.1.2 and figure 6."""

from __future__ import annotations

from enum import StrEnum

from ringfence.engine.effects import Arm, Deliver, Disarm, Effect, Send
from ringfence.engine.machine import (
    ClientTransaction,
    Machine,
    Table,
    absorb,
    end,
    time_out,
    transport_error,
)
from ringfence.engine.timers import Timer
from ringfence.message import Response


class State(StrEnum):
    TRYING = "Trying"
    PROCEEDING = "Proceeding"
    COMPLETED = "Completed"
    TERMINATED = "Terminated"


class Event(StrEnum):
    TIMER_E = Timer.E
    TIMER_F = Timer.F
    TRANSPORT_ERROR = "transport error"
    PROVISIONAL = "1xx"
    FINAL = "200-699"
    TIMER_K = Timer.K


_STOP_E = (Disarm(Timer.E),)


def send_again(transaction: RequestClient, given: object) -> tuple[Effect, ...]:
    """Retransmit, and double timer E up to T2."""
    transaction.interval = min(2 * transaction.interval, transaction.times.t2)
    return (Send(transaction.request, transaction.flow), Arm(Timer.E, transaction.interval))


def send_slowly(transaction: RequestClient, given: object) -> tuple[Effect, ...]:
    """After a provisional response the request is repeated only to have the final one sent again."""
    return (Send(transaction.request, transaction.flow), Arm(Timer.E, transaction.times.t2))


def pass_up(transaction: RequestClient, response: Response) -> tuple[Effect, ...]:
    """Nobody waits for the answer to a CANCEL."""
    transaction.response = response
    return () if transaction.user is None else (Deliver(response, transaction),)


def linger(transaction: RequestClient, response: Response) -> tuple[Effect, ...]:
    """Stop sending; K takes the place of F."""
    return _STOP_E + transaction.times.k


TABLE: Table = {
    (State.TRYING, Event.TIMER_E): (State.TRYING, send_again),
    (State.TRYING, Event.TIMER_F): (State.TERMINATED, time_out),
    (State.TRYING, Event.TRANSPORT_ERROR): (State.TERMINATED, transport_error),
    (State.TRYING, Event.PROVISIONAL): (State.PROCEEDING, pass_up),
    (State.TRYING, Event.FINAL): (State.COMPLETED, pass_up, linger),
    (State.PROCEEDING, Event.TIMER_E): (State.PROCEEDING, send_slowly),
    (State.PROCEEDING, Event.TIMER_F): (State.TERMINATED, time_out),
    (State.PROCEEDING, Event.TRANSPORT_ERROR): (State.TERMINATED, transport_error),
    (State.PROCEEDING, Event.PROVISIONAL): (State.PROCEEDING, pass_up),
    (State.PROCEEDING, Event.FINAL): (State.COMPLETED, pass_up, linger),
    (State.COMPLETED, Event.TIMER_K): (State.TERMINATED, end),
}

ABSORBED = absorb(
    ([State.TRYING, State.PROCEEDING], [Event.TIMER_K], "not running in this state"),
    ([State.COMPLETED], [Event.TIMER_E, Event.TIMER_F], "a final response stops both"),
    ([State.COMPLETED], [Event.TRANSPORT_ERROR], "nothing is sent from here"),
    ([State.COMPLETED], [Event.PROVISIONAL], "overtaken by the final response"),
    ([State.COMPLETED], [Event.FINAL], "a retransmission; the first one was passed up"),
    ([State.TERMINATED], Event, "the transaction is gone"),
)

MACHINE = Machine.of("client", State, Event, TABLE, ABSORBED)


class RequestClient(ClientTransaction):
    """A client transaction of any method but INVITE and ACK."""

    __slots__ = ()

    machine = MACHINE
    initial = State.TRYING

    @classmethod
    def event(cls, status: int) -> str:
        return Event.PROVISIONAL if status < 200 else Event.FINAL

    def start(self) -> tuple[Effect, ...]:
        """Send, and start E and F (RFC 3261 section 17.1.2.2)."""
        return (Send(self.request, self.flow), *self.times.ef)
