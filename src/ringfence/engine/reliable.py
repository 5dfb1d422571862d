"""Reliable provisional responses (RFC 3262), the bookkeeping of both sides. Who retransmits is the user
agent.

RSeq numbers count within one INVITE and one dialog. The receiver acknowledges them in order with PRACK; the
sender keeps those that are not acknowledged yet.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from ringfence.message import LocalError, PeerError, Request, Response
from ringfence.message.fields import RACK, REQUIRE, RSEQ, CSeq, RAck

OPTION = "100rel"
MAX_FIRST_RSEQ: Final = 2**31 - 1
"""The first RSeq is from 1 to this, best at random (RFC 3262 section 3)."""


class Order(StrEnum):
    """What a provisional response is to its receiver (RFC 3262 section 4)."""

    UNRELIABLE = "unreliable"  # to be processed, without PRACK
    NEXT = "next"  # to be processed and acknowledged
    REPEATED = "repeated"  # "MUST be discarded"
    AHEAD = "ahead"  # one before it is missing: neither acknowledged nor processed


def is_reliable(response: Response) -> bool:
    """Whether a provisional response asks for a PRACK: 101 to 199 with ``Require: 100rel`` and an RSeq."""
    if not 100 < response.status < 200 or "RSeq" not in response.headers:
        return False
    return any(option.lower() == OPTION for option in response.headers.every(REQUIRE))


class Received:
    """The reliable provisional responses that came for one INVITE in one dialog."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: int | None = None

    def receive(self, response: Response) -> Order:
        """Tell what a provisional response is, and count it when it is the next one.

        Raises:
            PeerError: 400 when its RSeq is malformed.
        """
        if not is_reliable(response):
            return Order.UNRELIABLE
        number = response.headers.only(RSEQ)
        if self._last is not None and number <= self._last:
            return Order.REPEATED
        if self._last is not None and number != self._last + 1:
            return Order.AHEAD
        self._last = number
        return Order.NEXT


def rack_for(response: Response) -> RAck:
    """The RAck of the PRACK for a response (RFC 3262 section 7.2)."""
    return RAck(response.headers.only(RSEQ), response.cseq.number, response.cseq.method)


class Sent:
    """The reliable provisional responses that were sent for one INVITE."""

    __slots__ = ("_acknowledged", "_cseq", "_next", "_waiting")

    def __init__(self, invite: Request, first: int) -> None:
        """``first`` is the first RSeq, at random from 1 to 2**31 - 1."""
        if not 1 <= first <= MAX_FIRST_RSEQ:
            raise LocalError(f"the first RSeq is from 1 to 2**31 - 1, not {first}")
        self._cseq: CSeq = invite.cseq
        self._next = first
        self._waiting: list[int] = []
        self._acknowledged = False

    @property
    def may_send(self) -> bool:
        """Whether another may be sent: a second one not before the first is acknowledged (section 3)."""
        return self._acknowledged or not self._waiting

    @property
    def waiting(self) -> int:
        """How many are not acknowledged. A 2xx waits for those with a session description (RFC 3262 section 3)."""
        return len(self._waiting)

    def mark(self, response: Response) -> int:
        """Make a response reliable: add its Require and RSeq; gives the RSeq.

        Raises:
            LocalError: when another one has to be acknowledged first, or the status is not 101 to 199.
        """
        if not self.may_send:
            raise LocalError("the first reliable response is not acknowledged yet (RFC 3262 section 3)")
        if not 100 < response.status < 200:
            raise LocalError(f"a {response.status} is not sent reliably")
        number = self._next
        self._next += 1
        response.headers.add("Require", OPTION)
        response.headers.add("RSeq", number)
        self._waiting.append(number)
        return number

    def receive(self, prack: Request) -> int:
        """Take a PRACK; gives the RSeq of the response that it acknowledges, which is repeated no longer.

        Raises:
            PeerError: 400 without a RAck that can be read, 481 when it acknowledges nothing that waits.
        """
        rack = prack.headers.only(RACK)
        if (rack.number, rack.method) != self._cseq or rack.rseq not in self._waiting:
            raise PeerError(481, f"no reliable response waits for {rack}")
        self._waiting.remove(rack.rseq)
        self._acknowledged = True
        return rack.rseq
