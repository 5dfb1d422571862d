"""The order of the core's and the border's steps, as far as security hangs on it."""

from __future__ import annotations

import pytest

from ringfence.roles import core, outbound

CORE = [step.__name__ for step in core.STEPS]
BORDER = [step.__name__ for step in outbound.STEPS]


@pytest.mark.parametrize(
    ("earlier", "later", "because"),
    [
        ("know_peer", "from_network", "who may come is known by the certificate"),
        ("from_network", "sane", "a stranger learns nothing, not even what is wrong with its request"),
        ("from_network", "follow_routes", "a Route of ours is no way in"),
        ("from_network", "take_identity", "an asserted identity is believed of nodes of the network only"),
        ("take_identity", "register", "who owns the address is what the edge asserts"),
        ("from_network", "register", "nobody but an edge changes where a user is"),
        ("locate_user", "by_border", "what leaves is known once users have been looked for"),
    ],
)
def test_at_the_core_one_step_comes_before_another(earlier: str, later: str, because: str) -> None:
    assert CORE.index(earlier) < CORE.index(later), because


@pytest.mark.parametrize(
    ("earlier", "later", "because"),
    [
        ("know_peer", "from_network_or_dialog", "who may come is known by the certificate"),
        ("reveal", "follow_routes", "where a request goes, and whether it may, hangs on what was hidden"),
        ("follow_routes", "from_network_or_dialog", "the other side of a call may come by its dialog token"),
        ("from_network_or_dialog", "take_identity", "an asserted identity is believed of our nodes only"),
        ("take_identity", "sign_identity", "what is signed is who an edge asserts"),
        ("to_destination", "sign_identity", "the signature is for where the call goes"),
    ],
)
def test_at_the_border_one_step_comes_before_another(earlier: str, later: str, because: str) -> None:
    assert BORDER.index(earlier) < BORDER.index(later), because


def test_nothing_changes_a_request_after_it_was_signed() -> None:
    assert BORDER[-2:] == ["sign_identity", "forward"]
