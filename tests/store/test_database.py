"""What a database adds to the ports: it is kept, it is shared with other processes, and it batches."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from ringfence.message import PeerError
from ringfence.store import Binding, Counts, RecordExists, RecordMissing, StoreBusy, StoreError
from ringfence.store.database import Database
from ringfence.store.index import BindingIndex
from ringfence.store.sql_bindings import PURGE_BATCH

from .raw import sql
from .samples import ALICE, BOB, FULL, NOW, account, binding, only
from .settle import settled


@pytest.fixture
async def other(url: str, database: Database) -> AsyncIterator[Database]:
    """The same database, opened by another process."""
    opened = await Database.open(url)
    yield opened
    await opened.close()


async def test_everything_is_there_after_a_restart(url: str) -> None:
    database = await Database.open(url)
    await database.accounts.add(account(aliases=("sip:sales@example.org",)))
    await database.bindings.change(ALICE, only(FULL), NOW)
    await database.close()

    database = await Database.open(url)
    assert database.accounts.by_aor(ALICE) == account(aliases=("sip:sales@example.org",))
    assert database.bindings.lookup(ALICE, NOW) == (FULL,)
    assert database.bindings.by_flow(FULL.flow) == (FULL,)
    assert database.bindings.by_temporary_gruu(FULL.temporary_gruu, NOW) == (FULL,)
    assert database.revision == 2
    await database.close()


async def test_an_account_changed_elsewhere_is_seen(database: Database, other: Database) -> None:
    await other.accounts.add(account())
    await other.accounts.add(account("bob"))
    assert database.accounts.by_aor(ALICE) is None
    await database.refresh()
    assert database.accounts.count() == 2

    changed = account(credentials={"SHA-256": "f" * 64}, aliases=("tel:+358401234567",), disabled=True)
    await other.accounts.update(changed)
    await other.accounts.remove(BOB)
    await database.refresh()
    assert database.accounts.find("alice", "example.org") == changed
    assert database.accounts.by_alias("tel:+358401234567") == (changed,)
    assert database.accounts.by_aor(BOB) is None
    assert database.accounts.find("bob", "example.org") is None


async def test_a_user_name_that_moved_elsewhere_is_seen(database: Database, other: Database) -> None:
    await other.accounts.add(account(user="shared"))
    await other.accounts.add(account("bob"))
    await database.refresh()
    await other.accounts.update(account(user="alice"))
    await other.accounts.update(account("bob", user="shared"))
    await database.refresh()
    found = database.accounts.find("shared", "example.org")
    assert found is not None
    assert found.aor == BOB
    assert database.accounts.find("bob", "example.org") is None


async def test_names_taken_elsewhere_are_taken_before_they_are_seen(
    database: Database, other: Database
) -> None:
    await other.accounts.add(account())
    with pytest.raises(RecordExists):
        await database.accounts.add(account())
    await other.accounts.remove(ALICE)
    with pytest.raises(RecordMissing):
        await database.accounts.update(account())
    assert database.accounts.count() == 0


async def test_bindings_changed_elsewhere_are_seen(database: Database, other: Database) -> None:
    await other.bindings.change(ALICE, only(binding(flow="f1")), NOW)
    await other.bindings.change(BOB, only(binding(BOB)), NOW)
    await database.refresh()
    assert database.bindings.by_flow("f1") == (binding(flow="f1"),)
    await other.bindings.change(ALICE, only(), NOW)
    await other.bindings.change(BOB, lambda held: [replace(held[0], cseq=2)], NOW)
    await database.refresh()
    assert database.bindings.counts() == Counts(1, 1)
    assert database.bindings.by_flow("f1") == ()
    assert [each.cseq for each in await settled(database.bindings.lookup(BOB, NOW))] == [2]


async def test_no_change_is_missed_between_ones_own(database: Database, other: Database) -> None:
    for number in range(10):
        writer = database if number % 3 else other
        await writer.bindings.change(f"sip:{number}@h", only(binding(f"sip:{number}@h")), NOW)
    await database.refresh()
    await other.refresh()
    assert database.bindings.counts() == other.bindings.counts() == Counts(10, 10)
    assert database.revision == other.revision == 10


async def test_ones_own_changes_need_no_reading(database: Database) -> None:
    await database.bindings.change(ALICE, only(binding()), NOW)
    (held,) = await settled(database.bindings.lookup(ALICE, NOW))
    await database.refresh()
    assert (await settled(database.bindings.lookup(ALICE, NOW)))[0] is held
    assert database.revision == 1


@pytest.mark.rfc("3261", "10.3")
async def test_two_nodes_do_not_lose_each_others_bindings(database: Database, other: Database) -> None:
    seen: list[int] = []

    def add(contact: str, current: tuple[Binding, ...]) -> Iterable[Binding]:
        seen.append(len(current))
        return [*current, binding(contact=contact)]

    await database.bindings.change(ALICE, lambda current: add("sip:1@h", current), NOW)
    await other.bindings.change(ALICE, lambda current: add("sip:2@h", current), NOW)
    assert seen == [0, 0, 1]  # decided on nothing, refused, decided anew
    both = await database.bindings.change(ALICE, lambda current: add("sip:3@h", current), NOW)
    assert [each.contact for each in both] == ["sip:1@h", "sip:2@h", "sip:3@h"]


async def test_many_changes_from_both_sides_all_count(database: Database, other: Database) -> None:
    async def add(store: Database, contact: str) -> None:
        await store.bindings.change(ALICE, lambda now: [*now, binding(contact=contact)], NOW)

    await asyncio.gather(
        *(add(store, f"sip:{n}@{id(store)}") for n in range(20) for store in (database, other))
    )
    await asyncio.gather(database.refresh(), other.refresh())
    assert len(await settled(database.bindings.lookup(ALICE, NOW))) == 40
    assert database.bindings.lookup(ALICE, NOW) == other.bindings.lookup(ALICE, NOW)


async def test_a_decision_made_again_can_fail(database: Database, other: Database) -> None:
    def only_one(current: tuple[Binding, ...]) -> Iterable[Binding]:
        if current:
            raise PeerError(403, "no more bindings than one")
        return [binding()]

    await database.bindings.change(ALICE, only_one, NOW)
    with pytest.raises(PeerError, match="no more bindings"):
        await other.bindings.change(ALICE, only_one, NOW)
    assert other.bindings.lookup(ALICE, NOW) == (binding(),)


async def test_a_cancelled_change_is_still_followed(database: Database) -> None:
    task = asyncio.ensure_future(database.bindings.change(ALICE, only(binding(contact="sip:1@h")), NOW))
    await asyncio.sleep(0)
    assert database.waiting == 1
    task.cancel()
    both = await database.bindings.change(ALICE, lambda now: [*now, binding(contact="sip:2@h")], NOW)
    assert task.cancelled()
    assert [each.contact for each in both] == ["sip:1@h", "sip:2@h"]


async def test_a_lookup_copies_nothing_until_something_expires(database: Database) -> None:
    await database.bindings.change(ALICE, only(binding(), binding(contact="sip:2@h")), NOW)
    lookup = database.bindings.lookup
    assert lookup(ALICE, NOW) is lookup(ALICE, NOW + 3599)


async def test_a_thousand_registers_take_few_transactions(database: Database) -> None:
    aors = [f"sip:{number}@example.org" for number in range(1000)]
    await asyncio.gather(*(database.bindings.change(aor, only(binding(aor)), NOW) for aor in aors))
    assert database.bindings.counts() == Counts(1000, 1000)
    assert database.revision < 50


async def test_what_changes_nothing_writes_nothing(database: Database) -> None:
    await database.bindings.change(ALICE, only(binding()), NOW)
    await database.bindings.change(ALICE, lambda current: current, NOW)
    await database.bindings.change(BOB, only(), NOW)
    assert await database.bindings.purge(NOW) == ()
    assert database.revision == 1


async def test_purge_takes_many_in_turns(database: Database) -> None:
    aors = [f"sip:{number}@example.org" for number in range(PURGE_BATCH + 10)]
    await asyncio.gather(*(database.bindings.change(aor, only(binding(aor)), NOW) for aor in aors))
    assert {each.aor for each in await database.bindings.purge(NOW + 3600)} == set(aors)
    assert database.bindings.counts() == Counts(0, 0)


async def test_a_full_queue_refuses_changes_and_keeps_reading(url: str) -> None:
    database = await Database.open(url, queue_limit=2)
    aors = [f"sip:{number}@example.org" for number in range(5)]
    results = await asyncio.gather(
        *(database.bindings.change(aor, only(binding(aor)), NOW) for aor in aors),
        return_exceptions=True,
    )
    assert [isinstance(result, StoreBusy) for result in results] == [False, False, True, True, True]
    assert database.bindings.counts() == Counts(2, 2)
    await database.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts SET rights = '{}'",
        "UPDATE accounts SET ha1_md5 = 'x'",
        "UPDATE registrations SET bindings = '['",
    ],
)
async def test_a_damaged_row_is_named(url: str, path: Path, statement: str) -> None:
    database = await Database.open(url)
    await database.accounts.add(account())
    await database.bindings.change(ALICE, only(binding()), NOW)
    await database.close()
    sql(path, statement)
    with pytest.raises(StoreError, match=f"{ALICE} can't be read"):
        await Database.open(url)


async def test_a_damaged_administrator_is_named(database: Database, path: Path) -> None:
    sql(path, "INSERT INTO administrators VALUES ('eve', 'scrypt$', 'emperor', 0)")
    with pytest.raises(StoreError, match="administrator eve can't be read"):
        await database.administrators.find("eve")


def test_a_hundred_thousand_bindings_fit_in_far_less_than_a_gigabyte() -> None:
    index, count = BindingIndex(), 2000
    tracemalloc.start()
    try:
        for n in range(count):
            aor = f"sip:user{n}@example.org"
            phone = replace(
                FULL, aor=aor, contact=f"sips:{n}@192.0.2.1:5061;transport=tls;ob", call_id=f"{n:032x}"
            )
            phone = replace(phone, flow=f"TLS/{n}", instance=f"<{n:040}>", temporary_gruu=f"{n:024}")
            index.hold(aor, (phone,), n)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size / count * 100_000 < 150e6
