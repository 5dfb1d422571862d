"""What several nodes tell each other through Redis or Valkey, without ever waiting for it.

``tell`` puts something into a queue and is done. A task publishes what has gathered, in one message, so that a busy
node sends one message a round trip and a quiet one a second. Another task listens. What was told while the server was
gone is lost: whoever tells repeats what matters now and then (`ledger.together`), and counts nothing that is old.

A message a second comes back to whoever sent it. So a node that hears not even itself knows that it is cut off, also
where a network drops everything in silence. It says so once, goes on alone, and says so again when it is back.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

log = structlog.get_logger("ringfence.shared")

ALIVE_SECONDS = 1.0
"""How often something is published, be it nothing."""

DEAF_SECONDS = 5.0
"""Who has not heard itself for so long is cut off."""

TIMEOUT = 2.0
"""Seconds for an answer of the server."""

RETRY_SECONDS = 1.0
"""How soon the server is tried again."""

MAX_WAITING = 10_000
"""Things that may wait to be published: some seconds of a busy node. The oldest go first."""

AT_ONCE = 500
"""Things in one message."""

Heard = Callable[[str, list[Any]], None]


class Exchange:
    """The link of one process. ``heard`` gets who has told what; own messages, and those of ``run``, are left out.

    ``run`` is what the processes of one node have in common, ``name`` this process. Raises ValueError for an address
    that is none.
    """

    def __init__(self, url: str, channel: str, run: str, name: str, heard: Heard) -> None:
        self.up = False
        """Whether others hear us and we them, as far as is known."""
        self.counts: Counter[str] = Counter()
        """told, heard, lost (nobody was there to publish it), malformed."""
        self._client = Redis.from_url(
            url,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        self._channel = channel
        self._run = run
        self._name = f"{run}.{name}"
        self._heard = heard
        self._waiting: deque[list[Any]] = deque()
        self._wake = asyncio.Event()
        self._published = asyncio.Event()
        self._deaf_at = 0.0
        self._said = ""
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin; the server need not be there yet."""
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def close(self) -> None:
        """Publish what waits, if that is possible at once, and end."""
        if self._task is None:
            return
        if self.up and self._waiting:
            with suppress(TimeoutError):
                async with asyncio.timeout(ALIVE_SECONDS):
                    await self._published.wait()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def tell(self, what: list[Any]) -> None:
        """Tell all other nodes something that JSON can write. Never waits, never fails."""
        if not self.up or len(self._waiting) >= MAX_WAITING:
            self.counts["lost"] += 1
            return
        self._waiting.append(what)
        self._published.clear()
        self._wake.set()

    # -- the tasks -------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        try:
            while True:
                try:
                    await self._connected()
                except* (RedisError, OSError, TimeoutError, ValueError) as group:
                    self._gone(group.exceptions[0])
                await asyncio.sleep(RETRY_SECONDS)
        finally:
            self.up = False
            await self._client.aclose()

    async def _connected(self) -> None:
        pubsub = self._client.pubsub(ignore_subscribe_messages=True)
        try:
            await pubsub.subscribe(self._channel)
            self._deaf_at = asyncio.get_running_loop().time() + DEAF_SECONDS
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(pubsub))
                tasks.create_task(self._publish())
        finally:
            with suppress(RedisError, OSError):
                await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _publish(self) -> None:
        while True:
            things = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
            await self._client.publish(self._channel, json.dumps([self._name, things]))
            self.counts["told"] += len(things)
            if not self._waiting:
                self._published.set()
                self._wake.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(ALIVE_SECONDS):
                        await self._wake.wait()

    async def _listen(self, pubsub: PubSub) -> None:
        loop = asyncio.get_running_loop()
        while True:
            message = await pubsub.get_message(timeout=ALIVE_SECONDS)
            if message is not None:
                self._take(message["data"], loop.time())
            if loop.time() > self._deaf_at:
                raise TimeoutError("what is published does not come back")

    def _take(self, text: str, now: float) -> None:
        try:
            sender, things = json.loads(text)
            if not isinstance(sender, str) or not isinstance(things, list):
                raise TypeError
        except (ValueError, TypeError):
            self.counts["malformed"] += 1
            return
        if sender == self._name:
            self._deaf_at = now + DEAF_SECONDS
            if not self.up:
                self._back()
        elif not sender.startswith(f"{self._run}."):
            self.counts["heard"] += len(things)
            for what in things:
                self._give(sender, what)

    def _give(self, sender: str, what: object) -> None:
        try:
            if not isinstance(what, list):
                raise TypeError(f"a list was expected, and {type(what).__name__} came")
            self._heard(sender, what)
        except (ValueError, TypeError, KeyError, IndexError) as error:  # another version of us
            self.counts["malformed"] += 1
            log.debug("not understood", sender=sender, reason=str(error))

    def _back(self) -> None:
        self.up = True
        self._said = ""
        log.info("counts together with other nodes")

    def _gone(self, error: BaseException) -> None:
        self.counts["lost"] += len(self._waiting)
        self._waiting.clear()
        self.up = False
        if not self._said:
            self._said = str(error) or type(error).__name__
            log.error("counts alone: what other nodes count is not known", reason=f"Redis: {self._said}")
