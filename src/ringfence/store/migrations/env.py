"""Run by Alembic for each command: migrate over the connection that the caller has opened."""

from alembic import context

from ringfence.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite's DDL is, once the driver's own transactions are off (see `connect`)
    render_as_batch=True,  # SQLite alters a table by copying it
)
context.run_migrations()
