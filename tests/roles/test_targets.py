"""From bindings to targets (RFC 3261 section 16.5, RFC 5626 section 7)."""

from __future__ import annotations

import pytest

from ringfence.roles.targets import targets_for
from ringfence.store.records import Binding


def binding(contact: str, *, q: float = 1.0, updated: float = 0.0, **more: str | int) -> Binding:
    return Binding("sip:bob@example.org", contact, 9e9, "c", 1, updated, q=q, **more)  # type: ignore[arg-type]


A, B, C = (f"sip:bob@198.51.100.{host}" for host in (1, 2, 3))


@pytest.mark.rfc("3261", "16.6")
def test_the_best_q_first_and_the_latest_of_equals() -> None:
    found = targets_for(
        (binding(A, q=0.5, updated=9), binding(B, updated=1), binding(C, updated=2)), secure=False
    )
    assert [target.uri for target in found] == [C, B, A]


@pytest.mark.rfc("5626", "7")
def test_the_flows_of_an_instance_are_one_target() -> None:
    flows = (
        binding(A, instance="<urn:1>", reg_id=1, flow="f1", updated=1),
        binding(B, instance="<urn:1>", reg_id=2, flow="f2", updated=2),
        binding(C, instance="<urn:2>", updated=3),
    )
    found = targets_for(flows, secure=False)
    assert [target.uri for target in found] == [C, B]
    assert [other.uri for other in found[1].others] == [A]
    assert found[1].only_flow
    assert not found[0].only_flow


@pytest.mark.rfc("3261", "16.5")
def test_a_contact_of_two_accounts_is_tried_once() -> None:
    shared = (binding(A), Binding("sip:alice@example.org", A, 9e9, "d", 1, 0.0))
    assert len(targets_for(shared, secure=False)) == 1


@pytest.mark.rfc("5630", "5.3")
@pytest.mark.parametrize("many", [False, True])
def test_schemes(many: bool) -> None:
    more = (binding(B),) if many else ()
    secure = (binding("sips:bob@198.51.100.1;x=y"), *more)
    assert [target.uri for target in targets_for(secure, secure=True)] == ["sips:bob@198.51.100.1;x=y"]
    first = targets_for(secure, secure=False)[0]
    assert (first.uri, first.tls) == ("sip:bob@198.51.100.1;x=y", True)
    assert targets_for((binding(A), *more), secure=True) == ()


def test_other_schemes_are_for_others() -> None:
    assert targets_for((binding("mailto:bob@example.org"),), secure=False) == ()


@pytest.mark.rfc("3261", "16.6")
def test_what_a_request_uri_must_not_have_is_removed() -> None:
    (target,) = targets_for((binding("sip:bob@198.51.100.1;method=INVITE;x=y?Subject=z"),), secure=False)
    assert target.uri == "sip:bob@198.51.100.1;x=y"
