"""Alembic runs this file. `store.database.migrate` passes it an open connection in a transaction."""

from alembic import context

from store.database.migrate import is_described
from store.database.tables import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, include_name=is_described
)
context.run_migrations()
