"""One account, guessed at from many addresses."""

from __future__ import annotations

from ringfence.guard.guesses import (
    MAX_KNOWN,
    MAX_SLOWED,
    MAX_SOURCES,
    SLOW_SECONDS,
    TRY_SECONDS,
    WRONG,
    Guesses,
    name_of,
    source_of,
)

NOW = 1000.0


def attacked(name: str = "alice", now: float = NOW) -> Guesses:
    guesses = Guesses()
    found = [guesses.failed(name, now) for _ in range(int(WRONG.burst) + 3)]
    assert found == [False] * int(WRONG.burst) + [True, False, False], "it is told once"
    return guesses


def test_a_phone_with_an_old_password_makes_nothing_slow() -> None:
    guesses = Guesses()
    for minute in range(600):
        assert not guesses.failed("alice", NOW + 60.0 * minute)
    assert not guesses.any_slowed
    assert guesses.may_try("alice", "192.0.2.1", NOW)


def test_strangers_get_one_try_in_ten_seconds_whatever_their_address() -> None:
    guesses = attacked()
    tries = sum(
        guesses.may_try("alice", f"198.51.100.{number % 250}", NOW + number / 100) for number in range(60_00)
    )
    assert tries == 60 / TRY_SECONDS
    assert guesses.refused == 60_00 - tries
    assert guesses.may_try("bob", "198.51.100.1", NOW), "nobody else is slow"


def test_the_owner_is_judged_as_always_where_it_was_before() -> None:
    guesses = Guesses()
    places = [f"192.0.2.{number}" for number in range(MAX_SOURCES + 1)]
    for place in places:
        guesses.proved("alice", place)
    guesses.proved("alice", places[1])
    while not guesses.any_slowed:
        guesses.failed("alice", NOW)
    assert guesses.may_try("alice", "198.51.100.1", NOW)
    assert all(guesses.may_try("alice", place, NOW) for place in places[1:] for _ in range(50))
    assert not guesses.may_try("alice", places[0], NOW), "the one not seen for longest is forgotten"
    assert not guesses.may_try("alice", "198.51.100.1", NOW)


def test_it_ends_some_time_after_the_last_guess() -> None:
    guesses = attacked()
    assert guesses.may_try("alice", "198.51.100.1", NOW)
    assert not guesses.may_try("alice", "198.51.100.1", NOW + 1)
    assert guesses.may_try("alice", "198.51.100.1", NOW + SLOW_SECONDS)
    assert guesses.may_try("alice", "198.51.100.1", NOW + SLOW_SECONDS)
    assert not guesses.any_slowed


def test_memory_is_bounded() -> None:
    guesses = Guesses()
    for number in range(MAX_SLOWED + 10):
        for _ in range(int(WRONG.burst) + 1):
            guesses.failed(f"user{number}", NOW)
    for number in range(MAX_KNOWN + 10):
        guesses.proved(f"user{number}", "192.0.2.1")
    assert (len(guesses._slowed), len(guesses._known)) == (MAX_SLOWED, MAX_KNOWN)


def test_names_and_sources() -> None:
    assert {name_of("alice"), name_of("alice@example.org")} == {"alice"}
    assert source_of("192.0.2.1") == "192.0.2.1"
    assert source_of("2001:db8::1") == source_of("2001:db8::2") == "2001:db8::/64"
