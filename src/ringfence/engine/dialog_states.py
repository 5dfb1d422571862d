"""The states of a dialog that an INVITE makes: RFC 5407 figures 1 and 2, in one table, since both sides
agree.

They split the Confirmed of RFC 3261 in two by the ACK, and Terminated by whether the BYE is over.
"""

from __future__ import annotations

from enum import StrEnum

from ringfence.engine.machine import Machine, Table, absorb


class State(StrEnum):
    """As in the figures, without Preparative: before the first response there is no dialog."""

    EARLY = "Early"
    MORATORIUM = "Moratorium"
    ESTABLISHED = "Established"
    MORTAL = "Mortal"
    MORGUE = "Morgue"


class Event(StrEnum):
    """The arrows of the figures; who sends and who receives makes no difference."""

    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    FAILURE = "3xx-6xx"
    ACK = "ACK"
    BYE = "BYE"
    BYE_OVER = "BYE is over"


TABLE: Table = {
    (State.EARLY, Event.PROVISIONAL): (State.EARLY,),
    (State.EARLY, Event.SUCCESS): (State.MORATORIUM,),
    (State.EARLY, Event.FAILURE): (State.MORGUE,),
    (State.EARLY, Event.BYE): (State.MORTAL,),
    (State.MORATORIUM, Event.SUCCESS): (State.MORATORIUM,),
    (State.MORATORIUM, Event.ACK): (State.ESTABLISHED,),
    (State.MORATORIUM, Event.BYE): (State.MORTAL,),
    (State.ESTABLISHED, Event.SUCCESS): (State.ESTABLISHED,),
    (State.ESTABLISHED, Event.ACK): (State.ESTABLISHED,),
    (State.ESTABLISHED, Event.BYE): (State.MORTAL,),
    (State.MORTAL, Event.SUCCESS): (State.MORTAL,),
    (State.MORTAL, Event.ACK): (State.MORTAL,),
    (State.MORTAL, Event.BYE): (State.MORTAL,),
    (State.MORTAL, Event.BYE_OVER): (State.MORGUE,),
}

CONFIRMED = (State.MORATORIUM, State.ESTABLISHED)

ABSORBED = absorb(
    ([State.EARLY], [Event.ACK], "there is no 2xx to acknowledge"),
    ([State.EARLY, *CONFIRMED], [Event.BYE_OVER], "no BYE was sent or received"),
    (CONFIRMED, [Event.PROVISIONAL], "overtaken by the 2xx"),
    (
        CONFIRMED,
        [Event.FAILURE],
        "a re-INVITE that fails leaves the dialog as it was (RFC 3261 section 14.1)",
    ),
    ([State.MORTAL], [Event.PROVISIONAL, Event.FAILURE], "the INVITE no longer matters"),
    ([State.MORGUE], Event, "the dialog is gone"),
)

MACHINE = Machine("INVITE dialog", tuple(State), tuple(Event), TABLE, ABSORBED, {})
