"""The response context (RFC 3261 section 16.7) as a table of what branches answer and what goes upstream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.engine.forking import (
    CALL_COMPLETED,
    Branch,
    BranchState,
    Cancel,
    Proceed,
    ResponseContext,
    Upstream,
)
from ringfence.message import Headers, Request, Response

FIELDS = [
    ("Via", "SIP/2.0/UDP client.example.net;branch=z9hG4bK1"),
    ("From", "<sip:alice@example.net>;tag=1"),
    ("To", "<sip:bob@example.org>"),
    ("Call-ID", "c1"),
]


def request(method: str = "INVITE") -> Request:
    return Request(method, "sip:bob@example.org", Headers([*FIELDS, ("CSeq", f"1 {method}")]))


def response(status: int, **headers: str) -> Response:
    fields = [
        *FIELDS,
        ("CSeq", "1 INVITE"),
        *((name.replace("_", "-"), value) for name, value in headers.items()),
    ]
    return Response(status, None, Headers(fields))


def context(count: int, method: str = "INVITE") -> ResponseContext[Branch]:
    made: ResponseContext[Branch] = ResponseContext(request(method))
    made.branches += [Branch() for _ in range(count)]
    return made


def sent(outcomes: tuple[object, ...]) -> list[int]:
    return [outcome.response.status for outcome in outcomes if isinstance(outcome, Upstream)]


@pytest.mark.rfc("3261", "16.7")
def test_provisional_goes_up_but_100_does_not() -> None:
    forked = context(1)
    assert sent(forked.receive(forked.branches[0], response(100))) == []
    assert sent(forked.receive(forked.branches[0], response(180))) == [180]


@pytest.mark.rfc("3261", "16.7")
def test_first_success_goes_up_and_cancels_the_others() -> None:
    forked = context(3)
    one, two, three = forked.branches
    forked.receive(three, response(486))
    outcomes = forked.receive(two, response(200))
    assert sent(outcomes) == [200]
    assert [outcome for outcome in outcomes if isinstance(outcome, Cancel)] == [Cancel(one, CALL_COMPLETED)]
    assert sent(forked.receive(one, response(487))) == []


@pytest.mark.rfc("3261", "16.7")
def test_every_2xx_to_invite_goes_up_but_only_one_to_others() -> None:
    forked = context(2)
    assert sent(forked.receive(forked.branches[0], response(200))) == [200]
    assert sent(forked.receive(forked.branches[1], response(200))) == [200]
    forked = context(2, "MESSAGE")
    assert sent(forked.receive(forked.branches[0], response(200))) == [200]
    assert sent(forked.receive(forked.branches[1], response(200))) == []


@pytest.mark.rfc("3261", "16.7")
@pytest.mark.parametrize(
    ("statuses", "best"),
    [
        ([404, 486], 404),
        ([486, 404], 486),
        ([503, 404], 404),
        ([404, 302], 302),
        ([404, 407], 407),
        ([408, 486], 486),
        ([500, 404], 404),
        ([404, 603], 603),
        ([603, 200], 200),
        ([503, 503], 500),
        ([408, 408], 408),
        ([415, 404], 415),
    ],
)
def test_best_response(statuses: list[int], best: int) -> None:
    forked = context(len(statuses))
    outcomes: list[object] = []
    for branch, status in zip(forked.branches, statuses, strict=True):
        outcomes += forked.receive(branch, response(status))
    assert sent(tuple(outcomes)) == [best]


@pytest.mark.rfc("3261", "16.7")
def test_6xx_cancels_the_others_and_waits_for_them() -> None:
    forked = context(2)
    outcomes = forked.receive(forked.branches[0], response(603))
    assert sent(outcomes) == []
    assert [outcome.branch for outcome in outcomes if isinstance(outcome, Cancel)] == [forked.branches[1]]
    assert sent(forked.receive(forked.branches[1], response(487))) == [603]


@pytest.mark.rfc("3261", "16.7")
def test_challenges_of_all_branches_go_up_together() -> None:
    forked = context(3)
    forked.receive(forked.branches[0], response(407, Proxy_Authenticate='Digest realm="a"'))
    forked.receive(forked.branches[1], response(404))
    (outcome,) = forked.receive(forked.branches[2], response(401, WWW_Authenticate='Digest realm="b"'))
    assert isinstance(outcome, Upstream)
    assert outcome.response.headers.all("Proxy-Authenticate") == ['Digest realm="a"']
    assert outcome.response.headers.all("WWW-Authenticate") == ['Digest realm="b"']


@pytest.mark.rfc("3261", "16.7")
def test_503_from_the_only_branch_becomes_500_without_retry_after() -> None:
    forked = context(1)
    (outcome,) = forked.receive(forked.branches[0], response(503, Retry_After="30"))
    assert isinstance(outcome, Upstream)
    assert outcome.response.status == 500
    assert "Retry-After" not in outcome.response.headers


@pytest.mark.rfc("3261", "16.10")
def test_cancel_reaches_every_pending_branch_once() -> None:
    forked = context(3)
    forked.receive(forked.branches[0], response(486))
    outcomes = forked.cancel("SIP;cause=487")
    assert [outcome.branch for outcome in outcomes if isinstance(outcome, Cancel)] == forked.branches[1:]
    assert forked.cancel() == ()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(101, 699)), max_size=40))
def test_at_most_one_final_goes_up_beside_2xx(answers: list[tuple[int, int]]) -> None:
    forked = context(4)
    finals: list[int] = []
    for place, status in answers:
        finals += [
            code for code in sent(forked.receive(forked.branches[place], response(status))) if code >= 200
        ]
    assert sum(code >= 300 for code in finals) <= 1
    assert not any(code >= 300 for code in finals[1:])
    if all(branch.state is BranchState.FINAL for branch in forked.branches):
        assert finals


@pytest.mark.rfc("3261", "16.6")
@pytest.mark.parametrize(
    ("status", "proceeds"), [(302, True), (486, True), (503, True), (603, False), (200, False)]
)
def test_the_next_targets_are_tried_when_all_have_failed(status: int, proceeds: bool) -> None:
    forked = context(2)
    forked.more = True
    assert forked.receive(forked.branches[0], response(404)) == ()
    outcomes = forked.receive(forked.branches[1], response(status))
    assert (outcomes == (Proceed(),)) == proceeds
    assert forked.answered != proceeds


@pytest.mark.rfc("3261", "16.10")
def test_none_is_tried_after_a_cancel() -> None:
    forked = context(1)
    forked.more = True
    forked.cancel()
    assert sent(forked.receive(forked.branches[0], response(487))) == [487]


@pytest.mark.rfc("3261", "8.2.6.2")
def test_a_failure_of_our_own_has_a_tag_and_says_what_is_missing() -> None:
    forked = context(1)
    (outcome,) = forked.fail(forked.branches[0], 480, to_tag="ours", headers=(("Warning", '380 us "x"'),))
    assert isinstance(outcome, Upstream)
    assert outcome.response.to.tag == "ours"
    assert outcome.response.headers.get("Warning") == '380 us "x"'
