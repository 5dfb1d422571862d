"""What calls cost: whole steps, rounded up; and how long a sum lasts, which is never longer than it pays for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.ledger.rates import Rate, Rates, money, read_money, read_rate

CENT = 10_000


@pytest.mark.parametrize(
    ("rate", "seconds", "cents"),
    [
        (Rate(60 * CENT), 0.4, 1),
        (Rate(60 * CENT), 61, 61),
        (Rate(60 * CENT, step=60), 61, 120),
        (Rate(60 * CENT, 5 * CENT), 10, 15),
        (Rate(60 * CENT, minimum=30), 2, 30),
        (Rate(0, 5 * CENT), 1000, 5),
    ],
)
def test_the_price_of_a_call(rate: Rate, seconds: float, cents: int) -> None:
    assert rate.cost(seconds) == cents * CENT


def test_the_longest_prefix_decides() -> None:
    rates = Rates([("tel:+", Rate(1)), ("tel:+358", Rate(2)), ("tel:+35840", Rate(3))])
    found = [rates.of(each) for each in ("tel:+1555", "tel:+3589", "tel:+358401", "sip:bob@example.org")]
    assert found == [Rate(1), Rate(2), Rate(3), None]


@given(
    st.builds(
        Rate,
        st.integers(0, 10**8),
        st.integers(0, 10**7),
        st.integers(1, 60),
        st.integers(0, 60),
    ),
    st.integers(0, 10**9),
)
def test_a_sum_lasts_as_long_as_it_pays_for_and_no_longer(rate: Rate, amount: int) -> None:
    seconds = rate.seconds(amount)
    if seconds == 0:
        assert rate.cost(0.001) > amount
    elif seconds != float("inf"):
        assert rate.cost(seconds) <= amount < rate.cost(seconds + 0.001) or seconds == rate.minimum
    assert read_rate(str(rate)) == rate


def test_money_is_read_as_it_is_written() -> None:
    assert [money(read_money(each)) for each in ("0.05", "12", "0.000001")] == ["0.05", "12.00", "0.000001"]
    for wrong in ("", "a", "0.0000001", "1e400", "nan", "inf"):
        with pytest.raises(ValueError, match="no amount"):
            read_money(wrong)
    assert read_rate("0.05 0") is None
