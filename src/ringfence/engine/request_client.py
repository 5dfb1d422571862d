"""The non-INVITE client transaction: RFC 3261 section 17.1.2 and figure 6."""

from __future__ import annotations

from enum import StrEnum

from ringfence.engine.effects import Arm, Deliver, Effect, Send
from ringfence.engine.machine import (
    ClientTransaction,
    Machine,
    Table,
    absorb,
    end,
    report_failure,
    report_timeout,
)
from ringfence.engine.timers import Timer
from ringfence.message import Response


class State(StrEnum):
    """As in the figure."""

    TRYING = "Trying"
    PROCEEDING = "Proceeding"
    COMPLETED = "Completed"
    TERMINATED = "Terminated"


class Event(StrEnum):
    """The arrows of the figure."""

    REQUEST = "request from TU"
    TIMER_E = Timer.E
    TIMER_F = Timer.F
    TRANSPORT_ERROR = "transport error"
    PROVISIONAL = "1xx"
    FINAL = "200-699"
    TIMER_K = Timer.K


def send(transaction: RequestClient, given: object) -> tuple[Effect, ...]:
    """Send, and start E and F (RFC 3261 section 17.1.2.2)."""
    return (Send(transaction.request, transaction.flow), *transaction.times.f_and_e)


def send_again(transaction: RequestClient, given: object) -> tuple[Effect, ...]:
    """Retransmit, and double timer E up to T2."""
    transaction.interval = min(2 * transaction.interval, transaction.times.t2)
    return (Send(transaction.request, transaction.flow), Arm(Timer.E, transaction.interval, again=True))


def send_slowly(transaction: RequestClient, given: object) -> tuple[Effect, ...]:
    """After a provisional response the request is repeated only to have the final one sent again."""
    return (Send(transaction.request, transaction.flow), Arm(Timer.E, transaction.times.t2, again=True))


def pass_up(transaction: RequestClient, response: Response) -> tuple[Effect, ...]:
    """Deliver a response, unless nobody waits for it, as for the answer to a CANCEL."""
    transaction.response = response
    return () if transaction.user is None else (Deliver(response, transaction),)


def linger(transaction: RequestClient, response: Response) -> tuple[Effect, ...]:
    """Stop sending; K takes the place of E and F. After a failure the TU may want the request, to try again."""
    if response.status < 300:
        transaction.response = None
        transaction.drop_request()
    return transaction.times.k


TABLE: Table = {
    (State.TRYING, Event.REQUEST): (State.TRYING, send),
    (State.TRYING, Event.TIMER_E): (State.TRYING, send_again),
    (State.TRYING, Event.TIMER_F): (State.TERMINATED, report_timeout),
    (State.TRYING, Event.TRANSPORT_ERROR): (State.TERMINATED, report_failure),
    (State.TRYING, Event.PROVISIONAL): (State.PROCEEDING, pass_up),
    (State.TRYING, Event.FINAL): (State.COMPLETED, pass_up, linger),
    (State.PROCEEDING, Event.TIMER_E): (State.PROCEEDING, send_slowly),
    (State.PROCEEDING, Event.TIMER_F): (State.TERMINATED, report_timeout),
    (State.PROCEEDING, Event.TRANSPORT_ERROR): (State.TERMINATED, report_failure),
    (State.PROCEEDING, Event.PROVISIONAL): (State.PROCEEDING, pass_up),
    (State.PROCEEDING, Event.FINAL): (State.COMPLETED, pass_up, linger),
    (State.COMPLETED, Event.TIMER_K): (State.TERMINATED, end),
}

ABSORBED = absorb(
    ([State.PROCEEDING, State.COMPLETED], [Event.REQUEST], "happens once, on creation"),
    ([State.TRYING, State.PROCEEDING], [Event.TIMER_K], "not running in this state"),
    ([State.COMPLETED], [Event.TIMER_E, Event.TIMER_F], "a final response stops both"),
    ([State.COMPLETED], [Event.TRANSPORT_ERROR], "nothing is sent from here"),
    ([State.COMPLETED], [Event.PROVISIONAL], "overtaken by the final response"),
    ([State.COMPLETED], [Event.FINAL], "a retransmission; the first one was passed up"),
    ([State.TERMINATED], Event, "the transaction is gone"),
)

MACHINE = Machine.of("non-INVITE client", State, Event, TABLE, ABSORBED)


class RequestClient(ClientTransaction):
    """A client transaction of any method but INVITE and ACK."""

    __slots__ = ()

    machine = MACHINE
    rows = MACHINE.rows
    initial = State.TRYING
    events = (Event.PROVISIONAL, *[Event.FINAL] * 5)
