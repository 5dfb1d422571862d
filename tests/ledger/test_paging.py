"""Parts of a ledger are what they would be if all of it had been read."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.ledger import paging
from ringfence.ledger.chain import GENESIS, extend
from ringfence.ledger.events import Event, Kind, body_of
from ringfence.ledger.paging import Place, ended, going_on, latest
from ringfence.ledger.reading import Reader, reading
from ringfence.ledger.records import CallRecord, records_of
from ringfence.store import sql_ledger as rows
from ringfence.store.connect import engine_for
from ringfence.store.migrate import upgrade

from .samples import NOW

CALLS = 300


def events_of(rng: random.Random) -> list[tuple[str, Event]]:
    """Calls with any length, some of which go on, each event with the worker that wrote it; in order of time."""
    found: list[tuple[str, Event]] = []
    for number in range(CALLS):
        call, begin = f"c{number:03}", NOW + rng.randrange(1000)
        facts: dict[str, str | int | bool] = {"account": "sip:alice@example.org", "callee": f"sip:{number}@x"}
        own = [Event(Kind.START, begin, call, facts)]
        if rng.random() < 0.7:
            own.append(Event(Kind.ANSWER, begin + 1, call, {"tag": "t"}))
        if rng.random() < 0.8 or begin < NOW + 800:
            own.append(
                Event(Kind.STOP, begin + rng.randrange(2, 200), call, {"reason": "over", "status": 200})
            )
        found += [(f"w{rng.randrange(3)}", event) for event in own]
    found.append(("w0", Event(Kind.OPEN, NOW - 1)))
    return sorted(found, key=lambda each: each[1].time)


@pytest.fixture(params=["sqlite", "gaps"])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reader]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    upgrade(url)
    rng = random.Random(4)
    chosen = events_of(rng)
    engine = engine_for(url)
    with engine.begin() as connection:
        for writer in ("w0", "w1", "w2"):
            links = extend(writer, 0, GENESIS, [body_of(event) for who, event in chosen if who == writer])
            if request.param == "gaps":  # by retention, and by somebody who should not
                links = links[20:40] + links[41:]
            rows.add_events(connection, [tuple(link) for link in links])
    engine.dispose()
    with reading(url) as found:
        yield found


def whole(reader: Reader) -> list[CallRecord]:
    return list(records_of(reader.events()))


@pytest.mark.parametrize("count", [1, 7, 50, 1000])
def test_the_latest_calls_page_by_page_are_all_calls_each_once(reader: Reader, count: int) -> None:
    expected = sorted(whole(reader), key=lambda call: (call.started, call.call), reverse=True)
    found: list[CallRecord] = []
    before: Place | None = None
    while page := latest(reader, count, before):
        assert len(page) <= count
        found += page
        before = Place(page[-1].started, page[-1].call)
    assert found == expected


@pytest.mark.parametrize("count", [1, 50, 1000])
def test_calls_that_are_over_come_in_the_order_of_their_end(reader: Reader, count: int) -> None:
    expected = sorted(
        (call for call in whole(reader) if not call.open), key=lambda call: (call.ended, call.call)
    )
    found: list[CallRecord] = []
    after: Place | None = None
    while page := ended(reader, count, after):
        found += page
        after = Place(page[-1].ended, page[-1].call)
    assert found == expected


def test_those_that_go_on_are_found(reader: Reader) -> None:
    expected = {call.call for call in whole(reader) if call.open and call.started > NOW + 800}
    assert {call.call for call in going_on(reader, 400, NOW + 1200)} == expected
    assert expected


def test_a_page_reads_its_part_and_no_more(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    original = paging._time

    def count(event: Event) -> float:
        nonlocal read
        read += 1
        return original(event)

    monkeypatch.setattr(paging, "_time", count)
    middle = latest(reader, 150)[-1]
    read = 0
    latest(reader, 5, Place(middle.started, middle.call))
    assert read < 350, "events of the longest call there can be, not of all"


@pytest.mark.parametrize("text", ["", "x", "1.0", "x y", "-1 c", "nan c", "inf c", "1e300 c"])
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(ValueError):
        Place.parse(text)
    assert Place.parse(str(Place(1.5, "a b"))) == (1.5, "a b")
