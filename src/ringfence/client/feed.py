"""What has happened, for a program to read at its own pace: an async iterator that can be fed from anywhere."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_UNREAD = 256
"""Items kept for a reader that does not come; older ones are lost, since peers could send without end."""


class Feed(Generic[T]):
    """Items in order, each given once. Iteration ends when the feed is closed and read."""

    def __init__(self, limit: int = MAX_UNREAD) -> None:
        self._items: deque[T] = deque(maxlen=limit)
        self._news = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        """How many wait to be read."""
        return len(self._items)

    @property
    def full(self) -> bool:
        """Whether one more would push an old one out."""
        return len(self._items) == self._items.maxlen

    def put(self, item: T) -> None:
        """Add an item; nothing happens after ``close``."""
        if not self._closed:
            self._items.append(item)
            self._news.set()

    def close(self) -> None:
        """No more will come."""
        self._closed = True
        self._news.set()

    def discard(self, item: T) -> None:
        """Take an item out that nobody has read, since it is of no use any more."""
        if item in self._items:
            self._items.remove(item)

    def __aiter__(self) -> Feed[T]:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._items.popleft()
