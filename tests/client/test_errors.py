"""What a failure says."""

from __future__ import annotations

from ringfence.client import CallError
from ringfence.client.errors import RequestFailed
from ringfence.message import Headers, Response


def test_a_warning_is_told() -> None:
    response = Response(488, None, Headers([("Warning", '305 pc33 "no codec \\"x\\" here"')]))
    assert str(RequestFailed.from_response(response)) == '488 Not Acceptable Here (no codec "x" here)'


def test_a_malformed_warning_is_not() -> None:
    response = Response(488, "No", Headers([("Warning", "nonsense")]))
    assert str(RequestFailed.from_response(response)) == "488 No"


def test_without_a_reason_the_registered_one_is_given() -> None:
    assert str(CallError(486)) == "486 Busy Here"
