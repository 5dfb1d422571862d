"""Token buckets: what passes, and that no key makes the table grow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ringfence.guard.rates import Limiter, Rate


def test_a_burst_passes_and_then_the_rate() -> None:
    limiter = Limiter[str](Rate(10.0, 5.0))
    assert [limiter.take("a", 100.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert not limiter.take("a", 100.05)
    assert 0.0 < limiter.wait("a", 100.05) <= 0.05
    assert limiter.take("a", 100.101)
    assert not limiter.take("a", 100.101)
    assert [limiter.take("a", 200.0) for _ in range(6)] == [True] * 5 + [False]


def test_each_key_has_its_own() -> None:
    limiter = Limiter[str](Rate(1.0, 1.0))
    assert limiter.take("a", 0.0)
    assert limiter.take("b", 0.0)
    assert not limiter.take("a", 0.0)


def test_a_million_keys_take_no_more_than_the_ceiling() -> None:
    limiter = Limiter[int](Rate(1.0, 1.0), keys=1000)
    for key in range(100_000):
        limiter.take(key, 0.0)
    assert len(limiter) <= 1000


def test_who_is_seen_again_and_again_is_not_forgotten() -> None:
    limiter = Limiter[int](Rate(0.001, 1.0), keys=100)
    assert limiter.take(-1, 0.0)
    for key in range(1000):
        limiter.take(key, 0.0)
        assert not limiter.take(-1, 0.0)


@given(st.lists(st.floats(0.0, 0.5), min_size=1, max_size=300), st.integers(1, 50))
def test_never_more_than_burst_and_rate(pauses: list[float], burst: int) -> None:
    limiter = Limiter[str](Rate(20.0, float(burst)))
    now, passed = 50.0, 0
    for pause in pauses:
        now += pause
        passed += limiter.take("a", now)
    assert passed <= burst + (now - 50.0) * 20.0 + 1e-6
