"""The INVITE server transaction: RFC 3261 section 17.2.1 with figure 7 of RFC 6026."""

from __future__ import annotations

from enum import StrEnum

from ringfence.engine.effects import Arm, Deliver, Effect, Failed, Send
from ringfence.engine.machine import Machine, ServerTransaction, Table, absorb, end, report_undelivered
from ringfence.engine.timers import Timer
from ringfence.message import Request, Response, response_to


class State(StrEnum):
    """As in the figure."""

    PROCEEDING = "Proceeding"
    COMPLETED = "Completed"
    CONFIRMED = "Confirmed"
    ACCEPTED = "Accepted"
    TERMINATED = "Terminated"


class Event(StrEnum):
    """The arrows of the figure, and two more things that the TU says."""

    REQUEST = "INVITE"
    PROVISIONAL = "1xx from TU"
    SUCCESS = "2xx from TU"
    FAILURE = "300-699 from TU"
    TRANSPORT_ERROR = "transport error"
    NO_ANSWER_YET = "no answer yet"
    DISCARDED = "discarded by TU"
    ACK = "ACK"
    TIMER_G = Timer.G
    TIMER_H = Timer.H
    TIMER_I = Timer.I
    TIMER_L = Timer.L


def send(transaction: InviteServer, response: Response) -> tuple[Effect, ...]:
    """Send a response of the TU."""
    transaction.response = response
    return (Send(response, transaction.flow),)


def send_trying(transaction: InviteServer, given: object) -> tuple[Effect, ...]:
    """A 100, unless the TU was quicker. It has no To tag and copies Timestamp (RFC 3261 section 8.2.6)."""
    if transaction.response is not None:
        return ()
    return send(transaction, response_to(transaction.request, 100))


def send_last(transaction: InviteServer, given: object) -> tuple[Effect, ...]:
    """Answer a retransmission; when nothing has been sent within T1, the 100 is due."""
    if transaction.response is None:
        return send_trying(transaction, given)
    return (Send(transaction.response, transaction.flow),)


def await_ack(transaction: InviteServer, response: Response) -> tuple[Effect, ...]:
    """Start G and H."""
    transaction.drop_request()
    return transaction.times.h_and_g


def send_again(transaction: InviteServer, given: object) -> tuple[Effect, ...]:
    """Retransmit, and double timer G up to T2."""
    transaction.interval = min(2 * transaction.interval, transaction.times.t2)
    return (*send_last(transaction, given), Arm(Timer.G, transaction.interval, again=True))


def linger_confirmed(transaction: InviteServer, ack: Request) -> tuple[Effect, ...]:
    """Nothing is sent again; I takes the place of G and H."""
    transaction.response = None
    return transaction.times.i


def give_up(transaction: InviteServer, given: object) -> tuple[Effect, ...]:
    """The text wants the TU told (RFC 3261 section 17.2.1), where the figure of RFC 6026 has lost it."""
    failed = Failed(transaction, 408, "no ACK")
    return (failed, *end(transaction, given)) if transaction.user is not None else end(transaction, given)


def linger_accepted(transaction: InviteServer, response: Response) -> tuple[Effect, ...]:
    """The TU repeats the 2xx, so that nothing needs to be kept but the key, which absorbs INVITEs."""
    transaction.response = None
    transaction.drop_request()
    return transaction.times.l


def send_more(transaction: InviteServer, response: Response) -> tuple[Effect, ...]:
    """A repeated 2xx, or a proxy's second one (RFC 6026 section 7.1)."""
    return (Send(response, transaction.flow),)


def pass_ack(transaction: InviteServer, ack: Request) -> tuple[Effect, ...]:
    """The client used its old branch, as RFC 2543 ones do (RFC 6026 section 6)."""
    return (Deliver(ack, None),)


TABLE: Table = {
    (State.PROCEEDING, Event.REQUEST): (State.PROCEEDING, send_last),
    (State.PROCEEDING, Event.PROVISIONAL): (State.PROCEEDING, send),
    (State.PROCEEDING, Event.SUCCESS): (State.ACCEPTED, send, linger_accepted),
    (State.PROCEEDING, Event.FAILURE): (State.COMPLETED, send, await_ack),
    (State.PROCEEDING, Event.TRANSPORT_ERROR): (State.PROCEEDING, report_undelivered),
    # "send 100 if TU won't in 200ms": the role knows, and says so when it forwards or has to wait.
    (State.PROCEEDING, Event.NO_ANSWER_YET): (State.PROCEEDING, send_trying),
    # Not in the figure: the stateless answer of RFC 3261 section 26.3.2.4, and requests that a role drops.
    (State.PROCEEDING, Event.DISCARDED): (State.TERMINATED, end),
    (State.COMPLETED, Event.REQUEST): (State.COMPLETED, send_last),
    (State.COMPLETED, Event.ACK): (State.CONFIRMED, linger_confirmed),
    (State.COMPLETED, Event.TIMER_G): (State.COMPLETED, send_again),
    (State.COMPLETED, Event.TIMER_H): (State.TERMINATED, give_up),
    (State.COMPLETED, Event.TRANSPORT_ERROR): (State.COMPLETED, report_undelivered),
    (State.CONFIRMED, Event.TIMER_I): (State.TERMINATED, end),
    (State.ACCEPTED, Event.SUCCESS): (State.ACCEPTED, send_more),
    (State.ACCEPTED, Event.ACK): (State.ACCEPTED, pass_ack),
    (State.ACCEPTED, Event.TRANSPORT_ERROR): (State.ACCEPTED, report_undelivered),
    (State.ACCEPTED, Event.TIMER_L): (State.TERMINATED, end),
}

_FROM_TU = (Event.PROVISIONAL, Event.FAILURE, Event.NO_ANSWER_YET, Event.DISCARDED)

ABSORBED = absorb(
    ([State.PROCEEDING], [Event.ACK], "there is no final response to acknowledge"),
    (
        [State.PROCEEDING],
        [Event.TIMER_G, Event.TIMER_H, Event.TIMER_I, Event.TIMER_L],
        "not running in this state",
    ),
    (
        [State.COMPLETED, State.CONFIRMED],
        [Event.SUCCESS],
        "a failure was sent, and the client has ended the call",
    ),
    ([State.COMPLETED, State.CONFIRMED, State.ACCEPTED], _FROM_TU, "the final response was sent"),
    ([State.COMPLETED], [Event.TIMER_I, Event.TIMER_L], "not running in this state"),
    ([State.CONFIRMED], [Event.REQUEST, Event.ACK], "a late retransmission; the ACK has come"),
    ([State.CONFIRMED], [Event.TRANSPORT_ERROR], "nothing is sent from here"),
    ([State.CONFIRMED], [Event.TIMER_G, Event.TIMER_H], "the ACK stops both"),
    ([State.CONFIRMED], [Event.TIMER_L], "not running in this state"),
    (
        [State.ACCEPTED],
        [Event.REQUEST],
        "a retransmission; who accepted repeats the 2xx (RFC 6026 section 7.1)",
    ),
    ([State.ACCEPTED], [Event.TIMER_G, Event.TIMER_H, Event.TIMER_I], "not running in this state"),
    ([State.TERMINATED], Event, "the transaction is gone"),
)

MACHINE = Machine.of("INVITE server", State, Event, TABLE, ABSORBED)


class InviteServer(ServerTransaction):
    """A server transaction of an INVITE."""

    __slots__ = ()

    machine = MACHINE
    rows = MACHINE.rows
    initial = State.PROCEEDING
    events = (Event.PROVISIONAL, Event.SUCCESS, *[Event.FAILURE] * 4)
