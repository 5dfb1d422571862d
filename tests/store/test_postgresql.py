"""The same store on a real PostgreSQL: one started here, or the one that RINGFENCE_TEST_POSTGRESQL names.

The tests make what they need in the schema `public` of that database and remove it again, so name an empty one.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from ringfence.store import Administrator, Binding, Counts, RecordExists, SchemaError, StoreError
from ringfence.store.balances import Reservation
from ringfence.store.connect import engine_for
from ringfence.store.database import Database
from ringfence.store.migrate import current, head, upgrade
from ringfence.store.schema import metadata

from .samples import ALICE, BOB, FULL, NOW, account, binding

pytest.importorskip("psycopg", reason="psycopg is not installed")
pytestmark = pytest.mark.interop("postgresql")

BIN = Path(shutil.which("postgres") or "/nonexistent").resolve().parent


def start(directory: Path, owner: str | None) -> tuple[subprocess.Popen[bytes], str]:
    """A server of our own, on a Unix socket in the directory, and its URL."""
    data = directory / "data"
    subprocess.run(
        [BIN / "initdb", "-D", data, "-U", "ringfence", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True, capture_output=True, user=owner, timeout=120,
    )  # fmt: skip
    server = subprocess.Popen(
        [BIN / "postgres", "-D", data, "-k", directory, "-c", "listen_addresses="],
        stderr=subprocess.DEVNULL, user=owner,
    )  # fmt: skip
    for _ in range(200):
        # It listens before it takes anybody: on a busy machine seconds before.
        if subprocess.run([BIN / "pg_isready", "-q", "-h", directory], check=False).returncode == 0:
            break
        if server.poll() is not None:
            pytest.fail("the PostgreSQL server ended at once")
        subprocess.run(["sleep", "0.1"], check=True)
    return server, f"postgresql://ringfence@/postgres?host={directory}"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    if given := os.environ.get("RINGFENCE_TEST_POSTGRESQL"):
        yield given
        return
    if not (BIN / "initdb").exists():
        pytest.skip("there is no PostgreSQL server on this machine")
    owner = None
    if os.geteuid() == 0:  # which the server refuses to run as
        if "postgres" not in {entry.pw_name for entry in pwd.getpwall()}:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        owner = "postgres"
    with tempfile.TemporaryDirectory() as name:
        if owner:
            shutil.chown(name, owner)
        process, url = start(Path(name), owner)
        yield url
        process.terminate()
        process.wait(30)


@pytest.fixture
def url(server: str) -> Iterator[str]:
    upgrade(server)
    yield server
    with engine_for(server).begin() as connection:
        metadata.drop_all(connection)
        connection.exec_driver_sql("DROP TABLE alembic_version")


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    opened = await Database.open(url)
    yield opened
    await opened.close()


@pytest.fixture
async def other(url: str, database: Database) -> AsyncIterator[Database]:
    opened = await Database.open(url)
    yield opened
    await opened.close()


def test_the_migrations_make_the_schema_of_the_code(url: str) -> None:
    upgrade(url)
    assert current(url) == head()
    with engine_for(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


async def test_a_newer_schema_is_refused(url: str) -> None:
    with engine_for(url).begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaError, match="newer Ringfence"):
        await Database.open(url)
    with engine_for(url).begin() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{head()}'")


async def test_records_are_kept_and_seen_elsewhere(database: Database, other: Database) -> None:
    await database.accounts.add(account(aliases=("sip:sales@example.org",), display_name="Älice"))
    await database.accounts.add(account("bob"))
    await database.bindings.change(ALICE, lambda _: [FULL], NOW)
    await database.administrators.add(Administrator("root", "scrypt$1"))
    await other.refresh()
    assert other.accounts.list() == database.accounts.list()
    assert other.bindings.lookup(ALICE, NOW) == (FULL,)
    assert await other.administrators.find("root") == Administrator("root", "scrypt$1")

    await other.accounts.remove(ALICE)
    await database.refresh()
    assert database.accounts.by_aor(ALICE) is None
    assert database.bindings.counts() == Counts(0, 0)
    with pytest.raises(RecordExists):
        await database.accounts.add(account("bob"))


async def test_changes_from_two_nodes_all_count(database: Database, other: Database) -> None:
    async def add(store: Database, aor: str, contact: str) -> None:
        def decide(current: tuple[Binding, ...]) -> Iterable[Binding]:
            return [*current, binding(aor, contact)]

        await store.bindings.change(aor, decide, NOW)

    await asyncio.gather(
        *(
            add(store, aor, f"sip:{number}@{id(store)}")
            for number in range(20)
            for store in (database, other)
            for aor in (ALICE, BOB)
        )
    )
    await asyncio.gather(database.refresh(), other.refresh())
    assert database.bindings.counts() == other.bindings.counts() == Counts(2, 80)


async def test_what_expired_is_purged(database: Database) -> None:
    await database.bindings.change(ALICE, lambda _: [binding(expires_at=NOW + 1), FULL], NOW)
    assert await database.bindings.purge(NOW + 1) == (binding(expires_at=NOW + 1),)
    assert database.bindings.lookup(ALICE, NOW) == (FULL,)


async def test_bad_data_fails_alone(database: Database) -> None:
    with pytest.raises(StoreError, match="NUL"):
        await database.accounts.add(account(display_name="\x00"))
    await database.accounts.add(account())


async def test_a_lost_connection_fails_once_and_is_made_anew(url: str, database: Database) -> None:
    await database.bindings.change(ALICE, lambda _: [binding()], NOW)
    with engine_for(url).connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
    with pytest.raises(StoreError, match="can't write"):
        await asyncio.wait_for(database.bindings.change(ALICE, lambda _: [], NOW), 10)
    assert database.bindings.lookup(ALICE, NOW) == (binding(),)
    assert await database.bindings.change(ALICE, lambda _: [], NOW) == ()


async def test_a_locked_database_is_an_error_and_not_a_hang(url: str, database: Database) -> None:
    with engine_for(url).begin() as connection:
        connection.exec_driver_sql("SELECT value FROM store_revision FOR UPDATE")
        with pytest.raises(StoreError, match="lock timeout"):
            await asyncio.wait_for(database.bindings.change(ALICE, lambda _: [binding()], NOW), 10)
    assert await database.bindings.change(ALICE, lambda _: [binding()], NOW) == (binding(),)


async def test_a_server_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"connection failed|No such file"):
        await Database.open(f"postgresql://ringfence@/ringfence?host={tmp_path}")


async def test_two_nodes_do_not_spend_the_same_money(database: Database, other: Database) -> None:
    await database.balances.change(ALICE, 1000)
    nodes = [(f"{place}.{turn}", each) for turn in range(5) for place, each in enumerate((database, other))]
    got = await asyncio.gather(
        *(node.balances.reserve(Reservation(call, "n", ALICE, 150), 1) for call, node in nodes)
    )
    assert sum(got) == 1000
    settled = await asyncio.gather(*(node.balances.settle(call, 10) for call, node in nodes))
    assert sum(settled) == sum(1 for each in got if each)
    assert await other.balances.get(ALICE) == 1000 - 10 * sum(settled)


async def test_money_is_not_lost_with_a_connection(url: str, database: Database) -> None:
    await database.balances.change(ALICE, 100)
    with engine_for(url).connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
    with pytest.raises(StoreError, match="can't write"):
        await asyncio.wait_for(database.balances.reserve(Reservation("c1", "n", ALICE, 60), 1), 10)
    await database.balances.settle("c1", 0)
    assert await database.balances.get(ALICE) == 100
    assert await database.balances.open("n") == ()
