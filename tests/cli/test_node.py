"""The commands that talk to a running node, against a control socket with a real trace behind it."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ringfence.cli.node import flat
from ringfence.cli.trace import arrow_of
from ringfence.message import parse
from ringfence.service.capture import beginning, packet
from ringfence.service.control import Arguments, CommandError, ControlServer
from ringfence.service.trace import Observe, Trace
from tests.cli.running import Shell
from tests.service.test_capture import CASES, MESSAGE
from tests.service.test_trace import BUSY, INVITE, PaperFlow


class Node:
    """Answers on the control socket of a domain, in a thread of its own."""

    def __init__(self, shell: Shell) -> None:
        self.loop = asyncio.new_event_loop()
        self.trace = Trace(self.watch)
        self.server = ControlServer(
            shell.directory / "data/control.sock",
            {"status": self.status, "reload": self.refuse, "stop": self.status, "trace": self.trace.command},
        )
        self.loop.run_until_complete(self.server.start())
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def watch(self, observe: Observe | None) -> None:
        """As the driver does; two messages pass at once."""
        if observe is not None:
            for direction, data in (("in", INVITE), ("out", BUSY)):
                self.loop.call_soon(observe, direction, parse(data), PaperFlow())

    async def status(self, _arguments: Arguments) -> Any:
        return {"domain": "example.org", "counts": {"opened TLS": 2, "deep": {"er": 1}}}

    async def refuse(self, _arguments: Arguments) -> Any:
        raise CommandError("server.pem can't be read", "mend the file")

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self.server.stop(), self.loop).result(5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()


@pytest.fixture
def node(domain: Shell) -> Iterator[Shell]:
    running = Node(domain)
    yield domain
    running.close()


def test_status_is_shown(node: Shell) -> None:
    assert node.type("status", "--json").json["counts"]["opened TLS"] == 2
    assert (
        node.type("status").out
        == "domain             example.org\ncounts opened TLS  2\ncounts deep er     1\n"
    )
    assert node.type("stop").code == 0


def test_a_refusal_of_the_node_is_told(node: Shell) -> None:
    result = node.type("reload")
    assert (result.code, result.err) == (1, "ringfence: server.pem can't be read; mend the file\n")


def test_without_a_node_the_next_step_is_told(domain: Shell) -> None:
    for command in ("status", "reload", "stop", "trace"):
        result = domain.type(command)
        assert result.code == 69
        assert "start it with ringfence serve" in result.err


def test_a_trace_is_a_ladder(node: Shell) -> None:
    rows = node.type("trace", "--count", "2").out.splitlines()
    assert rows[0].split() == ["192.0.2.1:40000", "example.org"]
    assert "INVITE sip:bob@example.net 🔒" in rows[1]
    assert rows[1].rstrip().endswith("▶│")
    assert "486 Busy Here 🔒" in rows[2]
    assert "│◀" in rows[2]


def test_a_trace_says_who_could_read(node: Shell) -> None:
    rows = node.type("trace", "--count", "1", "--who").out
    assert "could read all of it: the servers on the way and whoever listens beyond this hop" in " ".join(
        rows.split()
    )


def test_a_trace_is_filtered_by_the_node(node: Shell) -> None:
    result = node.type("trace", "--count", "1", "--filter", "status=4xx", "--json")
    assert result.json["start"] == "486 Busy Here"
    assert node.type("trace", "--filter", "nonsense").code == 2


def test_whole_messages_have_no_credentials(node: Shell) -> None:
    result = node.type("trace", "--count", "1", "--text")
    assert "Call-ID: abc@192.0.2.1" in result.out
    assert "hunter2" not in result.out


def test_a_plaintext_message_is_marked() -> None:
    event = {
        "time": 1.0, "direction": "out", "transport": "UDP", "secure": False, "remote": "192.0.2.1:5060",
        "start": "200 OK", "status": 200,
    }  # fmt: skip
    assert arrow_of(event, "node") == (1.0, "node", "192.0.2.1:5060", "200 OK", False, 200, "UDP")


def test_facts_within_facts_become_one_level() -> None:
    assert flat({"a": 1, "b": {"c": {"d": 2}, "e": []}}) == {"a": 1, "b c d": 2, "b e": []}


def test_a_capture_is_drawn_without_a_node(shell: Shell) -> None:
    data = beginning("test") + packet(CASES[0][0], MESSAGE) + packet(CASES[1][0], b"\x1b[2J junk\r\n\r\n")
    (shell.directory / "a.pcapng").write_bytes(data)
    drawn = shell.type("trace", "--read", "a.pcapng")
    assert drawn.code == 0
    assert "OPTIONS sip:bob@example.org" in drawn.out
    assert "malformed" in drawn.out
    assert "\x1b" not in drawn.out
    only = shell.type("trace", "--read", "a.pcapng", "--filter", "method=OPTIONS", "--json", "--text")
    assert [only.json["start"], only.json["text"].count("\n")] == ["OPTIONS sip:bob@example.org", 9]
    assert shell.type("trace", "--read", "missing").code == 69
    assert shell.type("trace", "--read", "a.pcapng", "--who").code == 2
    (shell.directory / "other").write_bytes(MESSAGE)
    assert shell.type("trace", "--read", "other").code == 65
