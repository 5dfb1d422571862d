"""Calls as traces: which span belongs to which, how each ends, and what stands in none."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from ringfence.message import parse
from ringfence.service import spans as module
from ringfence.service.spans import Policy, Spans
from tests.service.test_trace import INVITE, PaperFlow

CAME = INVITE
VIA = b"Via: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bK1\r\n"


def went(branch: bytes = b"z9hG4bKb1", *, hidden: bool = False) -> bytes:
    ours = b"Via: SIP/2.0/TLS 192.0.2.10:5061;branch=" + branch + b"\r\n"
    return INVITE.replace(VIA, ours + (b"" if hidden else VIA))


def answer(status: int, request: bytes) -> bytes:
    lines = request.split(b"\r\n")
    kept = [each for each in lines[1:] if not each.startswith((b"Max-Forwards", b"Authorization"))]
    return b"\r\n".join([f"SIP/2.0 {status} Whatever".encode(), *kept])


class World:
    """A node that the exporter sees, and the collector behind it."""

    def __init__(self, policy: Policy = "hash") -> None:
        self.collector = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.collector))
        self.spans = Spans(provider, policy, b"key")
        self.now = 1000.0

    def see(self, direction: str, data: bytes, *, private: bool = False) -> None:
        self.now += 1.0
        self.spans.offer(direction, parse(data), PaperFlow(), self.now, private=private)

    def ended(self) -> dict[str, ReadableSpan]:
        """By the name, or for branches by the order in which they ended."""
        found: dict[str, ReadableSpan] = {}
        for each in self.collector.get_finished_spans():
            found[each.name if each.name not in found else f"{each.name} {len(found)}"] = each
        return found


def facts(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def seconds(span: ReadableSpan) -> float:
    return ((span.end_time or 0) - (span.start_time or 0)) / 1e9


def test_a_call_has_a_span_and_one_below_it_for_its_branch() -> None:
    world = World()
    world.see("in", CAME)
    world.see("in", CAME)  # sent again
    world.see("out", answer(100, CAME))
    world.see("out", went())
    world.see("in", answer(180, went()))
    world.see("out", answer(180, CAME))
    world.see("in", answer(200, went()))
    world.see("out", answer(200, CAME))
    world.see("out", answer(200, CAME))  # sent again
    found = world.ended()
    assert list(found) == ["branch", "INVITE"]
    call, branch = found["INVITE"], found["branch"]
    assert branch.parent is not None
    assert call.context is not None
    assert (branch.parent.span_id, branch.parent.trace_id) == (call.context.span_id, call.context.trace_id)
    assert (seconds(call), seconds(branch)) == (7.0, 3.0)
    assert [each.name for each in call.events] == ["100", "180"]
    assert facts(call)["sip.response.status_code"] == 200
    assert call.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("policy", ["hash", "plain", "omit"])
def test_no_attribute_names_anybody(policy: Policy) -> None:
    world = World(policy)
    for private in (False, True):
        world.see("in", CAME, private=private)
        world.see("out", went(), private=private)
        world.see("in", answer(486, went()), private=private)
        world.see("out", answer(486, CAME), private=private)
    told = [facts(each) for each in world.collector.get_finished_spans()]
    assert len(told) == 4
    for each in told:
        values = " ".join(map(str, each.values()))
        assert "alice" not in values
        assert "bob" not in values
        assert ("192.0.2" in values) == (policy == "plain" and not each["ringfence.private"])
        assert ("sip.call_id" in each) == (policy != "omit" and not each["ringfence.private"])


@pytest.mark.parametrize("hidden", [False, True])
async def test_branches_of_calls_at_a_time_are_told_apart(hidden: bool) -> None:
    world = World()

    async def call(number: bytes) -> None:
        came = CAME.replace(b"z9hG4bK1", b"z9hG4bK" + number)
        world.see("in", came)
        for target in (b"a", b"b"):
            await asyncio.sleep(0)
            branch = went(b"z9hG4bKb" + number + target, hidden=hidden).replace(
                b"z9hG4bK1", b"z9hG4bK" + number
            )
            world.see("out", branch)
            await asyncio.sleep(0)
            world.see("in", answer(480, branch))
        world.see("out", answer(480, came))

    calls: list[Coroutine[Any, Any, None]] = [call(str(number).encode()) for number in range(10, 15)]
    await asyncio.gather(*(asyncio.create_task(each) for each in calls))
    found = world.collector.get_finished_spans()
    ends = {each.context.span_id: 0 for each in found if each.name == "INVITE" and each.context}
    for each in found:
        if each.name == "branch":
            assert each.parent is not None
            ends[each.parent.span_id] += 1
    assert list(ends.values()) == [2] * 5


def test_what_is_an_error_is_one() -> None:
    world = World()
    for status, failed in ((404, False), (503, True), (603, False)):
        world.collector.clear()
        world.see("in", CAME)
        world.see("out", answer(status, CAME))
        call = world.ended()["INVITE"]
        assert (call.status.status_code is StatusCode.ERROR) == failed
        assert facts(call).get("error.type") == (str(status) if failed else None)


def test_a_branch_that_nobody_answered_ends_with_the_call_and_a_cancelled_one_by_itself() -> None:
    world = World()
    world.see("in", CAME)
    for branch in (b"z9hG4bKb1", b"z9hG4bKb2"):
        world.see("out", went(branch))
    world.see("in", answer(180, went(b"z9hG4bKb2")))
    world.see("in", CAME.replace(b"INVITE", b"CANCEL"))
    world.see("out", answer(487, CAME))
    found = world.ended()
    assert list(found) == ["branch", "INVITE"]
    assert facts(found["branch"])["error.type"] == "no answer"
    assert [each.name for each in found["INVITE"].events] == ["CANCEL"]
    world.see("in", answer(487, went(b"z9hG4bKb2")))
    assert len(world.collector.get_finished_spans()) == 3


def test_other_messages_make_no_span_and_nothing_malformed_is_a_fault() -> None:
    world = World()
    world.see("in", CAME.replace(b"INVITE", b"MESSAGE"))
    world.see("out", went())  # of nobody's call: the message before is none
    world.see("out", went().replace(VIA, b"Via: x\r\n"))
    assert not world.spans._calls
    assert not world.spans._branches


async def test_what_is_open_ends_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.see("in", CAME)
    world.see("out", went())
    world.spans.sweep(world.now + 10)
    assert not world.ended()
    world.spans.sweep(world.now + module.LONGEST_SECONDS)
    assert list(world.ended()) == ["branch", "INVITE"]
    monkeypatch.setattr(module, "MAX_OPEN", 1)
    world.see("in", CAME)
    world.see("in", CAME.replace(b"z9hG4bK1", b"z9hG4bK2"))
    assert world.spans.counts == {"calls": 2, "too many": 1}
    await world.spans.close()
    assert len(world.collector.get_finished_spans()) == 3
