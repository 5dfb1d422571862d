"""Money is neither made nor lost, whatever calls and crashes do; on both kinds of store."""

from __future__ import annotations

import asyncio

from ringfence.store import Store
from ringfence.store.balances import Reservation
from ringfence.store.database import Database

from .samples import ALICE, BOB, account


def wants(call: str, amount: int, who: str = ALICE, session: str = "") -> Reservation:
    return Reservation(call, "node1", who, amount, session)


async def test_a_balance_is_added_to_and_taken_from(store: Store) -> None:
    assert await store.balances.get(ALICE) is None
    assert await store.balances.change(ALICE, 500) == 500
    assert await store.balances.change(ALICE, -700) == -200
    assert await store.balances.get(ALICE) == -200
    assert await store.balances.get(BOB) is None


async def test_a_call_sets_aside_what_there_is_and_gives_the_rest_back(store: Store) -> None:
    money = store.balances
    await money.change(ALICE, 100)
    assert await money.reserve(wants("c1", 60), 10) == 60
    assert await money.reserve(wants("c1", 60), 50) == 0, "less than the least is nothing"
    assert await money.reserve(wants("c1", 60), 40) == 40
    assert await money.get(ALICE) == 0
    assert await money.open("node1") == (wants("c1", 100),)
    assert await money.open("node2") == ()
    assert await money.settle("c1", 70)
    assert await money.get(ALICE) == 30
    assert not await money.settle("c1", 70), "once"
    assert await money.get(ALICE) == 30


async def test_nothing_is_kept_of_a_call_that_got_nothing_unless_a_server_has_a_session(store: Store) -> None:
    assert await store.balances.reserve(wants("c1", 10), 1) == 0
    assert await store.balances.reserve(wants("c2", 0, session="s;1"), 0) == 0
    assert await store.balances.open("node1") == (wants("c2", 0, session="s;1"),)
    assert await store.balances.settle("c2", 0)
    assert await store.balances.get(ALICE) is None


async def test_calls_at_once_never_spend_more_than_there_is(store: Store) -> None:
    await store.balances.change(ALICE, 1000)
    got = await asyncio.gather(*(store.balances.reserve(wants(f"c{each}", 300), 1) for each in range(10)))
    assert sorted(got, reverse=True)[:4] == [300, 300, 300, 100]
    assert sum(got) == 1000
    assert await store.balances.get(ALICE) == 0


async def test_two_processes_do_not_spend_the_same_money(database: Database, url: str) -> None:
    other = await Database.open(url)
    await database.balances.change(ALICE, 1000)
    got = await asyncio.gather(
        *(each.balances.reserve(wants(f"{place}.{turn}", 150), 1) for turn in range(5) for place, each in
          enumerate((database, other)))
    )  # fmt: skip
    assert sum(got) == 1000
    await other.close()


async def test_the_money_goes_with_the_account(store: Store) -> None:
    await store.accounts.add(account("alice"))
    await store.balances.change(ALICE, 5)
    await store.accounts.remove(ALICE)
    assert await store.balances.get(ALICE) is None
