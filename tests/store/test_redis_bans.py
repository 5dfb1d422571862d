"""Bans that nodes with a database each have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from ringfence.store import Ban, StoreError
from ringfence.store.redis_bans import RedisBans, merged

from .samples import NOW

ONE = Ban("192.0.2.1", "guesses", NOW, NOW + 300.0, "guard", 2)
OTHER = Ban("2001:db8::/64", "by the owner", NOW, 0.0, "owner")


def bans(*all_of_them: Ban) -> dict[str, Ban]:
    return {ban.network: ban for ban in all_of_them}


def test_what_either_side_has_changed_holds() -> None:
    longer = replace(ONE, until=NOW + 900.0)
    assert merged({}, bans(ONE), bans(OTHER)) == bans(ONE, OTHER)
    assert merged(bans(ONE), bans(ONE), {}) == {}, "removed there"
    assert merged(bans(ONE), {}, bans(ONE)) == {}, "removed here"
    assert merged(bans(ONE), bans(ONE), bans(longer)) == bans(longer)
    assert merged(bans(ONE), bans(longer), bans(ONE)) == bans(longer)


@pytest.mark.parametrize("turned_round", [False, True])
def test_where_both_have_changed_it_the_longer_ban_holds(turned_round: bool) -> None:
    short, long, for_ever = ONE, replace(ONE, until=NOW + 900.0), replace(ONE, until=0.0)
    before = replace(ONE, until=NOW + 1.0)
    for one, other in ((short, long), (long, for_ever), (None, short)):
        sides = [bans(each) if each is not None else {} for each in (one, other)]
        assert merged(bans(before), *(reversed(sides) if turned_round else sides)) == bans(other)  # type: ignore[arg-type]


pytest_redis = pytest.mark.interop("redis-server")


@pytest.fixture
async def kept(redis_url: str) -> AsyncIterator[RedisBans]:
    held = RedisBans(redis_url, "example.org")
    yield held
    await held.close()


@pytest_redis
async def test_they_come_back_as_they_were_and_each_change_has_a_number(kept: RedisBans) -> None:
    assert (await kept.version(), await kept.all()) == (0, {})
    assert await kept.change([ONE, OTHER], []) == 1
    assert await kept.all() == bans(ONE, OTHER)
    assert await kept.change([], [ONE.network]) == 2
    assert (await kept.version(), await kept.all()) == (2, bans(OTHER))


@pytest_redis
async def test_domains_have_their_own(kept: RedisBans, redis_url: str) -> None:
    other = RedisBans(redis_url, "example.net")
    await kept.change([ONE], [])
    assert await other.all() == {}
    await other.close()


async def test_nobody_there() -> None:
    held = RedisBans("unix:///nonexistent/redis.sock", "example.org")
    for asked in (held.version(), held.all(), held.change([ONE], [])):
        with pytest.raises(StoreError, match="Redis"):
            await asked
    await held.close()
