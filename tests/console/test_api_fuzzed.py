"""Schemathesis reads the description of the interface and tries what it allows, and what it does not."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok

from ringfence.console.api.app import RESOURCES
from ringfence.console.app import make_app, opened
from ringfence.console.tokens import new_token
from ringfence.store.records import Administrator, AdministratorRole
from tests.console.conftest import HASHED
from tests.service.test_checks import Domain

HOST = "127.0.0.1"
TRIES = 10
"""Of each resource: some ten seconds in all."""


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a console whose node is away, in a thread with a loop of its own; and the token of an owner."""
    config = Domain(tmp_path_factory.mktemp("fuzzed")).config(
        '[metrics]\nlisten = ""\n[identity]\nsign = false\n'
    )
    config = config.model_copy(update={"listen": ()})
    made, text = new_token("fuzzer", "owner", time.time(), 3600.0)
    ready = threading.Event()
    where: list[str] = []
    server: list[uvicorn.Server] = []

    async def serve() -> None:
        async with opened(config) as office:
            await office.database.administrators.add(Administrator("owner", HASHED, AdministratorRole.OWNER))
            await office.database.tokens.add(made)
            one = uvicorn.Server(
                uvicorn.Config(make_app(office, [HOST]), port=0, log_config=None, lifespan="off")
            )
            server.append(one)
            task = asyncio.create_task(one.serve())
            while not one.started:
                await asyncio.sleep(0.01)
            where.append(f"http://{HOST}:{one.servers[0].sockets[0].getsockname()[1]}")
            ready.set()
            await task

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(20)
    yield where[0], text
    server[0].should_exit = True
    thread.join()


def test_every_answer_is_as_described(console: tuple[str, str]) -> None:
    base, token = console
    schema = schemathesis.openapi.from_url(f"{base}/api/v1/openapi.json")
    headers = {"Authorization": f"Bearer {token}"}
    operations = [each.ok() for each in schema.get_all_operations() if isinstance(each, Ok)]
    assert len(operations) == len(RESOURCES)
    for operation in operations:

        @settings(
            max_examples=TRIES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def check(case: Any) -> None:
            case.call_and_validate(base_url=f"{base}/api/v1", headers=headers)

        check()
