"""Bindings in Redis or Valkey, for several nodes that serve the same users.

The bindings of an address-of-record are one value, replaced by compare-and-set: a script writes the new text if the old
one is still there, else the decision is made again on what is. So nodes can't lose each other's changes, and no lock
outlives whoever held it. What finds bindings another way (by flow, by temporary GRUU, in order, by expiry) is an index
that is written before the value it leads to and cleared after it; an entry that leads nowhere is passed over.

All keys of one index lie in one slot, so that a cluster can run the script that keeps them together. How much of this
survives a power cut is the server's setting (``appendonly yes``, ``appendfsync always`` or ``everysec``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from redis.asyncio import Redis, RedisCluster
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from ringfence.store.codec import decode_bindings, encode_bindings
from ringfence.store.errors import StoreBusy, StoreError
from ringfence.store.index import decided, living
from ringfence.store.ports import Bindings, Counts, Decision
from ringfence.store.records import Binding

T = TypeVar("T")

PREFIX = "ringfence"
TIMEOUT = 2.0
"""Seconds for an answer; after that the server counts as gone, and the request is answered 500 or 503."""

CONNECTIONS = 64
"""Connections to the server at a time; requests beyond them wait for one."""

TRIES = 20
"""How often a decision is made again when others change the same address-of-record all the time."""

KEPT_SECONDS = 3600
"""How long expired bindings stay, for whoever purges them to tell of it. After that the server drops them."""

PURGE_BATCH = 500

# KEYS[1] the value; ARGV: the old text, the new one ("" for none), in how many milliseconds it may be dropped.
_REPLACE = """
local old = redis.call('GET', KEYS[1]) or ''
if old ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
"""

# KEYS: names, due, sizes, total; ARGV: the address-of-record, how many bindings it has, when the first expires.
_INDEX = """
local before = tonumber(redis.call('HGET', KEYS[3], ARGV[1]) or '0')
local now = tonumber(ARGV[2])
if now == 0 then
  redis.call('ZREM', KEYS[1], ARGV[1]); redis.call('ZREM', KEYS[2], ARGV[1]); redis.call('HDEL', KEYS[3], ARGV[1])
else
  redis.call('ZADD', KEYS[1], 0, ARGV[1]); redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
  redis.call('HSET', KEYS[3], ARGV[1], now)
