"""Stores to test: each test that asks for `store` runs on every kind."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ringfence.store import MemoryStore, Store
from ringfence.store.connect import sqlite_url
from ringfence.store.database import Database
from ringfence.store.migrate import upgrade

from .redis_server import RedisServer


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database with the newest schema, to be copied."""
    path = tmp_path_factory.mktemp("store") / "migrated.db"
    upgrade(sqlite_url(path))
    return path


@pytest.fixture
def path(migrated: Path, tmp_path: Path) -> Path:
    """A SQLite database of the test's own."""
    return Path(shutil.copy(migrated, tmp_path / "ringfence.db"))


@pytest.fixture
def url(path: Path) -> str:
    return sqlite_url(path)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    opened = await Database.open(url)
    yield opened
    await opened.close()


@pytest.fixture(params=["memory", "sqlite", pytest.param("redis", marks=pytest.mark.interop("redis-server"))])
async def store(request: pytest.FixtureRequest, url: str) -> AsyncIterator[Store]:
    opened: Store = MemoryStore()
    if request.param != "memory":
        redis = request.getfixturevalue("redis_url") if request.param == "redis" else ""
        opened = await Database.open(url, redis=redis)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Redis of our own on a Unix socket; its directory is short, since such paths are."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    with RedisServer() as server:
        yield server.socket


@pytest.fixture
def redis_url(redis_server: Path) -> str:
    """The same, emptied."""
    subprocess.run(["redis-cli", "-s", str(redis_server), "flushall"], check=True, capture_output=True)
    return f"unix://{redis_server}"
