"""Who may call again: reports, the owner's word, consent, and what nobody can do to others."""

from __future__ import annotations

import pytest

from ringfence.guard import reputation
from ringfence.guard.reputation import EVERYBODY, Handle, Reputation, ReputationPolicy, Standing
from ringfence.store import MemoryStore

ALICE, BOB, CAROL, DAVE = (f"sip:{name}@example.org" for name in ("alice", "bob", "carol", "dave"))
MALLORY = Handle(("uri:sip:mallory@example.com",), True, ("domain:example.com",))
SOMEBODY = Handle(("address:192.0.2.9", "claim:example.com"), False)
NOW = 1_800_000_000.0
POLICY = ReputationPolicy(reports=3, report_time=1000.0, consent_time=1000.0)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def people(store: MemoryStore) -> Reputation:
    return Reputation(store.opinions, POLICY)


async def test_a_report_counts_for_the_one_who_made_it(people: Reputation) -> None:
    assert people.judge(MALLORY, ALICE, NOW) is Standing.UNKNOWN
    await people.report(MALLORY, ALICE, NOW)
    assert people.judge(MALLORY, ALICE, NOW) is Standing.REPORTED
    assert people.judge(MALLORY, BOB, NOW) is Standing.UNKNOWN


async def test_a_report_ends(people: Reputation) -> None:
    await people.report(MALLORY, ALICE, NOW)
    assert people.judge(MALLORY, ALICE, NOW + 999) is Standing.REPORTED
    assert people.judge(MALLORY, ALICE, NOW + 1000) is Standing.UNKNOWN


async def test_several_reports_count_for_everybody(people: Reputation) -> None:
    for callee in (ALICE, BOB):
        await people.report(MALLORY, callee, NOW)
        await people.report(MALLORY, callee, NOW)  # again: still one voice
    assert people.judge(MALLORY, DAVE, NOW) is Standing.UNKNOWN
    await people.report(MALLORY, CAROL, NOW)
    assert people.judge(MALLORY, DAVE, NOW) is Standing.NOTORIOUS


async def test_who_wants_a_notorious_caller_hears_it(people: Reputation) -> None:
    for callee in (ALICE, BOB, CAROL):
        await people.report(MALLORY, callee, NOW)
    await people.allow(MALLORY, DAVE, NOW)
    assert people.judge(MALLORY, DAVE, NOW) is Standing.WANTED


async def test_nobody_is_silenced_by_calls_in_its_name(people: Reputation) -> None:
    for callee in (ALICE, BOB, CAROL):
        await people.report(SOMEBODY, callee, NOW)
    assert people.judge(SOMEBODY, ALICE, NOW) is Standing.REPORTED
    assert people.judge(SOMEBODY, DAVE, NOW) is Standing.UNKNOWN
    assert people.judge(MALLORY, ALICE, NOW) is Standing.UNKNOWN  # of that domain, and proved it


async def test_a_caller_is_known_by_any_of_its_names(people: Reputation) -> None:
    await people.report(SOMEBODY, ALICE, NOW)
    moved = Handle(("address:198.51.100.1", "claim:example.com"), False)
    renamed = Handle(("address:192.0.2.9", "claim:example.net"), False)
    assert people.judge(moved, ALICE, NOW) is people.judge(renamed, ALICE, NOW) is Standing.REPORTED


async def test_the_owner_speaks_for_everybody(people: Reputation) -> None:
    domain = Handle(("domain:example.com",), True)
    await people.report(domain, EVERYBODY, NOW)
    assert people.judge(MALLORY, ALICE, NOW) is Standing.REPORTED
    await people.allow(MALLORY, ALICE, NOW)
    assert people.judge(MALLORY, ALICE, NOW) is Standing.WANTED
    await people.allow(domain, EVERYBODY, NOW)
    assert people.judge(MALLORY, BOB, NOW) is Standing.WANTED


async def test_who_only_says_who_it_is_gets_the_bad_of_a_name_and_not_the_good(people: Reputation) -> None:
    claims = Handle(("address:192.0.2.9", "claim:example.com"), False, ("domain:example.com",))
    await people.allow(Handle(("domain:example.com",), True), EVERYBODY, NOW)
    await people.allow(Handle(("claim:example.com",), True), ALICE, NOW)
    assert people.judge(claims, ALICE, NOW) is Standing.UNKNOWN
    await people.allow(Handle(("address:192.0.2.9",), False), EVERYBODY, NOW)
    assert people.judge(claims, ALICE, NOW) is Standing.WANTED
    await people.report(Handle(("domain:example.com",), True), ALICE, NOW)
    assert people.judge(claims, ALICE, NOW) is Standing.REPORTED


async def test_one_or_all_forgive(people: Reputation) -> None:
    for callee in (ALICE, BOB):
        await people.report(MALLORY, callee, NOW)
    assert await people.forgive(MALLORY.names[0], ALICE) == 1
    assert people.judge(MALLORY, ALICE, NOW) is Standing.UNKNOWN
    assert await people.forgive(MALLORY.names[0]) == 1
    assert await people.forgive(MALLORY.names[0]) == 0


async def test_a_reason_is_kept_in_bounds(people: Reputation, store: MemoryStore) -> None:
    await people.report(MALLORY, ALICE, NOW, "sp\u00e4m\n" + "a" * 500)
    [kept] = store.opinions.list(NOW)
    assert kept.reason == "sp?m?" + "a" * 195


async def test_consent_is_stored_anew_only_when_it_is_half_over(people: Reputation) -> None:
    assert not people.knows(MALLORY, ALICE, NOW)
    await people.allow(MALLORY, ALICE, NOW)
    assert people.knows(MALLORY, ALICE, NOW)
    assert people.knows(MALLORY, ALICE, NOW + 499)
    assert not people.knows(MALLORY, ALICE, NOW + 501)
    assert not people.knows(MALLORY, BOB, NOW)


def test_calls_are_remembered_for_a_time_and_in_bounds(
    people: Reputation, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.remember("1", MALLORY, ALICE, NOW)
    assert people.remembered("1") == (MALLORY, ALICE)
    assert people.remembered("2") is None
    people.remember("2", MALLORY, BOB, NOW + reputation.REMEMBERED_SECONDS + 1)
    assert people.remembered("1") is None
    monkeypatch.setattr(reputation, "MAX_REMEMBERED", 2)
    for number in ("3", "4"):
        people.remember(number, MALLORY, BOB, NOW + reputation.REMEMBERED_SECONDS + 2)
    assert [people.remembered(each) is not None for each in ("2", "3", "4")] == [False, True, True]
