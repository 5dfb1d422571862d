"""Several workers behind one set of ports: calls between phones of any two, and a worker that is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, suppress
from typing import Any

import pytest

from ringfence.client import CallError, IncomingCall, MessageError, UserAgent
from tests.interop.node import RINGFENCE, Node, environment, password_of
from tests.interop.processes import HOST, eventually

CALLEES = [f"callee{number}" for number in range(4)]
CALLERS = [f"caller{number}" for number in range(4)]
TRANSPORTS = ("tls", "udp", "tcp", "tls")
WORKERS = 2


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node with two workers, and eight users."""
    node = Node.create(tmp_path_factory.mktemp("workers") / "node", old_phones=False)
    text = node.config.read_text(encoding="utf-8")
    node.config.write_text(text.replace("[node]\n", f"[node]\nworkers = {WORKERS}\n"), encoding="utf-8")
    for user in (*CALLEES, *CALLERS):
        node.add_user(user)
    node.serve()
    eventually(lambda: ready(node), "both workers are ready", 30)
    yield node
    node.end()


def ready(node: Node) -> bool:
    try:
        return len(workers(node)) == WORKERS
    except AssertionError:
        return False


def workers(node: Node) -> dict[str, Any]:
    """What ``ringfence status`` tells of each worker."""
    found = node.status()["workers"]
    assert isinstance(found, dict)
    return found


def agent(node: Node, user: str, transport: str, *, register: bool = False) -> UserAgent:
    return UserAgent(
        f"sip:{user}@{node.domain}",
        password=password_of(user),
        proxy=f"sip:{HOST}:{node.listen[transport]};transport={transport}",
        trust=node.authority,
        register=register,
    )


async def take(callee: UserAgent, *, hang_up: bool) -> None:
    """Answer calls until cancelled; hang them up, or wait until the caller does."""
    async for call in callee.incoming():
        await conclude(call, hang_up=hang_up)


async def conclude(call: IncomingCall, *, hang_up: bool) -> None:
    await call.answer()
    if hang_up:
        await asyncio.sleep(0.1)
        await call.hang_up()
    else:
        await call.ended


async def talk(caller: UserAgent, callee: str, *, hang_up: bool) -> None:
    async with asyncio.timeout(10):
        call = await caller.call(f"sip:{callee}@example.org")
        await call.answered
        if hang_up:
            await asyncio.sleep(0.1)
            await call.hang_up()
        else:
            assert (await call.ended).by == "peer"


async def test_calls_between_phones_of_any_two_workers(node: Node) -> None:
    async with AsyncExitStack() as stack:
        tasks = []
        for user, transport in zip(CALLEES, TRANSPORTS, strict=True):
            callee = await stack.enter_async_context(agent(node, user, transport, register=True))
            odd = CALLEES.index(user) % 2 == 1
            tasks.append(asyncio.create_task(take(callee, hang_up=odd)))
        for user, transport in zip(CALLERS, reversed(TRANSPORTS), strict=True):
            caller = await stack.enter_async_context(agent(node, user, transport))
            for place, callee_name in enumerate(CALLEES):
                await talk(caller, callee_name, hang_up=place % 2 == 0)
            await caller.send_text("sip:callee0@example.org", "hello")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert all(worker["requests"] for worker in (await asyncio.to_thread(workers, node)).values())


def test_each_call_is_in_the_ledger_once(node: Node) -> None:
    calls = json.loads(node.command("ledger", "list", "--json"))
    assert len(calls) == len(CALLERS) * len(CALLEES)
    assert {call["status"] for call in calls} == {200}
    assert {call["reason"] for call in calls} == {"the caller hung up", "the callee hung up"}
    assert all(call["seconds"] < 5 for call in calls)
    verified = json.loads(node.command("ledger", "verify", "--json"))
    assert verified


async def test_a_trace_shows_what_passes_any_worker(node: Node) -> None:
    words = ["trace", "--config", str(node.config), "--json", "--count", "6", "--filter", "method=MESSAGE"]
    tracing = await asyncio.create_subprocess_exec(
        str(RINGFENCE), *words, stdout=asyncio.subprocess.PIPE, env=environment()
    )
    shown = asyncio.create_task(tracing.communicate())
    async with asyncio.timeout(20):
        while not shown.done():
            async with agent(node, "caller0", "udp") as caller:
                with suppress(MessageError):  # nobody is registered
                    await caller.send_text("sip:callee0@example.org", "are you there?")
            await asyncio.sleep(0.1)
    lines = [json.loads(line) for line in shown.result()[0].splitlines()]
    assert {line["method"] for line in lines} == {"MESSAGE"}
    assert {line["worker"] for line in lines} <= {0, 1}


CONNECTIONS = 24
"""So many that each worker has some: of 16 million times once it would not."""


def still_there(connection: socket.socket, number: int) -> bool:
    """Whether a connection is answered on; False when it was closed."""
    connection.sendall(
        (
            f"OPTIONS sip:example.org SIP/2.0\r\nVia: SIP/2.0/TCP {HOST};branch=z9hG4bKflow{number}\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:a@example.net>;tag=1\r\nTo: <sip:example.org>\r\n"
            f"Call-ID: flow{number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        ).encode()
    )
    try:
        return connection.recv(4096).startswith(b"SIP/2.0 ")
    except ConnectionError:
        return False


def test_a_worker_that_is_killed_takes_no_connection_of_another_along(node: Node) -> None:
    before = workers(node)
    with ExitStack() as stack:
        connections = [stack.enter_context(node.connect("tcp")) for _ in range(CONNECTIONS)]
        assert all(still_there(each, number) for number, each in enumerate(connections))
        os.kill(before["1"]["pid"], signal.SIGKILL)
        eventually(lambda: gone(before["1"]["pid"]), "the worker is dead")
        left = [still_there(each, CONNECTIONS + number) for number, each in enumerate(connections)]
        assert any(left), "those of the worker that lives"
        assert not all(left), "those of the worker that is gone"
        eventually(lambda: ready(node), "the worker is back", 30)
        assert workers(node)["0"]["pid"] == before["0"]["pid"]
        held = [each for each, there in zip(connections, left, strict=True) if there]
        assert all(still_there(each, 2 * CONNECTIONS + number) for number, each in enumerate(held))


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_a_worker_that_is_killed_is_replaced_and_the_others_serve_on(node: Node) -> None:
    before = await asyncio.to_thread(workers, node)
    async with AsyncExitStack() as stack:
        callees = {
            user: await stack.enter_async_context(agent(node, user, "tls", register=True)) for user in CALLEES
        }
        tasks = [asyncio.create_task(take(callee, hang_up=False)) for callee in callees.values()]
        os.kill(before["1"]["pid"], signal.SIGKILL)
        await asyncio.to_thread(eventually, lambda: ready(node), "the worker is back", 30)
        after = await asyncio.to_thread(workers, node)
        assert after["0"]["pid"] == before["0"]["pid"]
        assert after["1"]["pid"] != before["1"]["pid"]
        assert after["1"]["starts"] == before["1"]["starts"] + 1
        # Phones whose connection was the dead worker's make another (RFC 5626 section 4.5), and all can be called.
        for user in CALLEES:
            await reached(node, user)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def reached(node: Node, user: str) -> None:
    """Call somebody, again until it works: the phone may be on its way back."""
    async with asyncio.timeout(40):
        while True:
            async with agent(node, "caller1", "tls") as caller:
                try:
                    await talk(caller, user, hang_up=True)
                    return
                except CallError:
                    await asyncio.sleep(1)
