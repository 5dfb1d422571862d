"""A part of the calls of a ledger, without reading all of it: the latest, those before them, those that are over since.

Events have no index but their number. Within a chain their times go up, so a moment is found by halving; from there
chains are read side by side, forwards or backwards, until enough calls have been seen begin or end. The other events of
these calls are looked for from the same place on, and no further than the last of them. Clocks of several nodes may
differ by `CLOCKS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from typing import NamedTuple

from ringfence.ledger.events import Event, Kind
from ringfence.ledger.keys import Privacy
from ringfence.ledger.reading import Reader
from ringfence.ledger.records import CallRecord, records_of

CLOCKS = 5.0
"""Seconds. Nodes of one ledger have clocks that are kept in time."""


class Place(NamedTuple):
    """Behind which call a part begins: the moment of its start, or of its end, and its key."""

    time: float
    call: str

    def __str__(self) -> str:
        return f"{self.time:.6f} {self.call}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """The reverse. Raises ValueError."""
        time, _, call = text.partition(" ")
        if not call or not 0 <= float(time) < 1e12:
            raise ValueError("a place is a time and a call")
        return cls(float(time), call)


def latest(
    reader: Reader, count: int, before: Place | None = None, privacy: Privacy | None = None
) -> list[CallRecord]:
    """So many calls that began last, or before ``before``, the latest first."""
    until = before.time if before is not None else None
    began = (Place(each.time, each.call) for each in backwards(reader, until) if each.kind is Kind.START)
    chosen = _some((each for each in began if before is None or each < before), count)
    if not chosen:
        return []
    chosen = sorted(chosen, reverse=True)[:count]
    events = _of((each.call for each in chosen), forwards(reader, chosen[-1].time - CLOCKS))
    return sorted(records_of(events, privacy), key=lambda call: (call.started, call.call), reverse=True)


def ended(
    reader: Reader, count: int, after: Place | None = None, privacy: Privacy | None = None
) -> list[CallRecord]:
    """So many calls in the order of their end, the first ones, or those behind ``after``."""
    found: list[CallRecord] = []
    while len(found) < count:
        events = forwards(reader, after.time if after is not None else 0.0)
        over = (Place(each.time, each.call) for each in events if each.kind is Kind.STOP)
        chosen = _some((each for each in over if after is None or each > after), count)
        if not chosen:
            break
        chosen = sorted(chosen)[:count]
        found += _ended(reader, chosen, privacy)
        after = chosen[-1]  # again, when the beginning of some was removed by retention
    return found[:count]


def _ended(reader: Reader, chosen: Sequence[Place], privacy: Privacy | None) -> list[CallRecord]:
    """These calls, in the order of their end. It looks back for their beginnings."""
    left = {each.call for each in chosen}
    begun = chosen[0].time
    for event in backwards(reader, chosen[-1].time + CLOCKS):
        if event.kind is Kind.START and event.call in left:
            left.discard(event.call)
            begun = min(begun, event.time)
            if not left:
                break
    calls = records_of(_of((each.call for each in chosen), forwards(reader, begun - CLOCKS)), privacy)
    once = set(chosen)  # a second end of a call changes nothing, and is none
    found = (each for each in calls if not each.open and Place(each.ended, each.call) in once)
    return sorted(found, key=lambda call: (call.ended, call.call))


def _some(places: Iterable[Place], count: int) -> list[Place]:
    """The first ``count``, and those of the same moment as the last: in what order they come is no matter then."""
    found: dict[str, Place] = {}
    last = 0.0
    for each in places:
        if len(found) >= count and each.time != last:
            break
        found.setdefault(each.call, each)
        last = each.time
    return list(found.values())


def going_on(
    reader: Reader, longest: float, now: float, privacy: Privacy | None = None
) -> Iterator[CallRecord]:
    """The calls that go on now, in the order of their start. None lasts for more than ``longest`` seconds."""
    events = forwards(reader, now - longest - CLOCKS)
    return (each for each in records_of(events, privacy) if each.open)


def forwards(reader: Reader, since: float) -> Iterator[Event]:
    """The events of all chains since that moment, in the order of their time."""
    chains = [
        (event for _, event in reader.numbered(writer, number))
        for writer in reader.writers()
        if (number := reader.first_since(writer, since)) is not None
    ]
    return chains[0] if len(chains) == 1 else merge(*chains, key=_time)


def backwards(reader: Reader, until: float | None = None) -> Iterator[Event]:
    """The events of all chains up to that moment, the latest first."""
    chains = [
        reader.backwards(writer, None if until is None else reader.first_since(writer, until + 1e-6))
        for writer in reader.writers()
    ]
    return chains[0] if len(chains) == 1 else merge(*chains, key=_time, reverse=True)


def _of(calls: Iterable[str], events: Iterable[Event]) -> Iterator[Event]:
    """The events of these calls, up to the last of their ends."""
    wanted = set(calls)
    left = set(wanted)
    for event in events:
        if event.call in wanted:
            yield event
            if event.kind is Kind.STOP:
                left.discard(event.call)
                if not left:
                    return


def _time(event: Event) -> float:
    return event.time
