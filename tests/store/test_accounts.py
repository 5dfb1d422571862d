"""What `ports.Accounts` and `ports.Administrators` promise, on every store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ringfence.store import (
    Administrator,
    AdministratorRole,
    RecordExists,
    RecordMissing,
    Rights,
    Store,
)

from .samples import ALICE, BOB, NOW, account, binding
from .settle import settled


async def test_an_account_is_found_by_each_of_its_names(store: Store) -> None:
    alice = account(aliases=("sip:sales@example.org",), display_name="Älice", created=NOW, updated=NOW + 0.5)
    await store.accounts.add(alice)
    assert await settled(store.accounts.by_aor(ALICE)) == alice
    assert await settled(store.accounts.find("alice", "example.org")) == alice
    assert await settled(store.accounts.by_alias("sip:sales@example.org")) == (alice,)
    assert await settled(store.accounts.count()) == 1


async def test_nobody_else_is_found(store: Store) -> None:
    await store.accounts.add(account())
    assert await settled(store.accounts.by_aor("sip:Alice@example.org")) is None
    assert await settled(store.accounts.find("alice", "example.net")) is None
    assert await settled(store.accounts.by_alias(ALICE)) == ()


async def test_an_address_and_a_user_in_a_realm_are_given_once(store: Store) -> None:
    await store.accounts.add(account())
    with pytest.raises(RecordExists, match=ALICE):
        await store.accounts.add(account("other", aor=ALICE))
    with pytest.raises(RecordExists, match="has the user alice"):
        await store.accounts.add(account(aor=BOB))
    await store.accounts.add(account("bob"))
    with pytest.raises(RecordExists, match="has the user alice"):
        await store.accounts.update(account("bob", user="alice"))
    assert await settled(store.accounts.count()) == 2
    found = await settled(store.accounts.by_aor(BOB))
    assert found is not None
    assert found.user == "bob"


async def test_an_update_replaces_every_field(store: Store) -> None:
    await store.accounts.add(account(aliases=("sip:sales@example.org", "sip:info@example.org")))
    changed = account(
        user="alice2",
        credentials={"MD5": "d" * 32},
        aliases=("sip:info@example.org",),
        rights=Rights(frozenset({"INVITE"}), ("tel:+358",), ("tel:+358600",), 1, 2),
        display_name="A",
        disabled=True,
        updated=NOW,
    )
    await store.accounts.update(changed)
    assert await settled(store.accounts.by_aor(ALICE)) == changed
    assert await settled(store.accounts.find("alice", "example.org")) is None
    assert await settled(store.accounts.find("alice2", "example.org")) == changed
    assert await settled(store.accounts.by_alias("sip:sales@example.org")) == ()
    assert await settled(store.accounts.by_alias("sip:info@example.org")) == (changed,)


async def test_an_alias_may_be_shared(store: Store) -> None:
    for user in ("carol", "bob", "alice"):
        await store.accounts.add(account(user, aliases=("sip:sales@example.org",)))
    found = await settled(store.accounts.by_alias("sip:sales@example.org"))
    assert [each.user for each in found] == ["alice", "bob", "carol"]
    await store.accounts.remove(BOB)
    found = await settled(store.accounts.by_alias("sip:sales@example.org"))
    assert [each.user for each in found] == ["alice", "carol"]


@pytest.mark.rfc("5627", "5.4")
async def test_an_account_takes_its_bindings_along(store: Store) -> None:
    await store.accounts.add(account())
    await store.bindings.change(ALICE, lambda _: [binding(temporary_gruu="t1", flow="f1")], NOW)
    await store.accounts.remove(ALICE)
    assert await settled(store.accounts.by_aor(ALICE)) is None
    assert await settled(store.accounts.find("alice", "example.org")) is None
    assert await settled(store.bindings.lookup(ALICE, NOW)) == ()
    assert await settled(store.bindings.by_temporary_gruu("t1", NOW)) == ()
    assert await settled(store.bindings.by_flow("f1")) == ()
    await store.accounts.add(account())
    assert await settled(store.bindings.lookup(ALICE, NOW)) == ()


async def test_what_is_not_there_is_not_changed(store: Store) -> None:
    with pytest.raises(RecordMissing, match=ALICE):
        await store.accounts.update(account())
    with pytest.raises(RecordMissing, match=ALICE):
        await store.accounts.remove(ALICE)


async def test_accounts_are_listed_in_pages(store: Store) -> None:
    for user in ("carol", "alice", "dave", "bob"):
        await store.accounts.add(account(user))
    first = await settled(store.accounts.list(limit=3))
    assert [each.user for each in first] == ["alice", "bob", "carol"]
    rest = await settled(store.accounts.list(after=first[-1].aor, limit=3))
    assert [each.user for each in rest] == ["dave"]


async def test_administrators_are_kept(store: Store) -> None:
    root = Administrator("root", "scrypt$1", AdministratorRole.OWNER, NOW)
    await store.administrators.add(root)
    await store.administrators.add(Administrator("anna", "scrypt$2"))
    assert await settled(store.administrators.find("root")) == root
    assert await settled(store.administrators.find("Root")) is None
    assert [each.name for each in await settled(store.administrators.list())] == ["anna", "root"]

    changed = replace(root, role=AdministratorRole.OPERATOR)
    await store.administrators.update(changed)
    assert await settled(store.administrators.find("root")) == changed
    await store.administrators.remove("root")
    assert await settled(store.administrators.find("root")) is None


async def test_administrators_have_different_names(store: Store) -> None:
    await store.administrators.add(Administrator("root", "scrypt$1"))
    with pytest.raises(RecordExists, match="root"):
        await store.administrators.add(Administrator("root", "scrypt$2"))
    with pytest.raises(RecordMissing, match="anna"):
        await store.administrators.update(Administrator("anna", "scrypt$1"))
    with pytest.raises(RecordMissing, match="anna"):
        await store.administrators.remove("anna")
