"""What is sealed comes back whole, to us alone, and only where it belongs."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from ringfence.security.sealing import MAX_TOKEN, Sealer

SEALER = Sealer(bytes(range(32)))


@given(st.text(min_size=1), st.text(), st.text())
def test_what_is_sealed_can_be_opened(text: str, bound: str, more: str) -> None:
    token = SEALER.seal(text, bound, more)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    assert SEALER.open(token, bound, more) == text


def test_the_same_text_gives_the_same_token() -> None:
    assert SEALER.seal("sip:core.example.org", "d") == SEALER.seal("sip:core.example.org", "d")


def test_a_token_is_of_no_use_elsewhere() -> None:
    token = SEALER.seal("sip:core.example.org", "one dialog")
    assert SEALER.open(token, "another") is None
    assert SEALER.open(token) is None
    assert SEALER.open(token, "one", " dialog") is None


def test_another_key_opens_nothing() -> None:
    assert Sealer(bytes(32)).open(SEALER.seal("sip:core.example.org", "d"), "d") is None


@given(st.data())
def test_no_changed_token_opens(data: st.DataObject) -> None:
    token = SEALER.seal("sip:core.example.org", "d")
    place = data.draw(st.integers(0, len(token) - 2))  # the last character has bits that stand for nothing
    other = data.draw(st.sampled_from("ABCxyz019-_").filter(lambda each: each != token[place]))
    assert SEALER.open(token[:place] + other + token[place + 1 :], "d") is None


@given(st.text())
def test_any_text_is_looked_at(token: str) -> None:
    assert SEALER.open(token, "d") is None


def test_a_long_token_is_not_looked_at() -> None:
    assert SEALER.open("A" * (MAX_TOKEN + 1), "d") is None
