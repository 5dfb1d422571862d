"""Limits of an account where a node has two workers: calls at a time, destinations in an hour, and its credit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any

import pytest

from ringfence.client import CallError, IncomingCall, UserAgent
from tests.interop.node import Node
from tests.interop.processes import eventually
from tests.interop.test_workers import WORKERS, agent, ready, workers

AT_ONCE = 10
"""Calls that one account makes in one moment, each by a connection of its own: the kernel spreads these."""

MAX_CALLS = 3
MAX_DESTINATIONS = 5
SETTINGS = f"""
[fraud]
destinations_per_hour = {MAX_DESTINATIONS}
action = "refuse"

[charging]
quota_seconds = 5

[[rate]]
prefix = "sip:callee@"
per_minute = "60"
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = Node.create(tmp_path_factory.mktemp("limits") / "node", old_phones=False, settings=SETTINGS)
    text = node.config.read_text(encoding="utf-8")
    node.config.write_text(text.replace("[node]\n", f"[node]\nworkers = {WORKERS}\n"), encoding="utf-8")
    for user in ("callee", "many", "thief", "prepaid"):
        node.add_user(user, calls=MAX_CALLS if user == "many" else AT_ONCE)
    node.command("user", "limit", "prepaid", "--prepaid")
    node.command("user", "credit", "prepaid", "--add", "12.00")
    node.serve()
    eventually(lambda: ready(node), "both workers are ready", 30)
    yield node
    node.end()


async def statuses(node: Node, user: str, uris: list[str], *, one_by_one: bool = False) -> list[int]:
    """Call all of them, and hang up when each has been answered or refused."""
    async with AsyncExitStack() as stack:
        callee = await stack.enter_async_context(agent(node, "callee", "tls", register=True))
        answering = asyncio.create_task(answer_all(callee))
        phones = [await stack.enter_async_context(agent(node, user, "tcp")) for _ in uris]
        up = asyncio.Barrier(len(uris))

        async def call(phone: UserAgent, uri: str) -> int:
            async with asyncio.timeout(20):
                try:
                    made: Any = await phone.call(uri)
                    await made.answered
                except CallError as error:
                    status = error.status
                    made = None
                else:
                    status = 200
                if not one_by_one:
                    await up.wait()
                if made is not None:
                    await made.hang_up()
                return status

        calls = [call(phone, uri) for phone, uri in zip(phones, uris, strict=True)]
        found = [await each for each in calls] if one_by_one else await asyncio.gather(*calls)
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        return found


async def answer_all(callee: UserAgent) -> None:
    """Answer calls, each until its caller hangs up."""
    async with asyncio.TaskGroup() as group:
        async for call in callee.incoming():
            group.create_task(answer_one(call))


async def answer_one(call: IncomingCall) -> None:
    await call.answer()
    await call.ended


async def test_calls_at_a_time_are_those_at_all_workers(node: Node) -> None:
    for _ in range(2):  # the second time shows that all of the first are over everywhere
        found = await statuses(node, "many", ["sip:callee@example.org"] * AT_ONCE)
        assert sorted(found) == [200] * MAX_CALLS + [403] * (AT_ONCE - MAX_CALLS)
    assert all(worker["requests"] for worker in (await asyncio.to_thread(workers, node)).values())
    calls = json.loads(await asyncio.to_thread(node.command, "ledger", "list", "--json"))
    assert [call["status"] for call in calls].count(200) == 2 * MAX_CALLS


async def test_destinations_are_those_called_at_all_workers(node: Node) -> None:
    uris = [f"sip:room{number}@127.0.0.1:9;transport=tcp" for number in range(MAX_DESTINATIONS + 4)]
    found = await statuses(node, "thief", uris, one_by_one=True)
    assert 403 not in found[:MAX_DESTINATIONS]
    assert found[MAX_DESTINATIONS:] == [403] * 4
    alerts = json.loads(await asyncio.to_thread(node.command, "ledger", "alerts", "--json"))
    assert [alert["account"] for alert in alerts] == ["sip:thief@example.org"]
    await asyncio.to_thread(node.command, "user", "unblock", "thief")
    assert 403 not in await statuses(node, "thief", uris[:1], one_by_one=True)


async def test_credit_is_spent_once(node: Node) -> None:
    """Twelve euros, and each call has five set aside, or what is left."""
    found = await statuses(node, "prepaid", ["sip:callee@example.org"] * AT_ONCE)
    assert sorted(found) == [200] * 3 + [403] * (AT_ONCE - 3)

    def settled() -> bool:
        facts = json.loads(node.command("user", "credit", "prepaid", "--json"))
        calls = json.loads(node.command("ledger", "list", "--json"))
        cost = sum(Decimal(each["cost"]) for each in calls if each["account"] == "sip:prepaid@example.org")
        return Decimal(str(facts["balance"])) + cost == 12

    await asyncio.to_thread(eventually, settled, "what was set aside is back")
