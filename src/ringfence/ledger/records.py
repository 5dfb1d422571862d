"""From events to call detail records: one for each call, whichever workers wrote its events.

A record is made when the call's stop is read, or at the end for calls that have none. Nothing is charged for a call
that was never answered. A second answer or stop of the same call changes nothing: the first one is the truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ringfence.ledger.events import Event, Kind
from ringfence.ledger.keys import Privacy
from ringfence.ledger.rates import money, read_rate


@dataclass(slots=True)
class CallRecord:
    """One call. Times are in seconds since the epoch, 0 for what has not happened."""

    call: str
    account: str = ""
    """Who is charged: an address-of-record of ours; empty for a call from outside."""
    caller: str = ""
    callee: str = ""
    started: float = 0.0
    answered: float = 0.0
    ended: float = 0.0
    seconds: float = 0.0
    """What is charged: from the answer to the end; 0 while it goes on."""
    rate: str = ""
    """Its price: per minute, setup, step, minimum (`ledger.rates`); empty: none was named."""
    cost: str = ""
    """What it costs, in the currency of the node; empty where no price was named."""
    status: int = 0
    """Of the final response; 0 while there is none."""
    reason: str = ""
    """Why it ended."""
    evidence: str = ""
    """How the caller proved who it is."""
    transport: str = ""
    source: str = ""
    peer: str = ""
    """The configuration's name of the peer that handed us the call."""
    call_id: str = ""
    private: bool = False
    """The caller asked not to be named."""
    notes: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        """Whether it goes on."""
        return not self.ended


_TEXTS = ("account", "caller", "callee", "evidence", "transport", "source", "peer", "call_id", "rate")


def records_of(events: Iterable[Event], privacy: Privacy | None = None) -> Iterator[CallRecord]:
    """The records of the calls that started in these events, ended ones first, in order of their end.

    Without ``privacy`` nothing names those callers who asked for that.
    """
    going_on: dict[str, CallRecord] = {}
    for event in events:
        if event.kind is Kind.START:
            going_on.setdefault(event.call, _started(event, privacy))
            continue
        record = going_on.get(event.call)
        if record is None:
            continue  # of no call, or of one that is over
        if event.kind is Kind.ANSWER:
            if not record.answered:
                record.answered, record.status = event.time, 200
        elif event.kind is Kind.NOTE:
            record.notes += (str(event.facts.get("text", "")),)
        elif event.kind is Kind.STOP:
            _stop(record, event)
            yield going_on.pop(event.call)
    yield from going_on.values()


def _started(event: Event, privacy: Privacy | None) -> CallRecord:
    facts: dict[str, Any] = dict(event.facts) if privacy is None else privacy.open(event.facts)
    record = CallRecord(event.call, started=event.time, private=bool(facts.get("private")))
    for name in _TEXTS:
        setattr(record, name, str(facts.get(name, "")))
    return record


def _stop(record: CallRecord, event: Event) -> None:
    record.ended = event.time
    record.reason = str(event.facts.get("reason", ""))
    record.status = int(event.facts.get("status", record.status))
    if record.answered:
        record.seconds = round(max(0.0, record.ended - record.answered), 3)
    rate = read_rate(record.rate)
    if rate is not None:
        record.cost = money(rate.cost(record.seconds) if record.answered else 0)
