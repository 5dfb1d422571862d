"""Bring a database to the schema that this version of the code works on, and refuse one that is newer.

The migrations are Alembic's, in the package beside this file; a user needs no alembic.ini. An upgrade is one
transaction: it is done wholly or not at all, and two processes that start together do it once.
"""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from ringfence.store.connect import engine_for, translated
from ringfence.store.errors import SchemaError

UPGRADE_LOCK_SECONDS = 30.0
"""How long an upgrade waits for other processes: one of them may be upgrading a large database."""

POSTGRESQL_LOCK = 0x52494E47
"""The number of the advisory lock that upgrades take."""


def upgrade(url: str) -> None:
    """Create what is missing in the database, or nothing. Call it before the event loop runs, or in a thread.

    Raises:
        SchemaError: The database has been written by a newer version.
        StoreError: The database can't be reached or changed.
    """
    engine = engine_for(url, lock_seconds=UPGRADE_LOCK_SECONDS)
    try:
        with translated("upgrade the database"), engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SET LOCAL statement_timeout = 0"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": POSTGRESQL_LOCK})
            _refuse_newer(connection)
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def current(url: str) -> str | None:
    """The schema revision of the database, None when it is empty. Raises `StoreError` if it can't be read."""
    engine = engine_for(url)
    try:
        with translated("read the database's schema"), engine.begin() as connection:
            return _revision_of(connection)
    finally:
        engine.dispose()


def head() -> str:
    """The schema revision that this version of the code works on."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    assert newest is not None
    return newest


def require_head(connection: Connection) -> None:
    """Refuse to work on any schema but `head`.

    Raises:
        SchemaError: The schema is older, newer, or not there; the text says which.
    """
    _refuse_newer(connection)
    found = _revision_of(connection)
    if found != head():
        was = "has no tables yet" if found is None else f"has the older schema {found}"
        raise SchemaError(f"the database {was}; upgrade it to {head()} first")


def _refuse_newer(connection: Connection) -> None:
    found = _revision_of(connection)
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise SchemaError(
            f"the database has the schema {found}, and this version knows only up to {head()}: "
            "it was written by a newer Ringfence; install that one, or restore a backup"
        )


def _revision_of(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "ringfence.store:migrations")
    config.set_main_option("path_separator", "os")
    return config
