"""What `ports.Bindings` promises, on every store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import pytest

from ringfence.message import PeerError
from ringfence.store import Binding, Counts, Store

from .samples import ALICE, BOB, FULL, NOW, binding, only
from .settle import settled


@pytest.mark.rfc("3261", "10.3")
async def test_a_change_is_given_what_is_there_and_gives_what_is_left(store: Store) -> None:
    seen: list[tuple[Binding, ...]] = []

    def add(current: tuple[Binding, ...]) -> Iterable[Binding]:
        seen.append(current)
        return [*current, binding(contact=f"sip:alice@192.0.2.{len(current)}")]

    assert len(await store.bindings.change(ALICE, add, NOW)) == 1
    both = await store.bindings.change(ALICE, add, NOW)
    assert [len(current) for current in seen] == [0, 1]
    assert [each.contact for each in both] == ["sip:alice@192.0.2.0", "sip:alice@192.0.2.1"]
    assert await settled(store.bindings.lookup(ALICE, NOW)) == both
    assert await settled(store.bindings.lookup(BOB, NOW)) == ()
    assert await settled(store.bindings.counts()) == Counts(addresses=1, bindings=2)


@pytest.mark.rfc("5626", "6")
async def test_every_field_is_kept(store: Store) -> None:
    assert await store.bindings.change(ALICE, only(FULL), NOW) == (FULL,)


@pytest.mark.rfc("3261", "10.3")
async def test_a_decision_that_fails_changes_nothing(store: Store) -> None:
    kept = await store.bindings.change(ALICE, only(binding()), NOW)

    def out_of_order(_: tuple[Binding, ...]) -> Iterable[Binding]:
        yield binding(contact="sip:other@192.0.2.9")
        raise PeerError(500, "CSeq is not higher than the binding's")

    with pytest.raises(PeerError, match="CSeq"):
        await store.bindings.change(ALICE, out_of_order, NOW)
    with pytest.raises(ValueError, match=r"sip:bob@example\.org can't be kept"):
        await store.bindings.change(ALICE, only(binding(BOB)), NOW)
    assert await settled(store.bindings.lookup(ALICE, NOW)) == kept


@pytest.mark.rfc("3261", "10.3")
async def test_registers_are_processed_in_the_order_they_came(store: Store) -> None:
    order: list[int] = []

    def nth(number: int, current: tuple[Binding, ...]) -> list[Binding]:
        order.append(number)
        assert [each.cseq for each in current] == ([number - 1] if number else [])
        return [binding(cseq=number)]

    async def register(number: int) -> None:
        await store.bindings.change(ALICE, lambda current: nth(number, current), NOW)

    await asyncio.gather(*(register(number) for number in range(30)))
    assert order == list(range(30))


@pytest.mark.rfc("3261", "16.6")
async def test_targets_are_ordered_by_q_and_then_by_recency(store: Store) -> None:
    contacts = [
        binding(contact="sip:low@h", q=0.1, updated=NOW + 9),
        binding(contact="sip:old@h", updated=NOW - 9),
        binding(contact="sip:new@h", updated=NOW),
    ]
    found = await store.bindings.change(ALICE, only(*contacts), NOW)
    assert [each.contact for each in found] == ["sip:new@h", "sip:old@h", "sip:low@h"]


async def test_a_binding_ends_at_its_expiry(store: Store) -> None:
    short, long = binding(contact="sip:s@h", expires_at=NOW + 60), binding(contact="sip:l@h")
    await store.bindings.change(ALICE, only(short, long), NOW)
    lookup = store.bindings.lookup
    assert await settled(lookup(ALICE, NOW + 59.9)) == (long, short)
    assert await settled(lookup(ALICE, NOW + 60)) == (long,)
    assert await settled(lookup(ALICE, NOW + 3600)) == ()


async def test_a_decision_does_not_see_what_has_expired(store: Store) -> None:
    await store.bindings.change(ALICE, only(binding(expires_at=NOW + 60)), NOW)
    assert await store.bindings.change(ALICE, lambda current: current, NOW + 60) == ()


async def test_purge_gives_what_it_removes(store: Store) -> None:
    short, long = binding(contact="sip:s@h", expires_at=NOW + 60), binding(contact="sip:l@h")
    await store.bindings.change(ALICE, only(short, long), NOW)
    await store.bindings.change(BOB, only(replace(short, aor=BOB)), NOW)
    assert await store.bindings.purge(NOW + 59) == ()
    assert await store.bindings.purge(NOW + 60) == (short, replace(short, aor=BOB))
    assert await settled(store.bindings.counts()) == Counts(addresses=1, bindings=1)
    assert await store.bindings.purge(NOW + 60) == ()
    assert await store.bindings.change(ALICE, lambda current: current, NOW) == (long,)


@pytest.mark.rfc("5626", "7")
async def test_all_bindings_of_a_flow_are_found_whatever_their_address(store: Store) -> None:
    for aor in (ALICE, BOB):
        await store.bindings.change(
            aor,
            only(binding(aor, "sip:1@h", flow="f1"), binding(aor, "sip:2@h", flow="f2")),
            NOW,
        )
    found = await settled(store.bindings.by_flow("f1"))
    assert {(each.aor, each.contact) for each in found} == {(ALICE, "sip:1@h"), (BOB, "sip:1@h")}
    await store.bindings.change(ALICE, lambda current: [b for b in current if b.flow != "f1"], NOW)
    assert [each.aor for each in await settled(store.bindings.by_flow("f1"))] == [BOB]
    assert len(await settled(store.bindings.by_flow("f2"))) == 2
    assert await settled(store.bindings.by_flow("f3")) == ()


async def test_a_binding_that_moves_to_another_flow_leaves_the_old_one(store: Store) -> None:
    await store.bindings.change(ALICE, only(binding(flow="f1")), NOW)
    await store.bindings.change(ALICE, only(binding(flow="f2")), NOW)
    assert await settled(store.bindings.by_flow("f1")) == ()
    assert len(await settled(store.bindings.by_flow("f2"))) == 1


async def test_bindings_without_a_flow_are_on_no_flow(store: Store) -> None:
    await store.bindings.change(ALICE, only(binding()), NOW)
    assert await settled(store.bindings.by_flow("")) == ()
    assert await settled(store.bindings.by_temporary_gruu("", NOW)) == ()


@pytest.mark.rfc("5627", "5.3")
async def test_a_temporary_gruu_lasts_as_long_as_its_contacts(store: Store) -> None:
    mine = [
        binding(contact="sip:1@h", instance="i1", temporary_gruu="t1", reg_id=1, expires_at=NOW + 60),
        binding(contact="sip:2@h", instance="i1", temporary_gruu="t1", reg_id=2),
        binding(contact="sip:3@h", instance="i2", temporary_gruu="t2"),
    ]
    await store.bindings.change(ALICE, only(*mine), NOW)
    find = store.bindings.by_temporary_gruu
    assert [each.reg_id for each in await settled(find("t1", NOW))] == [1, 2]
    assert [each.reg_id for each in await settled(find("t1", NOW + 60))] == [2]
    assert await settled(find("t1", NOW + 3600)) == ()
    assert await settled(find("t3", NOW)) == ()
    # A new Call-ID makes a new index, and the old one is no longer valid (section 5.1).
    await store.bindings.change(
        ALICE, lambda now: [replace(b, temporary_gruu="t4") for b in now if b.instance == "i1"], NOW
    )
    assert await settled(find("t1", NOW)) == ()
    assert len(await settled(find("t4", NOW))) == 2


async def test_registrations_are_listed_in_pages(store: Store) -> None:
    for user in ("carol", "alice", "bob"):
        aor = f"sip:{user}@example.org"
        await store.bindings.change(aor, only(binding(aor, "sip:1@h"), binding(aor, "sip:2@h")), NOW)
    first = await settled(store.bindings.list(NOW, limit=2))
    assert [each.aor for each in first] == [ALICE, ALICE, BOB, BOB]
    rest = await settled(store.bindings.list(NOW, after=BOB, limit=2))
    assert [each.contact for each in rest] == ["sip:1@h", "sip:2@h"]
    assert await settled(store.bindings.list(NOW + 3600)) == ()