end
redis.call('INCRBY', KEYS[4], now - before)
return 0
"""

_INDEX_KEYS = tuple(f"{{{PREFIX}}}:{name}" for name in ("names", "due", "sizes", "total"))
_NAMES, _DUE, _, _TOTAL = _INDEX_KEYS


class RedisBindings:
    """See `ports.Bindings`. Every read is awaited."""

    def __init__(self, client: Redis | RedisCluster) -> None:
        self._client: Any = client  # the two differ in their types and agree in what is used here
        self._replace = client.register_script(_REPLACE)
        self._index = client.register_script(_INDEX)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.written: Callable[[], None] | None = None

    @classmethod
    async def open(cls, url: str, *, cluster: bool = False) -> RedisBindings:
        """Connect to ``redis://``, ``rediss://`` (TLS) or ``unix://``. Raises `StoreError` when nobody answers."""
        retry = Retry(ExponentialBackoff(cap=0.2, base=0.01), 2)
        options: dict[str, Any] = {
            "socket_timeout": TIMEOUT,
            "socket_connect_timeout": TIMEOUT,
            "max_connections": CONNECTIONS,
            "retry": retry,
            "decode_responses": True,
        }
        try:
            client = RedisCluster.from_url(url, **options) if cluster else Redis.from_url(url, **options)
        except (RedisError, ValueError) as error:
            raise StoreError(f"the address of Redis can't be used: {error}") from None
        store = cls(client)
        try:
            await _asked(client.ping())
        except StoreError:
            await store.close()
            raise
        return store

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    # -- reading ---------------------------------------------------------------------------------------

    async def lookup(self, aor: str, now: float) -> tuple[Binding, ...]:
        """See `ports.Bindings.lookup`."""
        return living(await self._held(aor), now)

    async def by_flow(self, flow: str) -> tuple[Binding, ...]:
        """See `ports.Bindings.by_flow`."""
        names = await _asked(self._client.smembers(_flow_key(flow)))
        held = [await self._held(aor) for aor in sorted(names)]
        return tuple(binding for bindings in held for binding in bindings if binding.flow == flow)

    async def by_temporary_gruu(self, index: str, now: float) -> tuple[Binding, ...]:
        """See `ports.Bindings.by_temporary_gruu`."""
        aor = await _asked(self._client.get(_gruu_key(index)))
        if aor is None:
            return ()
        return tuple(each for each in await self.lookup(aor, now) if each.temporary_gruu == index)

    async def counts(self) -> Counts:
        """See `ports.Bindings.counts`."""
        names = await _asked(self._client.zcard(_NAMES))
        return Counts(names, int(await _asked(self._client.get(_TOTAL)) or 0))

    async def list(self, now: float, after: str = "", limit: int = 1000) -> tuple[Binding, ...]:
        """See `ports.Bindings.list`."""
        begin = f"({after}" if after else "-"
        names = await _asked(self._client.zrange(_NAMES, begin, "+", bylex=True, offset=0, num=limit))
        pages = [await self.lookup(aor, now) for aor in names]
        return tuple(binding for bindings in pages for binding in bindings)

    async def _held(self, aor: str) -> tuple[Binding, ...]:
        text = await _asked(self._client.get(_key(aor)))
        return decode_bindings(aor, text) if text else ()

    # -- writing ---------------------------------------------------------------------------------------

    async def change(self, aor: str, decide: Decision, now: float) -> tuple[Binding, ...]:
        """See `ports.Bindings.change`."""
        turn = self._turns.get(aor)  # a Lock serves in order of arrival
        if turn is None:
            turn = self._turns[aor] = asyncio.Lock()
        async with turn:
            for _ in range(TRIES):
                text = await _asked(self._client.get(_key(aor))) or ""
                before = decode_bindings(aor, text) if text else ()
                current = living(before, now)
                wanted = decided(aor, decide, current)
                if wanted == current or await self._put(aor, text, before, wanted, now):
                    return living(wanted, now)
        raise StoreBusy(f"others change the bindings of {aor} all the time")

    async def purge(self, now: float) -> tuple[Binding, ...]:
        """See `ports.Bindings.purge`."""
        expired: list[Binding] = []
        while True:
            names = await _asked(
                self._client.zrange(_DUE, "-inf", now, byscore=True, offset=0, num=PURGE_BATCH)
            )
            for aor in names:
                expired += await self._purge(aor, now)
            if len(names) < PURGE_BATCH:
                return tuple(expired)

    async def _purge(self, aor: str, now: float) -> tuple[Binding, ...]:
        text = await _asked(self._client.get(_key(aor))) or ""
        before = decode_bindings(aor, text) if text else ()
        left = living(before, now)
        if left == before:
            await self._note(aor, left)  # the server has dropped it before, or another node has purged it
            return ()
        gone = tuple(binding for binding in before if binding not in left)
        return gone if await self._put(aor, text, before, left, now) else ()

    async def _put(
        self, aor: str, text: str, before: tuple[Binding, ...], wanted: tuple[Binding, ...], now: float
    ) -> bool:
        """Replace what is stored, if it still is this text."""
        last = max((binding.expires_at for binding in wanted), default=now)
        kept = int((last - now + KEPT_SECONDS) * 1000)
        for flow in {each.flow for each in wanted if each.flow}:
            await _asked(self._client.sadd(_flow_key(flow), aor))
            await _asked(self._client.pexpire(_flow_key(flow), kept))
        for index in {each.temporary_gruu for each in wanted if each.temporary_gruu}:
            await _asked(self._client.set(_gruu_key(index), aor, px=kept))
        new = encode_bindings(wanted) if wanted else ""
        if not await _asked(self._replace(keys=[_key(aor)], args=[text, new, kept])):
            return False
        await self._note(aor, wanted)
        for flow in {each.flow for each in before if each.flow} - {each.flow for each in wanted}:
            await _asked(self._client.srem(_flow_key(flow), aor))
        if self.written is not None:
            self.written()
        return True

    async def _note(self, aor: str, bindings: tuple[Binding, ...]) -> None:
        soonest = min((binding.expires_at for binding in bindings), default=0.0)
        await _asked(self._index(keys=_INDEX_KEYS, args=[aor, len(bindings), soonest]))


def _key(aor: str) -> str:
    return f"{PREFIX}:b:{{{_safe(aor)}}}"


def _flow_key(flow: str) -> str:
    return f"{PREFIX}:f:{{{_safe(flow)}}}"


def _gruu_key(index: str) -> str:
    return f"{PREFIX}:g:{{{_safe(index)}}}"


def _safe(text: str) -> str:
    """Text of a peer as UTF-8 can have it: lone surrogates are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


async def _asked(answer: Awaitable[Any]) -> Any:
    """What the server answers. Raises `StoreError`."""
    try:
        return await answer
    except (RedisError, OSError, TimeoutError) as error:
        raise StoreError(f"Redis: {error or type(error).__name__}") from None


_PROVED: type[Bindings] = RedisBindings  # by the type checker
