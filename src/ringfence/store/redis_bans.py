"""Bans in Redis or Valkey, for nodes that have a database each: read from there, and written there.

A hash has a ban for each network; a number beside it grows with each change, so that whoever looks whether anything
has changed asks for one number. What a node does with it is in `service.shared`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ringfence.store.errors import StoreError
from ringfence.store.exchange import TIMEOUT
from ringfence.store.records import Ban

Bans = Mapping[str, Ban]
"""By network."""


class RedisBans:
    """The bans of all nodes of a domain. Every method raises `StoreError` when the server is gone."""

    def __init__(self, url: str, domain: str, *, cluster: bool = False) -> None:
        """Raises ValueError for an address that is none."""
        options: dict[str, Any] = {
            "socket_timeout": TIMEOUT,
            "socket_connect_timeout": TIMEOUT,
            "retry": Retry(NoBackoff(), 0),
            "decode_responses": True,
        }
        self._client: Any = (
            RedisCluster.from_url(url, **options) if cluster else Redis.from_url(url, **options)
        )
        self._bans = f"{{ringfence:{domain}}}:bans"
        self._version = f"{{ringfence:{domain}}}:bans:version"

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def version(self) -> int:
        """A number that grows with each change; 0 where nobody has written anything."""
        try:
            return int(await self._client.get(self._version) or 0)
        except (RedisError, OSError, TimeoutError) as error:
            raise _failure(error) from None

    async def all(self) -> dict[str, Ban]:
        """Every ban that is there, ended ones included. What can't be read is left out."""
        try:
            held = await self._client.hgetall(self._bans)
        except (RedisError, OSError, TimeoutError) as error:
            raise _failure(error) from None
        found = {}
        for network, text in held.items():
            try:
                reason, since, until, by, times = json.loads(text)
                found[network] = Ban(network, str(reason), float(since), float(until), str(by), int(times))
            except (ValueError, TypeError):
                continue  # written by another version
        return found

    async def change(self, stored: Iterable[Ban], removed: Iterable[str]) -> int:
        """Put these in place of what there is of their networks, and remove others. Gives the new version."""
        try:
            async with self._client.pipeline(transaction=True) as pipe:
                for ban in stored:
                    values = [ban.reason, ban.since, ban.until, ban.by, ban.times]
                    pipe.hset(self._bans, ban.network, json.dumps(values))
                for network in removed:
                    pipe.hdel(self._bans, network)
                pipe.incr(self._version)
                return int((await pipe.execute())[-1])
        except (RedisError, OSError, TimeoutError) as error:
            raise _failure(error) from None


def _failure(error: Exception) -> StoreError:
    return StoreError(f"Redis: {error or type(error).__name__}")


def merged(base: Bans, here: Bans, there: Bans) -> dict[str, Ban]:
    """What holds, given what two sides have now and what both had before.

    What one side has changed since then holds. Where both have, the longer ban does.
    """
    found = {}
    for network in here.keys() | there.keys():
        before, one, other = base.get(network), here.get(network), there.get(network)
        chosen = other if one == before else one
        if one != before and other != before and one != other:
            chosen = max((each for each in (one, other) if each is not None), key=_end)
        if chosen is not None:
            found[network] = chosen
    return found


def _end(ban: Ban) -> float:
    return ban.until or float("inf")
