"""From a database URL to a SQLAlchemy engine that keeps our promises: durable, private, never hanging.

SQLite (``sqlite:////var/lib/ringfence/ringfence.db``) runs in WAL mode with synchronous=FULL, so a commit is
on the disk when it returns. PostgreSQL (``postgresql://user@host/name``) needs the psycopg package. What
drivers raise is translated here, once: all that talks to a database uses `translated` or `store_error`.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from ringfence.store.errors import StoreError

LOCK_SECONDS = 2.0
"""How long a write waits for another process. A REGISTER is sent anew for 32 s (RFC 3261 17.1.2.2, timer F),
so a failure after 2 s leaves the phone time to try again."""

SERVER_SECONDS = 3
"""How long PostgreSQL may take to be reached, or to answer a statement, before it counts as gone."""

WAL_SIZE_LIMIT = 64 * 1024 * 1024
"""SQLite's log file is cut back to this after a checkpoint; a burst must not keep the disk it once took."""

WAL_RETRY_SECONDS = 0.02
"""How soon a new database is tried again while another process sets it up."""

READ_ONLY = "ringfence_read_only"
"""Key in a connection's `info`: true for a transaction that only reads, so that it takes no write lock."""


def engine_for(url: str, *, lock_seconds: float = LOCK_SECONDS) -> Engine:
    """An engine for the URL. A SQLite file that does not exist is created, readable by its owner only.

    Raises:
        StoreError: The URL can't be used, its driver is not installed, or its file is open to every user.
    """
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except ArgumentError as error:
        raise StoreError(
            "the database URL can't be read; write sqlite:///PATH or postgresql://..."
        ) from error
    if backend == "sqlite":
        return _sqlite(parsed, lock_seconds)
    if backend == "postgresql":
        return _postgresql(parsed, lock_seconds)
    raise StoreError(f"databases of the kind {backend} are not served; use sqlite or postgresql")


def reading_engine(url: str) -> Engine:
    """An engine for who only reads. A SQLite file where nothing can be written, such as a copy that is kept as
    evidence, is read as it lies there.

    Raises:
        StoreError: As `engine_for`.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        return engine_for(url)  # which says what is wrong with it
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return engine_for(url)
    path = Path(parsed.database).absolute()
    if os.access(path.parent, os.W_OK):
        return engine_for(url)
    # SQLite would have to make its -shm file; "immutable" tells it that nobody writes meanwhile.
    immutable = URL.create("sqlite+pysqlite", database=path.as_uri(), query={"immutable": "1", "uri": "true"})
    return create_engine(immutable, poolclass=NullPool, hide_parameters=True)


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return URL.create("sqlite", database=str(path.absolute())).render_as_string()


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Turn what a database or its driver raises into a `StoreError` that says which action failed and why."""
    try:
        yield
    except StoreError:
        raise
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise store_error(action, error) from error


def store_error(action: str, error: Exception) -> StoreError:
    """The `StoreError` for what a driver raised: its own words, without the statement and its values."""
    if isinstance(error, StoreError):
        return error
    reason = error.orig if isinstance(error, DBAPIError) else error
    failure = StoreError(f"can't {action}: {str(reason).strip() or type(reason).__name__}")
    failure.__cause__ = error
    return failure


def _sqlite(url: URL, lock_seconds: float) -> Engine:
    if not url.database or url.database == ":memory:":
        raise StoreError("a SQLite database in memory can't be kept; use MemoryStore")
    _make_private(Path(url.database))
    engine = create_engine(
        url.set(drivername="sqlite+pysqlite"),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"timeout": lock_seconds},
    )
    event.listen(engine, "connect", lambda connection, _record: _set_up_sqlite(connection, lock_seconds))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_private(path: Path) -> None:
    # SQLite gives its -wal and -shm files the mode of the database, so this covers all three.
    with translated(f"create {path}"):
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            if path.stat().st_mode & stat.S_IRWXO:
                raise StoreError(
                    f"{path} holds secrets and every user may open it; run: chmod 600 {path}"
                ) from None


def _set_up_sqlite(connection: sqlite3.Connection, lock_seconds: float) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself; `_begin_sqlite` does
    _use_wal(connection, lock_seconds)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_SIZE_LIMIT}")


def _use_wal(connection: sqlite3.Connection, lock_seconds: float) -> None:
    # SQLite does not wait here by itself when two processes open a new database at once.
    deadline = time.monotonic() + lock_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(WAL_RETRY_SECONDS)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE waits for the lock at the start. A transaction that finds out at its first write that another
    # process wrote since it began is refused at once, whatever the time-out (SQLITE_BUSY_SNAPSHOT).
    # It goes to the driver: by SQLAlchemy's own way the two words cost a tenth of a small transaction.
    words = "BEGIN" if connection.info.get(READ_ONLY) else "BEGIN IMMEDIATE"
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    try:
        driver.execute(words)
    except sqlite3.Error as error:
        raise DBAPIError.instance(words, None, error, sqlite3.Error) from error


def _postgresql(url: URL, lock_seconds: float) -> Engine:
    milliseconds = SERVER_SECONDS * 1000
    try:
        return create_engine(
            url.set(drivername="postgresql+psycopg"),
            poolclass=NullPool,
            hide_parameters=True,
            connect_args={
                "connect_timeout": SERVER_SECONDS,
                "tcp_user_timeout": milliseconds,
                "options": f"-c lock_timeout={int(lock_seconds * 1000)} -c statement_timeout={milliseconds}",
            },
        )
    except ModuleNotFoundError as error:
        raise StoreError(
            "PostgreSQL needs the psycopg package; run: pip install 'psycopg[binary]'"
        ) from error
