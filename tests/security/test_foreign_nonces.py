"""Nonces of somebody else: known again without being kept, and bounded where something is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.security.credentials import Credentials
from ringfence.security.foreign_nonces import FORGED, ForeignNonces, Known
from ringfence.security.nonces import Count, Freshness, Nonces

NOW = 1_800_000_000.0


def foreign(limit: int = 4) -> ForeignNonces:
    return ForeignNonces(Nonces(b"k" * 32, lifetime=300.0), limit)


def credentials(nonce: str, opaque: str | None, user: str = "alice", nc: str = "00000001") -> Credentials:
    return Credentials(user, "example.org", nonce, "sip:example.org", "r", "MD5", "c", opaque, "auth", nc)


@given(st.text(min_size=1, max_size=40), st.text(max_size=40), st.text(max_size=20))
def test_what_was_given_is_known_again_with_its_ticket(nonce: str, ticket: str, binding: str) -> None:
    nonces = foreign()
    opaque = nonces.opaque(nonce, ticket, NOW, binding)
    assert nonces.known(credentials(nonce, opaque), NOW + 10, binding) == Known(Freshness.FRESH, NOW, ticket)
    assert nonces.known(credentials(nonce, opaque), NOW + 301, binding).freshness is Freshness.STALE
    for other, text, bound in (
        (nonce + "x", opaque, binding),
        (nonce, opaque + "x", binding),
        (nonce, opaque, binding + "x"),
        (nonce, opaque[:-1], binding),
        (nonce, None, binding),
    ):
        assert nonces.known(credentials(other, text), NOW, bound) == FORGED


def test_where_nonce_ticket_and_binding_end_counts() -> None:
    nonces = foreign()
    opaque = nonces.opaque("ab", "cd", NOW, "x")
    own = opaque.removesuffix("cd")
    assert nonces.known(credentials("abc", own + "d"), NOW, "x") == FORGED


@pytest.mark.parametrize("opaque", ["", "1", "\udcff" * 60, "1" * 51, "1" * 5000])
def test_any_opaque_is_read(opaque: str) -> None:
    assert foreign().known(credentials("n", opaque), NOW, "x") == FORGED


def test_a_count_is_good_once_for_a_user_whatever_opaque_it_came_with() -> None:
    nonces = foreign()
    first, second = Known(Freshness.FRESH, NOW), Known(Freshness.FRESH, NOW + 1)
    assert nonces.accept(credentials("n", None), first) is Count.NEW
    assert nonces.accept(credentials("n", None), second) is Count.REPLAYED
    assert nonces.accept(credentials("n", None, nc="00000002"), second) is Count.NEW
    assert nonces.accept(credentials("n", None, "bob"), first) is Count.NEW


def test_what_is_forgotten_is_not_taken_for_new() -> None:
    nonces = foreign(limit=4)
    for number in range(6):
        known = Known(Freshness.FRESH, NOW + number)
        assert nonces.accept(credentials(f"n{number}", None), known) is Count.NEW
    assert nonces.accept(credentials("n0", None), Known(Freshness.FRESH, NOW)) is Count.FORGOTTEN
    assert nonces.accept(credentials("n5", None), Known(Freshness.FRESH, NOW + 5)) is Count.REPLAYED
    assert len(nonces._names) <= 4


def test_next_nonces_are_kept_for_their_peer_and_bounded() -> None:
    nonces = foreign(limit=4)
    for number in range(6):
        nonces.follow(f"n{number}", "t", NOW, "peer")
    assert nonces.known(credentials("n5", "old"), NOW + 1, "peer") == Known(Freshness.FRESH, NOW, "t")
    assert nonces.known(credentials("n5", "old"), NOW + 301, "peer").freshness is Freshness.STALE
    assert nonces.known(credentials("n5", "old"), NOW + 1, "another") == FORGED
    assert nonces.known(credentials("n0", "old"), NOW + 1, "peer") == FORGED, "the oldest went"
