"""Bans are there after a restart, and another process sees them."""

from __future__ import annotations

from pathlib import Path

from ringfence.store.connect import sqlite_url
from ringfence.store.database import Database
from ringfence.store.memory import MemoryStore
from ringfence.store.migrate import upgrade
from ringfence.store.ports import Store
from ringfence.store.records import Ban

FOREVER = Ban("192.0.2.0/24", "owner's word", 100.0, 0.0, "admin")
SHORT = Ban("198.51.100.7", "wrong password", 100.0, 400.0, "guard", 2)


async def test_a_ban_holds_until_its_end() -> None:
    assert FOREVER.holds(1e12)
    assert SHORT.holds(399.0)
    assert not SHORT.holds(400.0)


async def changes(store: Store) -> None:
    version = store.bans.version
    await store.bans.put(FOREVER)
    await store.bans.put(SHORT)
    assert set(store.bans.all()) == {FOREVER, SHORT}
    assert store.bans.version != version
    longer = Ban(SHORT.network, "again", 500.0, 900.0, "guard", 3)
    await store.bans.put(longer)
    assert longer in store.bans.all()
    assert await store.bans.purge(899.0) == 0
    assert await store.bans.purge(901.0) == 1
    assert store.bans.all() == (FOREVER,)  # one without an end is never purged
    assert await store.bans.remove(FOREVER.network)
    assert not await store.bans.remove(FOREVER.network)


async def test_in_memory() -> None:
    await changes(MemoryStore())


async def test_in_a_database_and_seen_by_another_process(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "node.db")
    upgrade(url)
    store, other = await Database.open(url), await Database.open(url)
    try:
        await changes(store)
        await store.bans.put(SHORT)
        await other.refresh()
        assert other.bans.all() == (SHORT,)
        await other.bans.remove(SHORT.network)
        await store.refresh()
        assert store.bans.all() == ()
        await store.bans.put(FOREVER)
    finally:
        await store.close()
        await other.close()
    again = await Database.open(url)
    try:
        assert again.bans.all() == (FOREVER,)
    finally:
        await again.close()
