"""The INVITE client transaction: RFC 3261 section 17.1.1 with figure 5 of RFC 6026."""

from __future__ import annotations

from enum import StrEnum

from ringfence.engine.effects import Arm, Deliver, Disarm, Effect, Send
from ringfence.engine.machine import (
    ClientTransaction,
    Machine,
    Table,
    absorb,
    end,
    fail,
    report_failure,
    report_timeout,
)
from ringfence.engine.timers import Timer
from ringfence.message import Response, ack_for


class State(StrEnum):
    """As in the figure."""

    CALLING = "Calling"
    PROCEEDING = "Proceeding"
    COMPLETED = "Completed"
    ACCEPTED = "Accepted"
    TERMINATED = "Terminated"


class Event(StrEnum):
    """The arrows of the figure, and those of cancelling (RFC 3261 section 9.1)."""

    REQUEST = "INVITE from TU"
    TIMER_A = Timer.A
    TIMER_B = Timer.B
    TRANSPORT_ERROR = "transport error"
    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    FAILURE = "300-699"
    TIMER_D = Timer.D
    TIMER_M = Timer.M
    CANCELLED = "CANCEL sent"
    TIMER_CANCEL = Timer.CANCEL


_STOP = (Disarm(),)


def send(transaction: InviteClient, given: object) -> tuple[Effect, ...]:
    """Send, and start A and B (RFC 3261 section 17.1.1.2)."""
    return (Send(transaction.request, transaction.flow), *transaction.times.b_and_a)


def send_again(transaction: InviteClient, given: object) -> tuple[Effect, ...]:
    """Retransmit, and double timer A without bound: B ends it."""
    transaction.interval *= 2
    return (Send(transaction.request, transaction.flow), Arm(Timer.A, transaction.interval, again=True))


def pass_up(transaction: InviteClient, response: Response) -> tuple[Effect, ...]:
    """Deliver a response."""
    transaction.response = response
    return (Deliver(response, transaction),)


def stop_sending(transaction: InviteClient, response: Response) -> tuple[Effect, ...]:
    """After a provisional response A "SHOULD NOT" go on, and B does not count: how long it may ring is the TU's."""
    return _STOP


def acknowledge(transaction: InviteClient, response: Response) -> tuple[Effect, ...]:
    """The ACK for a failure is ours, to where the INVITE went (RFC 3261 section 17.1.1.3)."""
    return (Send(ack_for(transaction.request, response), transaction.flow),)


def linger_failed(transaction: InviteClient, response: Response) -> tuple[Effect, ...]:
    """Wait for retransmissions of the response, which mean that the ACK was lost."""
    return transaction.times.d


def linger_accepted(transaction: InviteClient, response: Response) -> tuple[Effect, ...]:
    """Wait for more 2xx. The TU makes their ACKs, so the INVITE is not needed here any more."""
    transaction.response = None
    transaction.drop_request()
    return transaction.times.m


def pass_up_more(transaction: InviteClient, response: Response) -> tuple[Effect, ...]:
    """A retransmitted 2xx, or one from another branch of a fork further down: the TU tells them apart."""
    return (Deliver(response, transaction),)


def wait_for_487(transaction: InviteClient, given: object) -> tuple[Effect, ...]:
    """An RFC 2543 server answers a CANCEL and forgets the INVITE (RFC 3261 section 9.1)."""
    return transaction.times.cancelled


def give_up_cancelled(transaction: InviteClient, given: object) -> tuple[Effect, ...]:
    """Tell the user, as if the 487 had come."""
    return fail(transaction, 487, "no final response after CANCEL")


TABLE: Table = {
    (State.CALLING, Event.REQUEST): (State.CALLING, send),
    (State.CALLING, Event.TIMER_A): (State.CALLING, send_again),
    (State.CALLING, Event.TIMER_B): (State.TERMINATED, report_timeout),
    (State.CALLING, Event.TRANSPORT_ERROR): (State.TERMINATED, report_failure),
    (State.CALLING, Event.PROVISIONAL): (State.PROCEEDING, pass_up, stop_sending),
    (State.CALLING, Event.SUCCESS): (State.ACCEPTED, pass_up, linger_accepted),
    (State.CALLING, Event.FAILURE): (State.COMPLETED, acknowledge, pass_up, linger_failed),
    (State.PROCEEDING, Event.PROVISIONAL): (State.PROCEEDING, pass_up),
    (State.PROCEEDING, Event.SUCCESS): (State.ACCEPTED, pass_up, linger_accepted),
    (State.PROCEEDING, Event.FAILURE): (State.COMPLETED, acknowledge, pass_up, linger_failed),
    # Not in the figure. The connection that the response must come by is gone, so that it would never come.
    (State.PROCEEDING, Event.TRANSPORT_ERROR): (State.TERMINATED, report_failure),
    (State.PROCEEDING, Event.CANCELLED): (State.PROCEEDING, wait_for_487),
    (State.PROCEEDING, Event.TIMER_CANCEL): (State.TERMINATED, give_up_cancelled),
    (State.COMPLETED, Event.FAILURE): (State.COMPLETED, acknowledge),
    (State.COMPLETED, Event.TRANSPORT_ERROR): (State.TERMINATED, report_failure),
    (State.COMPLETED, Event.TIMER_D): (State.TERMINATED, end),
    (State.ACCEPTED, Event.SUCCESS): (State.ACCEPTED, pass_up_more),
    (State.ACCEPTED, Event.TIMER_M): (State.TERMINATED, end),
}

ABSORBED = absorb(
    ([State.PROCEEDING, State.COMPLETED, State.ACCEPTED], [Event.REQUEST], "happens once, on creation"),
    ([State.CALLING], [Event.TIMER_D, Event.TIMER_M, Event.TIMER_CANCEL], "not running in this state"),
    ([State.CALLING], [Event.CANCELLED], "a CANCEL waits for a provisional response (RFC 3261 section 9.1)"),
    ([State.PROCEEDING], [Event.TIMER_A, Event.TIMER_B], "a provisional response stops both"),
    ([State.PROCEEDING], [Event.TIMER_D, Event.TIMER_M], "not running in this state"),
    ([State.COMPLETED, State.ACCEPTED], [Event.TIMER_A, Event.TIMER_B], "a final response stops both"),
    ([State.COMPLETED, State.ACCEPTED], [Event.PROVISIONAL], "overtaken by the final response"),
    ([State.COMPLETED, State.ACCEPTED], [Event.CANCELLED, Event.TIMER_CANCEL], "a final response has come"),
    ([State.COMPLETED], [Event.SUCCESS], "the failure was acknowledged; a second final response is an error"),
    ([State.COMPLETED], [Event.TIMER_M], "not running in this state"),
    ([State.ACCEPTED], [Event.FAILURE], "the INVITE succeeded; a second final response is an error"),
    ([State.ACCEPTED], [Event.TRANSPORT_ERROR], "nothing is sent from here; more 2xx may come another way"),
    ([State.ACCEPTED], [Event.TIMER_D], "not running in this state"),
    ([State.TERMINATED], Event, "the transaction is gone"),
)

MACHINE = Machine.of("INVITE client", State, Event, TABLE, ABSORBED)


class InviteClient(ClientTransaction):
    """A client transaction of an INVITE."""

    __slots__ = ()

    machine = MACHINE
    rows = MACHINE.rows
    initial = State.CALLING
    events = (Event.PROVISIONAL, Event.SUCCESS, *[Event.FAILURE] * 4)
