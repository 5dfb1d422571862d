"""What callees think of callers: kept, shared with other processes, bounded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ringfence.store import Opinion, Store
from ringfence.store.database import Database
from ringfence.store.opinions import MAX_PER_CALLEE

from .samples import ALICE, BOB, NOW, account

MALLORY = "uri:sip:mallory@example.com"


def opinion(caller: str = MALLORY, callee: str = ALICE, **fields: Any) -> Opinion:
    return Opinion(**{"caller": caller, "callee": callee, "wanted": False, "expires_at": NOW + 60, **fields})


async def test_each_callee_has_one_opinion_of_a_caller(store: Store) -> None:
    await store.opinions.put([opinion(reason="spam"), opinion(callee=BOB)])
    await store.opinions.put([opinion(wanted=True, given=NOW)])
    assert set(store.opinions.about(MALLORY, NOW)) == {opinion(wanted=True, given=NOW), opinion(callee=BOB)}
    assert store.opinions.count() == 2


async def test_the_last_of_two_at_once_counts(store: Store) -> None:
    await store.opinions.put([opinion(), opinion(wanted=True)])
    assert store.opinions.about(MALLORY, NOW) == (opinion(wanted=True),)


async def test_an_opinion_ends(store: Store) -> None:
    await store.opinions.put([opinion(), opinion("tn:1", expires_at=NOW + 10)])
    assert store.opinions.about("tn:1", NOW + 10) == ()
    assert store.opinions.count() == 2
    assert await store.opinions.purge(NOW + 10) == 1
    assert await store.opinions.purge(NOW + 10) == 0
    assert store.opinions.list(NOW) == (opinion(),)


async def test_one_callee_or_all_forgive(store: Store) -> None:
    await store.opinions.put([opinion(), opinion(callee=BOB), opinion("tn:1")])
    assert await store.opinions.remove(MALLORY, "sip:nobody@example.org") == 0
    assert await store.opinions.remove(MALLORY, BOB) == 1
    assert store.opinions.about(MALLORY, NOW) == (opinion(),)
    assert await store.opinions.remove(MALLORY) == 1
    assert store.opinions.list(NOW) == (opinion("tn:1"),)


async def test_pages_come_in_order(store: Store) -> None:
    every = [opinion(f"tn:{n}", callee) for n in (1, 2) for callee in (ALICE, BOB)]
    await store.opinions.put(reversed(every))
    assert store.opinions.list(NOW, limit=3) == tuple(every[:3])
    assert store.opinions.list(NOW, ("tn:2", ALICE)) == (every[3],)


async def test_the_oldest_of_a_callee_go(store: Store) -> None:
    await store.opinions.put(opinion(f"tn:{n}", given=NOW + n) for n in range(MAX_PER_CALLEE))
    await store.opinions.put([opinion(callee=BOB), opinion("tn:new", given=NOW)])
    assert store.opinions.count() == MAX_PER_CALLEE + 1
    assert store.opinions.about("tn:0", NOW) == ()
    assert store.opinions.about("tn:new", NOW) != ()
    await store.opinions.put([opinion("tn:1", given=NOW + 5000)])  # one that is there takes no new place
    assert store.opinions.about("tn:2", NOW) != ()


async def test_opinions_of_a_removed_account_go_with_it(store: Store) -> None:
    await store.accounts.add(account())
    await store.opinions.put([opinion(), opinion(callee=BOB)])
    await store.accounts.remove(ALICE)
    assert store.opinions.list(NOW) == (opinion(callee=BOB),)


async def test_they_are_there_after_a_restart_and_in_other_processes(url: str) -> None:
    database, other = await Database.open(url), await Database.open(url)
    await database.opinions.put([opinion(), opinion(callee=BOB)])
    await other.refresh()
    assert other.opinions.list(NOW) == database.opinions.list(NOW)
    await other.opinions.remove(MALLORY, ALICE)
    await database.refresh()
    assert database.opinions.list(NOW) == (opinion(callee=BOB),)
    await database.close()
    await other.close()
    database = await Database.open(url)
    assert database.opinions.list(NOW) == (opinion(callee=BOB),)
    await database.close()


async def test_an_older_database_is_upgraded(tmp_path: Path) -> None:
    from alembic import command

    from ringfence.store.connect import engine_for, sqlite_url
    from ringfence.store.migrate import _config, current, upgrade

    url = sqlite_url(tmp_path / "old.db")
    engine = engine_for(url)
    with engine.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    assert current(url) == "0001"
    upgrade(url)
    database = await Database.open(url)
    await database.opinions.put([opinion()])
    await database.close()


@pytest.mark.parametrize(("caller", "callee"), [("", ALICE), (MALLORY, "")])
def test_an_opinion_needs_two(caller: str, callee: str) -> None:
    with pytest.raises(ValueError, match="of somebody about somebody"):
        opinion(caller, callee)
