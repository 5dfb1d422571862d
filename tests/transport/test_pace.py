"""When a loop rests so that messages meet."""

import asyncio

from ringfence.transport.pace import BUSY, ENOUGH, REST, SAMPLE, Pace


class Clock:
    """A clock that moves when it is told, and notes who slept."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.rests: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.rests.append(seconds)


async def take(pace: Pace, clock: Clock, messages: int, rate: float) -> None:
    """Messages that come one by one, each in a turn of its own."""
    for _ in range(messages):
        clock.now += 1 / rate
        pace.took(1)
        await asyncio.sleep(0)


async def test_a_quiet_node_never_rests() -> None:
    clock = Clock()
    await take(Pace(clock, clock.sleep), clock, 20 * SAMPLE, BUSY / 2)
    assert clock.rests == []


async def test_a_busy_node_rests_once_a_turn() -> None:
    clock = Clock()
    pace = Pace(clock, clock.sleep)
    await take(pace, clock, 2 * SAMPLE, BUSY * 4)
    clock.rests.clear()
    for _ in range(3):  # several sockets in one turn
        pace.took(2)
    assert clock.rests == []  # not before all of them have been dealt with
    await asyncio.sleep(0)
    assert clock.rests == [REST]
    await asyncio.sleep(0)
    assert clock.rests == [REST]  # nothing came meanwhile: no second one


async def test_it_stops_resting_when_the_load_has_gone() -> None:
    clock = Clock()
    pace = Pace(clock, clock.sleep)
    await take(pace, clock, 4 * SAMPLE, BUSY * 4)
    assert clock.rests
    await take(pace, clock, 2 * SAMPLE, BUSY / 4)
    clock.rests.clear()
    await take(pace, clock, 4 * SAMPLE, BUSY / 4)
    assert clock.rests == []


async def test_a_node_that_does_not_keep_up_never_rests() -> None:
    clock = Clock()
    pace = Pace(clock, clock.sleep)
    for _ in range(10):
        clock.now += 0.001
        pace.took(ENOUGH)
        await asyncio.sleep(0)
    assert clock.rests == []
