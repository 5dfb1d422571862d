"""Two nodes of a domain, one of them with two workers, that count together through Redis; and go on alone without it.

Each has a database of its own, so that nothing but Redis tells one of the other.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from ringfence.client import CallError, UserAgent
from ringfence.guard.sharing import SHARE_SECONDS
from tests.interop.node import Node
from tests.interop.processes import HOST, eventually, free_port
from tests.interop.raw import RawPhone
from tests.interop.test_workers import agent
from tests.interop.test_workers_limits import answer_all
from tests.store.redis_server import RedisServer

pytestmark = pytest.mark.interop("redis-server")

SOON = 4.0
"""Seconds: it takes one and a bit, and a busy test machine is slow."""

MAX_CALLS = 2
MAX_DESTINATIONS = 3
SETTINGS = f"""
[registrations]
redis = "{{url}}"

[shared]
redis = "{{url}}"

[guard]
account_per_second = 1.0

[fraud]
destinations_per_hour = {MAX_DESTINATIONS}
action = "refuse"
"""


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def nodes(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Node]]:
    directory = tmp_path_factory.mktemp("shared")
    settings = SETTINGS.replace("{url}", redis.url)
    one = Node.create(
        directory / "one", transports=["udp", "tcp", "tls"], old_phones=False, settings=settings
    )
    for user in ("callee", "many", "busy"):
        one.add_user(user, calls=MAX_CALLS if user == "many" else 10)
    other = twin(one, directory / "other")
    for node in (one, other):
        node.serve()
    eventually(lambda: is_shared(one) and is_shared(other), "both count together", 60)
    yield one, other
    for node in (one, other):
        node.end()


def twin(node: Node, directory: Path) -> Node:
    """A second machine of the domain: the same accounts and secrets, ports of its own, two workers."""
    shutil.copytree(node.directory, directory)
    text = node.config.read_text(encoding="utf-8").replace("[node]\n", "[node]\nworkers = 2\n")
    plain = free_port()
    listen = {"udp": plain, "tcp": plain, "tls": free_port()}
    for transport, port in node.listen.items():
        text = text.replace(f"port = {port}\n", f"port = {listen[transport]}\n")
    made = Node(directory, node.domain, listen)
    made.config.write_text(text, encoding="utf-8")
    return made


def is_shared(node: Node) -> bool:
    try:
        return node.status()["shared"] is True
    except AssertionError:
        return False  # a worker is not there yet


def log_of(node: Node) -> str:
    assert node.serving is not None
    return node.serving.log.read_text(encoding="utf-8")


def test_whom_the_owner_bans_at_one_node_all_ban_and_let_in_again(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    assert answers(other, "127.0.0.52")
    one.command("ban", "add", "127.0.0.52", "--for", "1h")
    eventually(lambda: not answers(other, "127.0.0.52"), "shut out there too", SOON)
    other.command("ban", "remove", "127.0.0.52")
    eventually(lambda: answers(one, "127.0.0.52"), "let in there too", SOON)


def test_whom_the_guard_bans_at_one_node_all_ban(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    with socket.create_connection((HOST, one.listen["tcp"]), source_address=("127.0.0.54", 0)) as scanner:
        scanner.sendall(
            b"OPTIONS sip:100@example.org SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.54;branch=z9hG4bK1\r\n"
            b"From: <sip:100@example.org>;tag=1\r\nTo: <sip:100@example.org>\r\nCall-ID: 1\r\n"
            b"CSeq: 1 OPTIONS\r\nUser-Agent: friendly-scanner\r\nContent-Length: 0\r\n\r\n"
        )
        eventually(lambda: not answers(other, "127.0.0.54"), "banned there too", SOON)


def answers(node: Node, host: str) -> bool:
    """Whether a node answers an OPTIONS from an address."""
    phone = RawPhone(node, "x", host, "example.net")
    try:
        phone.send(phone.text("OPTIONS", "sip:example.org"))
        return phone.receive(0.3) is not None
    finally:
        phone.close()


def test_an_account_has_its_rate_once(nodes: tuple[Node, Node]) -> None:
    """Ten at once, and one a second: what it has sent to one node it can't send to the other."""
    one, other = nodes
    here, there = RawPhone(one, "busy", "127.0.0.61"), RawPhone(other, "busy", "127.0.0.62")

    def passes(phone: RawPhone) -> bool:
        return phone.ask(phone.text("OPTIONS", "sip:callee@example.org")).status != 403

    assert sum(passes(here) for _ in range(10)) == 10
    time.sleep(2 * SHARE_SECONDS)
    assert sum(passes(there) for _ in range(10)) <= 6
    here.close()
    there.close()


