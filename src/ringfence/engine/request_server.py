"""The non-INVITE server transaction: RFC 3261 section 17.2.2 and figure 8, with RFC 4320.

RFC 4320 changes what may be answered: no provisional response but 100, and that one only late; and no 408,
which always comes too late to be of use.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from ringfence.engine.effects import Effect, Send
from ringfence.engine.machine import Machine, ServerTransaction, Table, absorb, end, report_undelivered
from ringfence.engine.timers import Timer
from ringfence.message import Response, response_to


class State(StrEnum):
    """As in the figure."""

    TRYING = "Trying"
    PROCEEDING = "Proceeding"
    COMPLETED = "Completed"
    TERMINATED = "Terminated"


class Event(StrEnum):
    """The arrows of the figure, what RFC 4320 adds, and two more things that the TU says."""

    REQUEST = "request"
    NO_ANSWER_YET = "no answer yet"
    TIMER_100 = Timer.TRYING
    PROVISIONAL = "1xx from TU"
    FINAL = "200-699 from TU"
    TIMEOUT = "408 from TU"
    TRANSPORT_ERROR = "transport error"
    DISCARDED = "discarded by TU"
    TIMER_J = Timer.J


def promise_trying(transaction: RequestServer, given: object) -> tuple[Effect, ...]:
    """Not before "the amount of time it takes a client transaction's Timer E to be reset to T2" (RFC 4320)."""
    return transaction.times.late_100


def send_trying(transaction: RequestServer, given: object) -> tuple[Effect, ...]:
    """Send the 100 that is due now."""
    transaction.response = response_to(transaction.request, 100)
    return (Send(transaction.response, transaction.flow),)


def send(transaction: RequestServer, response: Response) -> tuple[Effect, ...]:
    """Send the final response."""
    transaction.response = response
    return (Send(response, transaction.flow),)


def linger(transaction: RequestServer, response: Response) -> tuple[Effect, ...]:
    """Absorb and answer retransmissions until J."""
    transaction.drop_request()
    return transaction.times.j


def stay_silent(transaction: RequestServer, response: Response) -> tuple[Effect, ...]:
    """Absorb what the client may still repeat; it has its own timeout by now (RFC 4320 section 4.2)."""
    transaction.response = None
    return linger(transaction, response)


def send_last(transaction: RequestServer, given: object) -> tuple[Effect, ...]:
    """Answer a retransmission, if there was an answer."""
    return () if transaction.response is None else (Send(transaction.response, transaction.flow),)


TABLE: Table = {
    (State.TRYING, Event.NO_ANSWER_YET): (State.TRYING, promise_trying),
    (State.TRYING, Event.TIMER_100): (State.PROCEEDING, send_trying),
    (State.TRYING, Event.FINAL): (State.COMPLETED, send, linger),
    (State.TRYING, Event.TIMEOUT): (State.COMPLETED, stay_silent),
    # Not in the figure: the stateless answer of RFC 3261 section 26.3.2.4, and requests that a role drops.
    (State.TRYING, Event.DISCARDED): (State.TERMINATED, end),
    (State.PROCEEDING, Event.DISCARDED): (State.TERMINATED, end),
    (State.PROCEEDING, Event.REQUEST): (State.PROCEEDING, send_last),
    (State.PROCEEDING, Event.FINAL): (State.COMPLETED, send, linger),
    (State.PROCEEDING, Event.TIMEOUT): (State.COMPLETED, stay_silent),
    # The figure ends here on a transport error. We stay, as RFC 6026 has it for INVITE and for the same
    # reason: a retransmission must not be taken for a new request.
    (State.PROCEEDING, Event.TRANSPORT_ERROR): (State.PROCEEDING, report_undelivered),
    (State.COMPLETED, Event.REQUEST): (State.COMPLETED, send_last),
    (State.COMPLETED, Event.TRANSPORT_ERROR): (State.COMPLETED, report_undelivered),
    (State.COMPLETED, Event.TIMER_J): (State.TERMINATED, end),
}

_OPEN = (State.TRYING, State.PROCEEDING)
_FROM_TU: Final = (Event.NO_ANSWER_YET, Event.FINAL, Event.TIMEOUT, Event.DISCARDED)

ABSORBED = absorb(
    ([State.TRYING], [Event.REQUEST], "a retransmission; the TU has the request"),
    ([State.TRYING], [Event.TRANSPORT_ERROR], "nothing has been sent"),
    (_OPEN, [Event.PROVISIONAL], "only a 100 may be sent, and only late (RFC 4320 section 4.1)"),
    (_OPEN, [Event.TIMER_J], "not running in this state"),
    ([State.PROCEEDING], [Event.NO_ANSWER_YET, Event.TIMER_100], "the 100 was sent"),
    ([State.COMPLETED], [Event.PROVISIONAL, *_FROM_TU], "the final response was given"),
    ([State.COMPLETED], [Event.TIMER_100], "the final response stops it"),
    ([State.TERMINATED], Event, "the transaction is gone"),
)

MACHINE = Machine.of("non-INVITE server", State, Event, TABLE, ABSORBED)


class RequestServer(ServerTransaction):
    """A server transaction of any method but INVITE and ACK."""

    __slots__ = ()

    machine = MACHINE
    rows = MACHINE.rows
    initial = State.TRYING
    events = (Event.PROVISIONAL, *[Event.FINAL] * 5)
