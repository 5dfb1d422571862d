from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.store import Binding, Rights, StoreError
from ringfence.store.codec import (
    decode_bindings,
    decode_rights,
    decode_texts,
    encode_bindings,
    encode_rights,
    encode_texts,
)

from .samples import ALICE, FULL, binding

TEXT = st.text(st.characters(), max_size=20)  # lone surrogates and NUL too
BINDINGS = st.builds(
    Binding,
    aor=st.just(ALICE),
    contact=TEXT,
    expires_at=st.floats(0, 1e11),
    call_id=TEXT,
    cseq=st.integers(0, 2**31),
    updated=st.floats(0, 1e11),
    q=st.sampled_from([0.0, 0.001, 0.5, 1.0]),
    params=TEXT,
    path=st.lists(TEXT, max_size=3).map(tuple),
    instance=TEXT,
    reg_id=st.integers(0, 2**31),
    flow=TEXT,
    received=TEXT,
    worker=TEXT,
    user_agent=TEXT,
    public_gruu=TEXT,
    temporary_gruu=TEXT,
)


@pytest.mark.rfc("5626", "6")
@pytest.mark.rfc("3327", "5.3")
def test_every_field_of_a_binding_comes_back() -> None:
    assert decode_bindings(ALICE, encode_bindings([FULL])) == (FULL,)


@given(st.lists(BINDINGS, max_size=3))
def test_any_binding_comes_back_from_ascii(bindings: list[Binding]) -> None:
    text = encode_bindings(bindings)
    assert text.isascii()
    assert "\0" not in text
    assert decode_bindings(ALICE, text) == tuple(bindings)


def test_only_what_differs_from_the_default_is_written() -> None:
    (document,) = json.loads(encode_bindings([binding()]))
    assert document.keys() == {"contact", "expires_at", "call_id", "cseq", "updated"}


@pytest.mark.parametrize("text", ["", "{", "[1]", "[{}]", '[{"colour": "red"}]', '[{"path": 3}]'])
def test_a_damaged_document_names_its_address(text: str) -> None:
    with pytest.raises(StoreError, match=r"sip:alice@example\.org can't be read"):
        decode_bindings(ALICE, text)


@given(
    st.builds(
        Rights,
        methods=st.frozensets(TEXT, max_size=4),
        allow=st.lists(TEXT, max_size=3).map(tuple),
        deny=st.lists(TEXT, max_size=3).map(tuple),
        max_calls=st.integers(0, 1000),
        max_registrations=st.integers(0, 1000),
    )
)
def test_any_rights_come_back(rights: Rights) -> None:
    assert decode_rights(encode_rights(rights)) == rights


def test_texts_come_back() -> None:
    assert decode_texts(encode_texts(["a", "\udc80", ""])) == ("a", "\udc80", "")
