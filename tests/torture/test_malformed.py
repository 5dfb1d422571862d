"""Malformed messages: refused, with the status and the header field to blame, in bounded time."""

from __future__ import annotations

import time

import pytest

from tests.torture.judge import judge
from tests.torture.malformed import Case, cases, noise

CASES = list(cases())
LIMIT = 0.25
"""Seconds of CPU for the worst datagram on a slow and busy machine; a good one takes some 0.0001."""


def cost(data: bytes) -> float:
    """Seconds of CPU. The better of two: in a run of all tests the collector may look through all of them just now."""
    took = []
    while not took or (took[0] > LIMIT and len(took) < 2):
        begin = time.process_time()
        judge(data)
        took.append(time.process_time() - begin)
    return min(took)


def test_there_are_many() -> None:
    assert len({case.data for case in CASES}) > 1000


@pytest.mark.parametrize("case", CASES, ids=[str(number) for number in range(len(CASES))])
def test_a_malformed_message_is_refused_and_the_header_is_named(case: Case) -> None:
    assert cost(case.data) < LIMIT, case.name
    faults = judge(case.data).faults
    assert faults, case.name
    assert faults[0] == (case.status, case.header), case.name


def test_noise_is_read_or_refused_in_bounded_time() -> None:
    for data in noise():
        assert cost(data) < LIMIT, data[:200]
