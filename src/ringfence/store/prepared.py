"""Statements of the frequent transactions, compiled by SQLAlchemy once and given to the driver's cursor.

What SQLAlchemy's own way of executing does for each statement costs more CPU time than the database takes for a change
of one binding. The text is still SQLAlchemy's, for whichever database it is. Columns have to be of types that the
driver takes as they are: text, numbers and octets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache
from typing import Any

from sqlalchemy import ClauseElement, Connection, Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler


def fetch(connection: Connection, statement: ClauseElement, values: Mapping[str, object]) -> Any:
    """The first row of what a statement gives, or None. ``values`` are by the names of its parameters."""
    sql, names = _compiled(statement, connection.dialect)
    with driver_cursor(connection) as cursor:
        cursor.execute(sql, values if names is None else tuple(values[name] for name in names))
        rows = cursor.fetchall()
    return rows[0] if rows else None


def execute_many(
    connection: Connection, statement: ClauseElement, rows: Sequence[Mapping[str, object]]
) -> None:
    """Execute a statement for each row, by the names of its parameters."""
    sql, names = _compiled(statement, connection.dialect)
    with driver_cursor(connection) as cursor:
        cursor.executemany(
            sql, rows if names is None else [tuple(row[name] for name in names) for row in rows]
        )


@contextmanager
def driver_cursor(connection: Connection) -> Iterator[Any]:
    """The driver's cursor; what it raises is raised as SQLAlchemy does, so that a lost connection is known for one."""
    driver = connection.dialect.loaded_dbapi
    try:
        with closing(connection.connection.cursor()) as cursor:
            yield cursor
    except driver.Error as error:
        raise DBAPIError.instance(None, None, error, driver.Error, hide_parameters=True) from error


@cache
def _compiled(statement: ClauseElement, dialect: Dialect) -> tuple[str, tuple[str, ...] | None]:
    """The text, and the names of its parameters in order when the driver wants them by place."""
    compiled = statement.compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)
    return str(compiled), tuple(compiled.positiontup or ()) if compiled.positional else None
