"""Run by alembic, through `store.migrate`, which hands over an open connection in a transaction of its own."""

from alembic import context

from store.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
