from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from ringfence.store import SchemaError, StoreError
from ringfence.store.connect import engine_for, sqlite_url
from ringfence.store.database import Database
from ringfence.store.migrate import current, head, upgrade
from ringfence.store.schema import metadata

from .raw import sql
from .samples import account


def test_an_empty_database_gets_everything(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "new.db")
    assert current(url) is None
    upgrade(url)
    assert current(url) == head()


def test_the_migrations_make_the_schema_of_the_code(url: str) -> None:
    with engine_for(url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


async def test_an_upgrade_of_the_newest_schema_keeps_what_is_there(url: str) -> None:
    database = await Database.open(url)
    await database.accounts.add(account())
    await database.close()
    upgrade(url)
    database = await Database.open(url)
    assert database.accounts.by_aor("sip:alice@example.org") == account()
    await database.close()


def test_tables_of_others_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    path.touch(0o600)
    sql(path, "CREATE TABLE theirs (x)")
    sql(path, "INSERT INTO theirs VALUES (1)")
    upgrade(sqlite_url(path))
    assert sql(path, "SELECT x FROM theirs") == [(1,)]


async def test_a_newer_schema_is_refused(url: str, path: Path) -> None:
    sql(path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaError, match=r"schema 9999.*written by a newer Ringfence"):
        upgrade(url)
    with pytest.raises(SchemaError, match="written by a newer Ringfence"):
        await Database.open(url)
    assert current(url) == "9999"


async def test_a_database_without_tables_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=f"has no tables yet; upgrade it to {head()}"):
        await Database.open(sqlite_url(tmp_path / "new.db"))


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.touch(0o600)
    path.write_text("not a database, and long enough to be taken for the header of one")
    with pytest.raises(StoreError, match="file is not a database"):
        upgrade(sqlite_url(path))
    with pytest.raises(StoreError, match="file is not a database"):
        await Database.open(sqlite_url(path))


def test_an_upgrade_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "clash.db"
    path.touch(0o600)
    sql(path, "CREATE TABLE registrations (x)")
    with pytest.raises(StoreError, match="registrations already exists"):
        upgrade(sqlite_url(path))
    assert sql(path, "SELECT name FROM sqlite_schema WHERE type = 'table'") == [("registrations",)]


def test_processes_that_start_together_upgrade_once(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "new.db")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(_upgrade_elsewhere, [url, url]))
    assert current(url) == head()


def _upgrade_elsewhere(url: str) -> None:
    # Alembic keeps its context in module globals: another process it must be, as it is in life.
    program = "import sys; from ringfence.store.migrate import upgrade; upgrade(sys.argv[1])"
    subprocess.run([sys.executable, "-c", program, url], check=True, timeout=60)
