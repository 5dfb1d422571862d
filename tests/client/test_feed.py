"""An async iterator that is fed from outside."""

from __future__ import annotations

import asyncio

from ringfence.client.feed import Feed


async def test_items_come_in_order_until_it_is_closed() -> None:
    feed: Feed[int] = Feed()
    feed.put(1)
    reading = asyncio.create_task(_all(feed))
    await asyncio.sleep(0)
    feed.put(2)
    feed.close()
    feed.put(3)
    assert await reading == [1, 2]
    assert await _all(feed) == []


async def test_the_oldest_are_lost_when_nobody_reads() -> None:
    feed: Feed[int] = Feed(limit=3)
    for number in range(5):
        feed.put(number)
    assert feed.full
    feed.close()
    assert await _all(feed) == [2, 3, 4]


async def test_an_item_can_be_taken_back() -> None:
    feed: Feed[str] = Feed()
    feed.put("a")
    feed.put("b")
    feed.discard("a")
    feed.discard("never there")
    assert len(feed) == 1
    assert await anext(feed) == "b"


async def _all(feed: Feed[int]) -> list[int]:
    return [item async for item in feed]