@pytest.mark.rfc("7616", "3.4")
def test_a_nonce_of_one_node_is_stale_at_the_other_and_the_phone_needs_nobody(
    nodes: tuple[Node, Node],
) -> None:
    """The nodes have one secret, and a key for nonces each: what was recorded at one can't be replayed at the other."""
    one, other = nodes
    phone = RawPhone(one, "callee", "127.0.0.64")
    data = phone.text("REGISTER", "sip:example.org", to="sip:callee@example.org")
    phone.send(data)
    answered = phone.answered(data, phone.final())
    phone.send(answered)
    assert phone.final().status == 200
    phone.server = (HOST, other.listen["udp"])
    phone.send(answered)
    elsewhere = phone.final()
    assert elsewhere.status == 401
    assert "stale=true" in (elsewhere.headers.get("WWW-Authenticate") or "")
    again = phone.text("REGISTER", "sip:example.org", to="sip:callee@example.org")
    phone.send(phone.answered(again, elsewhere))
    assert phone.final().status == 200
    phone.close()


async def status_of(phone: UserAgent, uri: str) -> tuple[int, object]:
    try:
        call = await phone.call(uri)
        await call.answered
    except CallError as error:
        return error.status, None
    return 200, call


async def test_calls_at_a_time_are_those_at_all_nodes(nodes: tuple[Node, Node]) -> None:
    async with AsyncExitStack() as stack, asyncio.timeout(40):
        callees = [
            await stack.enter_async_context(agent(node, "callee", "tcp", register=True)) for node in nodes
        ]
        answering = [asyncio.create_task(answer_all(callee)) for callee in callees]
        phones = [await stack.enter_async_context(agent(node, "many", "tcp")) for node in nodes]
        for _ in range(2):  # the second time shows that all of the first are over everywhere
            calls = []
            for place in range(MAX_CALLS):
                status, call = await status_of(phones[place % 2], "sip:callee@example.org")
                assert status == 200
                calls.append(call)
            await asyncio.sleep(0.2)  # for the other node to hear of the last
            for phone in phones:
                assert (await status_of(phone, "sip:callee@example.org"))[0] == 403
            for call in calls:
                await call.hang_up()  # type: ignore[attr-defined]
            await asyncio.sleep(0.2)
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)


async def test_destinations_are_those_called_at_all_nodes(nodes: tuple[Node, Node]) -> None:
    async with AsyncExitStack() as stack, asyncio.timeout(40):
        phones = [await stack.enter_async_context(agent(node, "many", "tcp")) for node in nodes]
        found = []
        for place in range(MAX_DESTINATIONS + 2):
            uri = f"sip:room{place}@127.0.0.1:9;transport=tcp"
            found.append((await status_of(phones[place % 2], uri))[0])
            await asyncio.sleep(0.1)
        assert 403 not in found[:MAX_DESTINATIONS]
        assert found[MAX_DESTINATIONS:] == [403, 403]
        await asyncio.to_thread(nodes[1].command, "user", "unblock", "many")
        await asyncio.sleep(0.2)
        assert (await status_of(phones[0], "sip:room0@127.0.0.1:9;transport=tcp"))[0] != 403


def test_without_redis_each_goes_on_alone_and_makes_it_good_later(
    nodes: tuple[Node, Node], redis: RedisServer
) -> None:
    one, other = nodes
    phone = RawPhone(one, "callee", "127.0.0.63")
    redis.kill()
    eventually(lambda: not is_shared(one) and not is_shared(other), "it is noticed", 10)
    assert phone.ask(phone.text("OPTIONS", "sip:example.org")).status == 200, "what needs no Redis goes on"
    one.command("ban", "add", "127.0.0.55", "--for", "1h")
    assert not answers(one, "127.0.0.55"), "bans hold at once where they are given"
    assert answers(other, "127.0.0.55")
    refused = phone.register()
    assert refused.status == 500, "what can't be kept is not promised (RFC 3261 section 10.3)"
    redis.start()
    eventually(lambda: is_shared(one) and is_shared(other), "both are back", 10)
    eventually(lambda: not answers(other, "127.0.0.55"), "what was done meanwhile is made good", SOON)
    eventually(lambda: phone.register().status == 200, "registrations are taken again", SOON)
    phone.close()
    assert log_of(one).count("counts alone") == 1
    assert log_of(other).count("counts alone") == 2, "one line for each of two workers"
