"""The runner of steps: plain functions and coroutines, in order, until one decides."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest

from ringfence.message import sip_uri
from ringfence.roles.call import Call
from ringfence.roles.pipeline import CONTINUE, Answer, Drop, Step, Verdict, run
from tests.conversations.network import Network
from tests.conversations.phones import Phone


@pytest.fixture
def call() -> Call:
    """A request on its way; none of the steps here looks at it."""
    network = Network()
    phone = Phone(network, "alice", "192.0.2.1")
    request = phone.invite("sip:bob@example.org")
    return Call(request, None, phone.wire, network.services, sip_uri(request.uri))


def goes_on(call: Call) -> Verdict:
    return CONTINUE


def decides(call: Call) -> Verdict:
    return Answer(486)


async def waits(call: Call) -> Verdict:
    return CONTINUE


async def waits_and_decides(call: Call) -> Verdict:
    return Answer(603)


def later(call: Call) -> Coroutine[Any, Any, Verdict]:
    return waits_and_decides(call)


def unreached(call: Call) -> Verdict:
    raise AssertionError("the steps before have decided")


def finish(outcome: Any) -> Verdict:
    """What a run gives that may have to wait."""
    if not isinstance(outcome, Coroutine):
        return outcome  # type: ignore[no-any-return]
    try:
        outcome.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    raise AssertionError("it waits for something")


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ((goes_on, decides, unreached), 486),
        ((goes_on, waits, goes_on, decides, unreached), 486),
        ((waits, waits_and_decides, unreached), 603),
        ((waits_and_decides, unreached), 603),
        ((waits, goes_on, later, unreached), 603),
        ((later, unreached), 603),
    ],
)
def test_the_first_to_decide_decides(steps: tuple[Step, ...], status: int, call: Call) -> None:
    verdict = finish(run(steps, call))
    assert isinstance(verdict, Answer)
    assert verdict.status == status


def test_plain_steps_schedule_nothing(call: Call) -> None:
    assert run((goes_on, decides), call) == Answer(486)


@pytest.mark.parametrize("steps", [(), (goes_on,), (waits,), (goes_on, waits, goes_on)])
def test_a_list_that_does_not_decide_drops(steps: tuple[Step, ...], call: Call) -> None:
    assert finish(run(steps, call)) == Drop("no step decided")
