"""Stores to test: each test that asks for `store` runs on both kinds."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ringfence.store import MemoryStore, Store
from ringfence.store.connect import sqlite_url
from ringfence.store.database import Database
from ringfence.store.migrate import upgrade


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


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, url: str) -> AsyncIterator[Store]:
    opened: Store = MemoryStore() if request.param == "memory" else await Database.open(url)
    yield opened
    await opened.close()
