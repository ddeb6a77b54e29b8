"""Run by alembic, through `store.migrate`, which hands over an open connection in a transaction of its own."""

from alembic import context

from store.migrate import ours
from store.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata, include_name=ours)
context.run_migrations()
