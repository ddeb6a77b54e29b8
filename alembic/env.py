"""Run by alembic, through `store.database.migrate`, which hands over an open connection in a transaction of its own."""

from alembic import context

from store.database.migrate import ours
from store.database.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata, include_name=ours)
context.run_migrations()
