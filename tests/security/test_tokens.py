"""What we hand to peers in routes and want to see again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.message import sip_uri
from ringfence.security.tokens import (
    check_dialog_token,
    check_way_token,
    dialog_token,
    flow_token,
    loop_hash,
    open_flow_token,
    way_token,
)

KEY, OTHER = b"k" * 32, b"o" * 32


def test_a_dialog_token_is_for_one_dialog() -> None:
    token = dialog_token(KEY, "call", "tag")
    assert check_dialog_token(KEY, "call", "tag", token)
    for key, call_id, tag in (
        (OTHER, "call", "tag"),
        (KEY, "another", "tag"),
        (KEY, "call", "other"),
        (KEY, "callt", "ag"),
    ):
        assert not check_dialog_token(key, call_id, tag, token)
    assert not check_dialog_token(KEY, "call", "tag", "")
    assert not check_dialog_token(KEY, "call", "tag", "\udcff" * 12)


@given(st.text(max_size=80, alphabet=st.characters(exclude_categories=("Cs",))))
def test_a_flow_token_gives_its_flow_back(flow: str) -> None:
    token = flow_token(KEY, flow)
    assert open_flow_token(KEY, token) == (flow or None)
    assert open_flow_token(OTHER, token) is None


@pytest.mark.rfc("5626", "5.2")
@given(st.integers(0), st.characters(max_codepoint=127))
def test_a_changed_flow_token_is_none(place: int, character: str) -> None:
    token = flow_token(KEY, "UDP,192.0.2.1:5060,198.51.100.10:5060")
    place %= len(token) - 1  # the last character has bits that mean nothing
    changed = token[:place] + character + token[place + 1 :]
    assert open_flow_token(KEY, changed) is None or changed == token


@given(st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    assert open_flow_token(KEY, text) is None


def test_tokens_stand_in_a_uri_as_they_are() -> None:
    uri = sip_uri(
        f"sip:{flow_token(KEY, 'UDP,[2001:db8::1]:5060,[::1]:1')}@192.0.2.1;lr;rf={dialog_token(KEY, 'a', 'b')}"
    )
    assert open_flow_token(KEY, uri.user or "") == "UDP,[2001:db8::1]:5060,[::1]:1"
    assert check_dialog_token(KEY, "a", "b", uri.params.get("rf") or "")


@pytest.mark.rfc("5393", "4.2.1")
def test_a_loop_hash_covers_every_part_and_where_it_ends() -> None:
    assert loop_hash(KEY, "ab", "c", []) != loop_hash(KEY, "a", "bc", [])
    assert loop_hash(KEY, "a", "b", ["c"]) != loop_hash(KEY, "a", "", ["b", "c"])
    assert loop_hash(KEY, "a", "", ["bc"]) != loop_hash(KEY, "a", "", ["b", "c"])
    assert loop_hash(KEY, "a", "", []) != loop_hash(OTHER, "a", "", [])
    assert loop_hash(KEY, "a", "b", ["c"]) == loop_hash(KEY, "a", "b", ["c"])


def test_a_way_token_is_for_one_way() -> None:
    token = way_token(KEY, "proof", "caller", "192.0.2.1", "")
    assert check_way_token(KEY, "proof", "caller", "192.0.2.1", "anywhere", token)
    assert not check_way_token(KEY, "proof", "caller", "192.0.2.2", "anywhere", token)
    assert not check_way_token(KEY, "proof", "callee", "192.0.2.1", "anywhere", token)
    assert not check_way_token(KEY, "other", "caller", "192.0.2.1", "anywhere", token)
    for bound in "023x":
        assert not check_way_token(KEY, "proof", "caller", "192.0.2.1", "anywhere", bound + token[1:])
    for other in ("", "1", "\udcff" * 13):
        assert not check_way_token(KEY, "proof", "caller", "192.0.2.1", "anywhere", other)
    both = way_token(KEY, "proof", "callee", "a", "b")
    assert check_way_token(KEY, "proof", "callee", "a", "b", both)
    assert not check_way_token(KEY, "proof", "callee", "a", "c", both)
