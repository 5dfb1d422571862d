"""Memory and SQL are one port: the same operations give the same answers, and the same again after a reload."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence.store import MemoryStore, Opinion, Store, StoreError
from ringfence.store.connect import sqlite_url
from ringfence.store.database import Database

from .samples import NOW, account, binding
from .settle import settled

NAMES = st.sampled_from(["alice", "bob", "carol"])
AORS = NAMES.map("sip:{}@example.org".format)
FLOWS = st.sampled_from(["", "f1", "f2"])
GRUUS = st.sampled_from(["", "t1", "t2"])
ALIASES = st.lists(st.sampled_from(["sip:sales@example.org", "tel:+1"]), unique=True, max_size=2).map(tuple)
CALLERS = st.sampled_from(["tn:12155551212", "uri:sip:mallory@example.com"])
TIMES = st.sampled_from([NOW + seconds for seconds in (0, 30, 60, 90)])

CONTACTS = st.lists(
    st.fixed_dictionaries(
        {
            "contact": st.sampled_from(["sip:1@h", "sip:2@h", "sip:\udc80@h"]),
            "expires_at": TIMES,
            "updated": TIMES,
            "q": st.sampled_from([0.5, 1.0]),
            "flow": FLOWS,
        }
    ),
    unique_by=lambda fields: fields["contact"],
    max_size=3,
)
OPERATIONS = st.one_of(
    st.tuples(st.sampled_from(["add", "update"]), NAMES, NAMES, ALIASES),
    st.tuples(st.just("remove"), AORS),
    st.tuples(st.sampled_from(["replace", "append"]), AORS, CONTACTS, GRUUS, TIMES),
    st.tuples(st.just("purge"), TIMES),
    st.tuples(st.just("opine"), st.lists(st.tuples(CALLERS, AORS, st.booleans(), TIMES), max_size=3)),
    st.tuples(st.just("forgive"), CALLERS, st.one_of(st.just(""), AORS)),
    st.tuples(st.just("purge opinions"), TIMES),
)


async def perform(store: Store, operation: tuple[Any, ...]) -> Any:
    match operation:
        case ("add" | "update" as name, address, user, aliases):
            method = store.accounts.add if name == "add" else store.accounts.update
            return await outcome(method(account(address, user=user, aliases=aliases)))
        case ("remove", aor):
            return await outcome(store.accounts.remove(aor))
        case ("replace" | "append" as name, aor, contacts, gruu, now):
            new = [
                binding(aor, temporary_gruu=f"{gruu}{aor}" if gruu else "", **fields) for fields in contacts
            ]
            old = () if name == "replace" else None
            return await store.bindings.change(
                aor, lambda current: [*(current if old is None else old), *new], now
            )
        case ("purge", now):
            return await store.bindings.purge(now)
        case ("opine", opinions):
            return await store.opinions.put(Opinion(*each, given=each[3] - 9) for each in opinions)
        case ("forgive", caller, callee):
            return await store.opinions.remove(caller, callee)
        case ("purge opinions", now):
            return await store.opinions.purge(now)


async def outcome(write: Awaitable[None]) -> str:
    try:
        await write
    except StoreError as error:
        return f"{type(error).__name__}: {error}"
    return "done"


async def everything(store: Store) -> list[Any]:
    accounts, bindings = store.accounts, store.bindings
    names, now = ("alice", "bob", "carol"), NOW + 30
    aors = [f"sip:{name}@example.org" for name in names]
    readings = [
        accounts.list(),
        accounts.count(),
        bindings.counts(),
        bindings.list(now),
        store.opinions.list(now),
        store.opinions.count(),
        store.opinions.about("tn:12155551212", now),
        *(accounts.by_aor(aor) for aor in aors),
        *(accounts.find(name, "example.org") for name in names),
        *(accounts.by_alias(alias) for alias in ("sip:sales@example.org", "tel:+1")),
        *(bindings.lookup(aor, now) for aor in aors),
        *(bindings.by_temporary_gruu(f"{gruu}{aor}", now) for gruu in ("t1", "t2") for aor in aors),
    ]
    by_flow = [set(await settled(bindings.by_flow(flow))) for flow in ("", "f1", "f2")]
    return [await settled(reading) for reading in readings] + by_flow


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=st.lists(OPERATIONS, max_size=12))
def test_same_operations_same_answers(migrated: Path, operations: list[tuple[Any, ...]]) -> None:
    async def compare(url: str) -> None:
        memory, watcher, database = MemoryStore(), await Database.open(url), await Database.open(url)
        for operation in operations:
            assert await perform(memory, operation) == await perform(database, operation)
            assert await everything(memory) == await everything(database)
        await watcher.refresh()
        assert await everything(memory) == await everything(watcher)
        await database.close()
        await watcher.close()
        reopened = await Database.open(url)
        assert await everything(memory) == await everything(reopened)
        await reopened.close()

    with tempfile.TemporaryDirectory() as directory:
        path = Path(shutil.copy(migrated, Path(directory) / "copy.db"))
        asyncio.run(compare(sqlite_url(path)))
