"""What holds of every role, whatever else it does: its list of steps is its policy."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import ringfence.roles
from ringfence.roles import edge
from ringfence.roles.pipeline import Step

LISTS: dict[str, tuple[Step, ...]] = {
    found.name: steps
    for found in pkgutil.iter_modules(ringfence.roles.__path__)
    if (steps := getattr(importlib.import_module(f"ringfence.roles.{found.name}"), "STEPS", None)) is not None
}
ROLES = {name: [step.__name__ for step in steps] for name, steps in LISTS.items() if name != "registrar"}

JUDGES = ("sane", "follow_routes", "know_peer", "authenticate", "honest_from", "permitted")
"""Who is it, and may it? Every role asks, in this order."""

DISCLOSES = ("register", "locate_user", "forward", "redirect")
"""What changes something, or lets something out."""


def test_the_roles_are_found() -> None:
    assert {"edge", "core", "outbound", "redirect"} <= ROLES.keys()


INSIDE = {
    "core": ("know_peer", "from_network", "follow_routes"),
    "outbound": ("know_peer", "follow_routes", "from_network_or_dialog"),
}
"""Roles behind edges: they ask only whether a node of the network has sent it, which has asked all the rest."""


@pytest.mark.parametrize("role", ROLES)
def test_every_role_judges_first(role: str) -> None:
    steps = ROLES[role]
    places = [steps.index(name) for name in INSIDE.get(role, JUDGES)]
    assert places == sorted(places)
    for name in set(DISCLOSES) & set(steps):
        assert steps.index(name) > places[-1], f"{name} comes before the request has been judged"


@pytest.mark.parametrize("role", ROLES)
def test_trust_is_decided_before_an_asserted_identity_is_read(role: str) -> None:
    steps = ROLES[role]
    assert steps.index("know_peer") < steps.index("take_identity")
    assert steps.index(INSIDE[role][-1] if role in INSIDE else "authenticate") < steps.index("take_identity")


@pytest.mark.parametrize("role", INSIDE)
def test_a_role_behind_edges_authenticates_no_phones(role: str) -> None:
    assert not {"authenticate", "open_agreement", "honest_from", "permitted"} & set(ROLES[role])


def test_an_edge_before_a_core_judges_as_one_that_is_alone() -> None:
    alone, before = edge.STEPS, edge.STEPS_BEFORE_CORE
    changed = [(old.__name__, new.__name__) for old, new in zip(alone, before, strict=True) if old != new]
    assert changed == [("register", "admit_registration"), ("locate_user", "to_core")]


@pytest.mark.parametrize("role", ROLES)
def test_the_last_step_decides_and_none_stands_twice(role: str) -> None:
    steps = ROLES[role]
    assert steps[-1] in {"forward", "redirect"}
    assert len(set(steps)) == len(steps)


@pytest.mark.rfc("3261", "16.3")
@pytest.mark.parametrize("role", [role for role, steps in ROLES.items() if "forward" in steps])
def test_what_forwards_has_bounds(role: str) -> None:
    steps = ROLES[role]
    for name in ("within_hops", "not_looping", "within_breadth"):
        assert steps.index(name) < steps.index("forward")
    # A flood of looping requests is not worth a digest.
    if role not in INSIDE:
        assert steps.index("not_looping") < steps.index("authenticate")


@pytest.mark.rfc("3261", "10.3")
def test_the_registrar_asks_who_owns_the_address_before_it_changes_anything() -> None:
    steps = [step.__name__ for step in LISTS["registrar"]]
    assert steps.index("extensions_known") < steps.index("owner") < steps.index("save") == len(steps) - 1
