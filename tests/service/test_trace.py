"""The trace: what watchers see, and what a slow one can't do."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from ringfence.message import Message, parse
from ringfence.service import trace as module
from ringfence.service.control import CommandError, Json
from ringfence.service.trace import Filter, Observe, Trace, describe
from ringfence.transport.flow import Endpoint, Flow

INVITE = (
    b"INVITE sip:bob@example.net SIP/2.0\r\n"
    b"Via: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bK1\r\n"
    b"From: Alice <sip:alice@example.org>;tag=1\r\n"
    b"To: <sip:bob@example.net>\r\n"
    b"Call-ID: abc@192.0.2.1\r\n"
    b"CSeq: 7 INVITE\r\n"
    b"Max-Forwards: 70\r\n"
    b'Authorization: Digest username="alice", response="hunter2", nonce="n"\r\n'
    b"Content-Length: 0\r\n\r\n"
)
BUSY = (
    INVITE.replace(b"INVITE sip:bob@example.net SIP/2.0", b"SIP/2.0 486 Busy Here")
    .replace(b"Max-Forwards: 70\r\n", b"")
    .replace(b'Authorization: Digest username="alice", response="hunter2", nonce="n"\r\n', b"")
)


class PaperFlow(Flow):
    """A flow that carries nothing: what is traced is the message and where it went."""

    __slots__ = ("closed", "key", "local", "peer", "reliable", "remote", "secure", "transport", "user")

    def __init__(self, transport: str = "TLS") -> None:
        self.transport = transport
        self.secure = transport == "TLS"
        self.reliable = transport != "UDP"
        self.local = Endpoint("192.0.2.10", 5061)
        self.remote = Endpoint("192.0.2.1", 40000)

    def send(self, data: bytes) -> None:
        raise AssertionError("a trace sends nothing")

    def close(self, reason: str) -> None:
        raise AssertionError("a trace closes nothing")


def message(data: bytes) -> Message:
    return parse(data)


def event(data: bytes = INVITE, direction: str = "in", flow: Flow | None = None) -> dict[str, Any]:
    return describe(direction, message(data), flow or PaperFlow(), 1000.0)


def test_a_request_is_described() -> None:
    assert event() == {
        "time": 1000.0,
        "direction": "in",
        "transport": "TLS",
        "secure": True,
        "local": "192.0.2.10:5061",
        "remote": "192.0.2.1:40000",
        "method": "INVITE",
        "cseq": "7 INVITE",
        "call_id": "abc@192.0.2.1",
        "from": "sip:alice@example.org",
        "to": "sip:bob@example.net",
        "status": None,
        "start": "INVITE sip:bob@example.net",
        "exposure": "could read all of it: the servers on the way and whoever listens beyond this hop; "
        "could change all of it: the servers on the way and whoever is between them",
    }


@pytest.mark.parametrize(
    ("old", "new"), [(b"abc@", b"a\xffc@"), (b"bob@", b"b\xff@"), (b"Alice", b"\xff"), (b"Busy", b"B\xff")]
)
def test_octets_that_are_no_text_are_still_shown(old: bytes, new: bytes) -> None:
    trace = Driver().trace
    watcher = module._Watcher(Filter(), True, True)
    trace._watchers.add(watcher)
    trace.observe("in", message((BUSY if old == b"Busy" else INVITE).replace(old, new)), PaperFlow())
    shown = json.dumps(watcher._queue.get_nowait(), ensure_ascii=False).encode()
    assert "\ufffd".encode() in shown


def test_a_response_belongs_to_its_method() -> None:
    found = event(BUSY, "out")
    assert (found["status"], found["start"], found["method"]) == (486, "486 Busy Here", "INVITE")


def test_who_asked_for_privacy_is_not_named() -> None:
    found = event(INVITE.replace(b"Max-Forwards", b"Privacy: id\r\nMax-Forwards"))
    assert found["from"] == "[private]"
    assert "bob" not in found["start"]
    assert (
        event(INVITE.replace(b"Max-Forwards", b"Privacy: none\r\nMax-Forwards"))["from"]
        == "sip:alice@example.org"
    )


def test_nor_is_where_it_is_nor_anything_that_it_has_written() -> None:
    private = INVITE.replace(b"Max-Forwards", b"Privacy: user\r\nUser-Agent: alice\r\nMax-Forwards")
    found = event(private)
    assert (found["remote"], found["call_id"]) == ("[private]", "[private]")
    trace = Driver().trace
    watcher = module._Watcher(Filter(), True)
    trace._watchers.add(watcher)
    trace.observe("in", message(private), PaperFlow())
    text = watcher._queue.get_nowait()["text"]
    assert "alice" not in text
    assert "192.0.2.1" not in text
    assert "CSeq: 7 INVITE" in text


def test_a_party_may_be_private_without_saying_so_each_time() -> None:
    trace = Trace(lambda _observe: None, lambda: 5.0, lambda _message: True)
    watcher = module._Watcher(Filter(), False)
    trace._watchers.add(watcher)
    trace.observe("in", message(INVITE), PaperFlow())
    assert watcher._queue.get_nowait()["from"] == "[private]"


def test_a_call_stays_private_to_its_end() -> None:
    trace = Driver().trace
    watcher = module._Watcher(Filter(), False)
    trace._watchers.add(watcher)
    for each in (INVITE.replace(b"Max-Forwards", b"Privacy: id\r\nMax-Forwards"), BUSY, INVITE):
        trace.observe("in", message(each), PaperFlow())
        assert watcher._queue.get_nowait()["from"] == "[private]"
    trace.observe("in", message(BUSY.replace(b"abc@", b"def@")), PaperFlow())
    assert watcher._queue.get_nowait()["from"] == "sip:alice@example.org"


@pytest.mark.parametrize(
    ("conditions", "fits"),
    [
        ([], True),
        (["method=INVITE"], True),
        (["method=invite,bye"], True),
        (["method=BYE"], False),
        (["status=486"], True),
        (["status=4xx"], True),
        (["status=2xx"], False),
        (["from=alice"], True),
        (["to=alice"], False),
        (["call-id=ABC@"], True),
        (["remote=192.0.2.1"], True),
        (["transport=tls"], True),
        (["transport=udp,ws"], False),
        (["method=INVITE", "status=5xx"], False),
    ],
)
def test_a_filter_fits_when_every_condition_does(conditions: list[str], fits: bool) -> None:
    assert Filter.parse(conditions).fits(event(BUSY)) is fits


@pytest.mark.parametrize("text", ["", "method", "method=", "who=alice", "=x"])
def test_what_is_no_filter_is_refused_with_the_keys_there_are(text: str) -> None:
    with pytest.raises(CommandError) as caught:
        Filter.parse([text])
    assert "method, status, from" in caught.value.fix


@pytest.mark.parametrize(
    ("text", "fix"), [("status=7xx", "status=4xx"), ("status=48", "486"), ("transport=tsl", "transport=tls")]
)
def test_nor_is_a_slip_in_what_has_few_values(text: str, fix: str) -> None:
    with pytest.raises(CommandError) as caught:
        Filter.parse([text])
    assert fix in caught.value.fix


class Driver:
    """The side of the driver that the trace sees."""

    def __init__(self) -> None:
        self.observe: Observe | None = None
        self.trace = Trace(self.watch, lambda: 5.0)

    def watch(self, observe: Observe | None) -> None:
        self.observe = observe

    def passes(self, data: bytes) -> None:
        if self.observe is not None:
            self.observe("in", message(data), PaperFlow())


async def start(watcher: AsyncGenerator[Json]) -> asyncio.Task[Json]:
    """Ask for the first message, and wait until the watcher watches."""
    first: asyncio.Task[Json] = asyncio.ensure_future(watcher.__anext__())
    await asyncio.sleep(0)
    return first


async def test_a_watcher_sees_what_fits_and_the_driver_is_left_alone_afterwards() -> None:
    driver = Driver()
    watcher = driver.trace.command({"filter": ["status=4xx"]})
    assert driver.observe is None
    first = await start(watcher)
    driver.passes(INVITE)
    driver.passes(BUSY)
    assert (await first)["status"] == 486
    await watcher.aclose()
    assert driver.observe is None


async def test_the_last_watcher_turns_it_off() -> None:
    driver = Driver()
    one, other = driver.trace.command({}), driver.trace.command({})
    firsts = [await start(one), await start(other)]
    driver.passes(INVITE)
    for first in firsts:
        await first
    await one.aclose()
    assert driver.observe is not None
    await other.aclose()
    assert driver.observe is None


async def test_whole_messages_have_no_credentials() -> None:
    driver = Driver()
    watcher = driver.trace.command({"text": True})
    first = await start(watcher)
    driver.passes(INVITE)
    text = (await first)["text"]
    assert "Call-ID: abc@192.0.2.1" in text
    assert "hunter2" not in text
    await watcher.aclose()


async def test_a_slow_watcher_loses_messages_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    driver = Driver()
    watcher = driver.trace.command({})
    first = await start(watcher)
    for _ in range(10):
        driver.passes(INVITE)
    assert (await first)["lost"] == 7
    assert "lost" not in await watcher.__anext__()
    await watcher.aclose()
