"""Stateless nonces and the window of nonce counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.security.nonces import (
    CLOCK_SKEW,
    NC_WINDOW,
    NONCE_LIFETIME,
    Count,
    Freshness,
    NcWindow,
    Nonces,
    issued_at,
)

KEY = bytes(range(32))
OTHER = bytes(range(1, 33))
NOW = 1_800_000_000.25
FLOW = "UDP 192.0.2.7:5060"


def test_a_nonce_is_fresh_for_its_flow_until_its_life_ends() -> None:
    nonces = Nonces(KEY)
    nonce = nonces.make(NOW, FLOW)
    assert nonces.check(nonce, NOW, FLOW) is Freshness.FRESH
    assert nonces.check(nonce, NOW + NONCE_LIFETIME, FLOW) is Freshness.FRESH
    assert nonces.check(nonce, NOW + NONCE_LIFETIME + 1, FLOW) is Freshness.STALE
    assert nonces.check(nonce, NOW, "UDP 192.0.2.8:5060") is Freshness.FORGED
    assert issued_at(nonce) == pytest.approx(NOW, abs=1e-5)


def test_a_clock_may_be_a_little_ahead_and_no_more() -> None:
    nonces = Nonces(KEY)
    nonce = nonces.make(NOW, FLOW)
    assert nonces.check(nonce, NOW - CLOCK_SKEW + 0.1, FLOW) is Freshness.FRESH
    assert nonces.check(nonce, NOW - CLOCK_SKEW - 0.1, FLOW) is Freshness.STALE


@pytest.mark.rfc("7616", "3.3")
def test_nonces_are_unique_on_one_flow() -> None:
    nonces = Nonces(KEY)
    assert len({nonces.make(NOW + step * 1e-5, FLOW) for step in range(100)}) == 100


def test_keys_rotate_without_a_new_challenge() -> None:
    before = Nonces(OTHER)
    nonce = before.make(NOW, FLOW)
    assert Nonces(KEY, OTHER).check(nonce, NOW, FLOW) is Freshness.FRESH
    assert Nonces(KEY).check(nonce, NOW, FLOW) is Freshness.FORGED
    assert before.check(Nonces(KEY, OTHER).make(NOW, FLOW), NOW, FLOW) is Freshness.FORGED


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 to 64 bytes"):
        Nonces(b"short")
    with pytest.raises(ValueError, match="32 to 64 bytes"):
        Nonces(KEY, b"short")


def test_half_way_through_its_life_a_nonce_is_ageing() -> None:
    nonces = Nonces(KEY, lifetime=100)
    nonce = nonces.make(NOW, FLOW)
    assert not nonces.ageing(nonce, NOW + 49)
    assert nonces.ageing(nonce, NOW + 51)


@given(st.text() | st.text("0123456789abcdefABC-_= \u00e9", min_size=39, max_size=39).map("1{}".format))
def test_no_text_passes_for_a_nonce(text: str) -> None:
    assert Nonces(KEY, OTHER).check(text, NOW, FLOW) is Freshness.FORGED


@given(st.integers(0, 38), st.sampled_from("0fAz-_"))
def test_one_changed_character_is_found(place: int, character: str) -> None:
    nonces = Nonces(KEY)
    nonce = nonces.make(NOW, FLOW)
    changed = nonce[:place] + character + nonce[place + 1 :]
    expected = Freshness.FRESH if changed == nonce else Freshness.FORGED
    assert nonces.check(changed, NOW, FLOW) is expected


# ---- counts ----


def nonce_at(second: float) -> str:
    return Nonces(KEY).make(NOW + second, FLOW)


@pytest.mark.rfc("7616", "3.4")
def test_each_count_is_accepted_once() -> None:
    window, nonce = NcWindow(), nonce_at(0)
    assert window.accept(nonce, 1) is Count.NEW
    assert window.accept(nonce, 1) is Count.REPLAYED
    assert window.accept(nonce, 2) is Count.NEW
    assert window.accept(nonce, 1) is Count.REPLAYED


def test_counts_out_of_order_are_accepted_within_the_window() -> None:
    window, nonce = NcWindow(), nonce_at(0)
    assert window.accept(nonce, NC_WINDOW) is Count.NEW
    assert window.accept(nonce, 1) is Count.NEW
    assert window.accept(nonce, 1) is Count.REPLAYED
    assert window.accept(nonce, 0) is Count.REPLAYED
    assert window.accept(nonce, 2**32 - 1) is Count.NEW
    assert window.accept(nonce, NC_WINDOW + 1) is Count.REPLAYED
    assert window.accept(nonce, 2**32 - 2) is Count.NEW


def test_nonces_have_counts_of_their_own() -> None:
    window = NcWindow()
    assert window.accept(nonce_at(0), 1) is Count.NEW
    assert window.accept(nonce_at(1), 1) is Count.NEW


def test_a_full_window_forgets_the_oldest_and_takes_nothing_from_before_it() -> None:
    window = NcWindow(limit=2)
    never_used = nonce_at(0.5)
    for second in (1, 2, 3):
        assert window.accept(nonce_at(second), 1) is Count.NEW
    assert len(window) == 2
    assert window.accept(nonce_at(1), 1) is Count.FORGOTTEN
    assert window.accept(nonce_at(1), 2) is Count.FORGOTTEN
    assert window.accept(never_used, 1) is Count.FORGOTTEN
    assert window.accept(nonce_at(2), 1) is Count.REPLAYED
    assert window.accept(nonce_at(3), 2) is Count.NEW
    assert len(window) == 2


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 200)), max_size=120), st.integers(1, 4))
def test_nothing_is_ever_accepted_twice(uses: list[tuple[int, int]], limit: int) -> None:
    window = NcWindow(limit)
    accepted = [use for use in uses if window.accept(nonce_at(use[0]), use[1]) is Count.NEW]
    assert len(accepted) == len(set(accepted))
    assert len(window) <= limit


@given(st.lists(st.integers(1, NC_WINDOW), unique=True))
def test_within_the_window_every_order_is_accepted(counts: list[int]) -> None:
    window, nonce = NcWindow(), nonce_at(0)
    assert all(window.accept(nonce, count) is Count.NEW for count in counts)
