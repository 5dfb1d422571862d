"""Bindings in Redis: what two nodes do to each other, and what a server that goes does to a node."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from ringfence.store import Binding, StoreError
from ringfence.store.database import Database
from ringfence.store.redis import RedisBindings

from .redis_server import RedisServer
from .samples import ALICE, BOB, FULL, NOW, account, binding, only

pytestmark = pytest.mark.interop("redis-server")


@pytest.fixture
async def two(redis_url: str) -> AsyncIterator[tuple[RedisBindings, RedisBindings]]:
    """Two nodes."""
    nodes = await RedisBindings.open(redis_url), await RedisBindings.open(redis_url)
    yield nodes
    for node in nodes:
        await node.close()


def plus(contact: str) -> object:
    def decide(current: tuple[Binding, ...]) -> Iterable[Binding]:
        return [*current, binding(contact=contact)]

    return decide


async def test_no_change_of_another_node_is_lost(two: tuple[RedisBindings, RedisBindings]) -> None:
    contacts = [f"sip:alice@192.0.2.{number}" for number in range(12)]
    changes = [two[place % 2].change(ALICE, plus(each), NOW) for place, each in enumerate(contacts)]  # type: ignore[arg-type]
    await asyncio.gather(*changes)
    kept = await two[0].lookup(ALICE, NOW)
    assert sorted(each.contact for each in kept) == sorted(contacts)
    assert (await two[1].counts()).bindings == 12


async def test_what_one_node_writes_the_other_sees_at_once(two: tuple[RedisBindings, RedisBindings]) -> None:
    await two[0].change(ALICE, only(FULL), NOW)
    assert await two[1].lookup(ALICE, NOW) == (FULL,)
    assert await two[1].by_flow(FULL.flow) == (FULL,)
    assert await two[1].by_temporary_gruu(FULL.temporary_gruu, NOW) == (FULL,)
    await two[1].change(ALICE, only(), NOW)
    assert await two[0].by_flow(FULL.flow) == ()
    assert await two[0].by_temporary_gruu(FULL.temporary_gruu, NOW) == ()


async def test_of_two_nodes_that_purge_one_tells_of_it(two: tuple[RedisBindings, RedisBindings]) -> None:
    old = replace(binding(), expires_at=NOW + 1)
    await two[0].change(ALICE, only(old), NOW)
    await two[0].change(BOB, only(binding(BOB)), NOW)
    told = await asyncio.gather(*(node.purge(NOW + 2) for node in two))
    assert [each for purged in told for each in purged] == [old]
    assert await two[0].lookup(ALICE, NOW) == ()
    assert (await two[0].counts()).addresses == 1


async def test_an_index_entry_that_leads_nowhere_is_passed_over(
    two: tuple[RedisBindings, RedisBindings], redis_server: Path
) -> None:
    await two[0].change(ALICE, only(FULL), NOW)
    key = f"ringfence:b:{{{ALICE}}}"
    subprocess.run(["redis-cli", "-s", str(redis_server), "del", key], check=True, capture_output=True)
    assert await two[1].by_flow(FULL.flow) == ()
    assert await two[1].by_temporary_gruu(FULL.temporary_gruu, NOW) == ()
    assert await two[1].list(NOW) == ()
    assert await two[1].purge(FULL.expires_at + 1) == ()
    assert (await two[1].counts()).addresses == 0


async def test_a_removed_account_takes_its_bindings_along(url: str, redis_url: str) -> None:
    database = await Database.open(url, redis=redis_url)
    await database.accounts.add(account("alice"))
    await database.bindings.change(ALICE, only(binding()), NOW)
    await database.accounts.remove(ALICE)
    found = database.bindings.lookup(ALICE, NOW)
    assert not isinstance(found, tuple)
    assert await found == ()
    await database.close()


async def test_a_server_that_is_killed_and_comes_back_has_every_binding() -> None:
    with RedisServer() as server:
        node = await RedisBindings.open(server.url)
        await node.change(ALICE, only(FULL), NOW)
        server.kill()
        with pytest.raises(StoreError, match="Redis"):
            await node.lookup(ALICE, NOW)
        with pytest.raises(StoreError, match="Redis"):
            await node.change(ALICE, only(), NOW)
        server.start()
        assert await node.lookup(ALICE, NOW) == (FULL,)
        await node.close()


async def test_nobody_there() -> None:
    with pytest.raises(StoreError, match="Redis"):
        await RedisBindings.open("unix:///nonexistent/redis.sock")


async def test_an_address_that_is_none() -> None:
    with pytest.raises(StoreError, match="can't be used"):
        await RedisBindings.open("http://192.0.2.1")
