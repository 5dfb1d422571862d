"""The order of the edge's steps, as far as security hangs on it."""

from __future__ import annotations

import pytest

from ringfence.roles import edge

ORDER = [step.__name__ for step in edge.STEPS]


@pytest.mark.parametrize(
    ("earlier", "later", "because"),
    [
        ("reveal", "follow_routes", "where a request goes, and whether it may, hangs on what was hidden"),
        ("know_peer", "authenticate", "whether to challenge depends on who the neighbour is"),
        ("know_peer", "take_identity", "an asserted identity is believed of a trusted peer only"),
        ("know_peer", "open_agreement", "known peers need no agreement"),
        ("open_agreement", "authenticate", "what is not protected yet gets a list, and a challenge with it"),
        ("authenticate", "keep_agreement", "a digest has to be right before what it covers is believed"),
        ("keep_agreement", "register", "the registrar does not know the option that is taken off"),
        ("protected_bodies", "locate_user", "what must not pass does not learn where its destination is"),
        ("authenticate", "take_identity", "a preferred identity has to be the user's own"),
        ("authenticate", "honest_from", "a From is compared with the account that has authenticated"),
        ("authenticate", "permitted", "rights are those of the account that has authenticated"),
        ("know_peer", "strip_marks", "marks of a trusted peer stay"),
        ("strip_marks", "verify_identity", "a forged mark must not outlive the verdict"),
        ("take_identity", "connected_identity", "what a phone asserts of itself is off before we assert it"),
        ("connected_identity", "verify_identity", "who of us it is needs no signature"),
        ("take_identity", "verify_identity", "a token may be for the identity that a trusted peer asserts"),
        ("verify_identity", "judge_priority", "a priority counts by what its signature says"),
        ("verify_identity", "known_caller", "reports are about proven callers"),
        ("known_caller", "locate_user", "whom the callee refuses does not learn where it is"),
        ("locate_user", "sign_identity", "what is signed depends on where the call goes"),
        ("within_breadth", "sign_identity", "nothing is signed that is refused in the end"),
        ("authenticate", "account", "the ledger says who pays, and on what proof"),
        ("authenticate", "ask_privacy", "an account has wishes of its own"),
        ("locate_user", "ask_privacy", "whoever takes no anonymous calls has to be known"),
        ("to_anonymous", "locate_user", "who stands behind an anonymous contact is no user of that name"),
        ("ask_privacy", "sign_identity", "nothing is signed for who does not want to be named"),
        ("ask_privacy", "account", "what can't be kept private is refused before it costs anything"),
        ("account", "keep_private", "the ledger knows who calls, and nobody after it does"),
        ("within_hops", "within_private", "two private calls must not send a request around for ever"),
        ("sign_identity", "account", "nothing is recorded as begun that another step refuses"),
    ],
)
def test_one_step_comes_before_another(earlier: str, later: str, because: str) -> None:
    assert ORDER.index(earlier) < ORDER.index(later), because


def test_nothing_changes_a_request_after_it_was_signed() -> None:
    # The ledger only reads it; and what the privacy service changes, it changes for somebody who is not signed for.
    assert ORDER[-4:] == ["sign_identity", "account", "keep_private", "forward"]


def test_no_step_stands_twice() -> None:
    assert len(set(ORDER)) == len(ORDER)
