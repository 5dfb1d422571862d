"""Certificates and pools for the transport tests. Everything is on loopback, with real sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import uvloop

from ringfence.transport.contexts import Contexts
from ringfence.transport.limits import Limits
from ringfence.transport.pool import Pool
from tests.transport.support import Authority, Recorder

# Times short enough for a test, long enough for a busy machine.
LIMITS = Limits(
    handshake_time=0.5,
    connect_time=1.0,
    message_time=0.4,
    first_message_time=0.8,
    close_time=0.5,
    sweep_time=0.05,
)

Side = tuple[Pool, Recorder]
MakeSide = Callable[..., Side]


ON_UVLOOP = frozenset(
    {
        "test_fetch",
        "test_pool",
        "test_relay",
        "test_resolver",
        "test_tcp",
        "test_tls",
        "test_udp",
        "test_websocket",
    }
)


def pytest_asyncio_loop_factories(config: Any, item: Any) -> Mapping[str, Callable[[], Any]]:
    """The loop that a node runs on."""
    if item.path.stem in ON_UVLOOP:
        return {"uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority that both sides trust."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
async def make() -> AsyncIterator[MakeSide]:
    """Makes a pool and the recorder above it; all are closed after the test."""
    pools: list[Pool] = []

    def side(contexts: Contexts | None = None, *, limits: Limits = LIMITS, **more: Any) -> Side:
        recorder = Recorder()
        pool = Pool(recorder, limits, contexts=contexts, **more)
        pools.append(pool)
        return pool, recorder

    yield side
    for pool in pools:
        await pool.close()


@pytest.fixture
def host(request: pytest.FixtureRequest) -> str:
    """IPv4 loopback, or what the test asks for."""
    return getattr(request, "param", "127.0.0.1")


@pytest.fixture(scope="session")
def settings_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For files that a test changes."""
    return tmp_path_factory.mktemp("tls")
