"""What nodes tell each other through Redis, and what they do when it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from ringfence.store.exchange import AT_ONCE, MAX_WAITING, Exchange

from .redis_server import RedisServer

pytestmark = pytest.mark.interop("redis-server")

CHANNEL = "ringfence:example.org"
PATIENCE = 10.0


class Process:
    """One process of a node, and what it has heard."""

    def __init__(self, url: str, run: str, name: str = "0") -> None:
        self.heard: list[tuple[str, list[Any]]] = []
        self.exchange = Exchange(url, CHANNEL, run, name, self._hear)

    def _hear(self, sender: str, what: list[Any]) -> None:
        if what == ["nonsense"]:
            raise ValueError("nobody knows this word")
        self.heard.append((sender, what))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


async def opened(*processes: Process) -> None:
    for each in processes:
        each.exchange.open()
    await until(lambda: all(each.exchange.up for each in processes))


@pytest.fixture
async def three(redis_url: str) -> AsyncIterator[list[Process]]:
    """Two workers of one node, and another node."""
    processes = [Process(redis_url, "one", "0"), Process(redis_url, "one", "1"), Process(redis_url, "two")]
    await opened(*processes)
    yield processes
    for each in processes:
        await each.exchange.close()


async def test_another_node_hears_all_of_it_in_order_and_the_own_node_nothing(three: list[Process]) -> None:
    number = 3 * AT_ONCE + 7
    for place in range(number):
        three[0].exchange.tell(["thing", place])
    await until(lambda: len(three[2].heard) == number)
    assert three[2].heard == [("one.0", ["thing", place]) for place in range(number)]
    assert three[0].heard == three[1].heard == []
    assert three[0].exchange.counts["told"] == number


async def test_telling_never_waits_and_what_is_too_much_is_counted(three: list[Process]) -> None:
    for place in range(MAX_WAITING + 5):
        three[0].exchange.tell([place])
    assert three[0].exchange.counts["lost"] == 5


async def test_what_is_not_understood_ends_nothing(three: list[Process], redis_url: str) -> None:
    three[0].exchange.tell(["nonsense"])
    three[0].exchange.tell(["sense"])
    await until(lambda: ("one.0", ["sense"]) in three[2].heard)
    assert three[2].exchange.counts["malformed"] == 1
    strange = Exchange(redis_url, CHANNEL, "three", "0", lambda *_: None)
    for text in ("", "{", "[1, 2]", '["x", 3]', "[]", '["x", [3]]'):
        strange._take(text, 0.0)  # as it comes from the wire
    assert strange.counts["malformed"] == 6
    await strange.close()


async def test_what_waits_at_the_end_is_told(redis_url: str) -> None:
    one, two = Process(redis_url, "one"), Process(redis_url, "two")
    await opened(one, two)
    one.exchange.tell(["over"])
    await one.exchange.close()
    await until(lambda: two.heard == [("one.0", ["over"])])
    await two.exchange.close()


async def test_a_server_that_goes_is_told_of_once_and_when_it_is_back() -> None:
    with RedisServer() as server:
        one, two = Process(server.url, "one"), Process(server.url, "two")
        await opened(one, two)
        with capture_logs() as logs:
            server.kill()
            await until(lambda: not one.exchange.up and not two.exchange.up)
            one.exchange.tell(["lost"])
            await asyncio.sleep(2.5)  # two more tries
            server.start()
            await until(lambda: one.exchange.up and two.exchange.up)
        one.exchange.tell(["again"])
        await until(lambda: two.heard == [("one.0", ["again"])])
        assert one.exchange.counts["lost"] == 1
        told = [each["event"].partition(":")[0] for each in logs]
        assert sorted(told) == ["counts alone"] * 2 + ["counts together with other nodes"] * 2
        await one.exchange.close()
        await two.exchange.close()


async def test_a_node_may_start_before_the_server() -> None:
    with RedisServer() as server:
        server.kill()
        one = Process(server.url, "one")
        one.exchange.open()
        await asyncio.sleep(0.1)
        assert not one.exchange.up
        server.start()
        await until(lambda: one.exchange.up)
        await one.exchange.close()


def test_an_address_that_is_none() -> None:
    with pytest.raises(ValueError, match="scheme"):
        Process("http://192.0.2.1", "one")
