"""What a phone is told of a caller: written and read again, whatever peers have put into it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.message import Headers, parse
from ringfence.security.told import NAME, Told, Word, printable, read_word
from tests.security.calls import invite


def test_a_word_is_written_as_documented() -> None:
    word = Word(Told.VERIFIED, "PASSporT signed by example.com", "example.org", "sip:bob@example.com")
    assert str(word) == (
        'verified;evidence="PASSporT signed by example.com";by="example.org";who="sip:bob@example.com"'
    )


@settings(max_examples=100)
@given(st.sampled_from(Told), st.text(), st.text(), st.text())
def test_what_is_written_is_read(verdict: Told, evidence: str, by: str, who: str) -> None:
    request = invite()
    before = request.headers.names.copy()
    request.headers.add(NAME, Word(verdict, evidence, by, who))
    read = parse(request.to_bytes())
    assert read.headers.names == [*before, NAME]
    assert read_word(read.headers) == Word(verdict, printable(evidence), printable(by), printable(who))


@pytest.mark.parametrize("text", ["", "trusted", "verified;evidence=", ";", "verified;a=1;a=2"])
def test_what_can_not_be_read_says_nothing(text: str) -> None:
    assert read_word(Headers([(NAME, text)])) is None
    assert read_word(Headers()) is None
