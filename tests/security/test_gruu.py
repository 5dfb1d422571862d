"""Temporary GRUUs (RFC 5627 appendix A.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.message import sip_uri
from ringfence.security.gruu import PREFIX, make_temporary_gruu, open_temporary_gruu

KEY = bytes(range(32))
INDEX = "0123456789abcdef0123"


@given(st.integers(0, 2**60))
def test_a_gruu_gives_its_index_back(distinguisher: int) -> None:
    user = make_temporary_gruu(KEY, INDEX, distinguisher)
    assert user.startswith(PREFIX)
    assert open_temporary_gruu(KEY, user) == INDEX
    assert open_temporary_gruu(bytes(32), user) is None
    assert sip_uri(f"sip:{user}@example.org;gr").user == user


@pytest.mark.rfc("5627", "5.1")
def test_two_of_one_phone_look_like_two_of_two() -> None:
    one, two = (make_temporary_gruu(KEY, INDEX, number) for number in (1, 2))
    other = make_temporary_gruu(KEY, "f" * 20, 1)
    assert len({one, two, other}) == 3
    shared = [sum(a == b for a, b in zip(one, text, strict=True)) for text in (two, other)]
    assert all(count < len(PREFIX) + 16 for count in shared)


@given(st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    assert open_temporary_gruu(KEY, PREFIX + text) is None


@given(st.integers(0), st.sampled_from("ABab01-_"))
def test_a_changed_one_is_none(place: int, character: str) -> None:
    user = make_temporary_gruu(KEY, INDEX, 7)
    place = len(PREFIX) + place % (
        len(user) - len(PREFIX) - 1
    )  # the last character has bits that mean nothing
    changed = user[:place] + character + user[place + 1 :]
    assert changed == user or open_temporary_gruu(KEY, changed) is None
