"""The prediction of the live version that a shadow's prediction repeats."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nullable, so that a gateway of the version before can go on writing.
    op.add_column("predictions", sa.Column("mirrors_id", sa.Uuid(), nullable=True))


def downgrade() -> None:
    op.drop_column("predictions", "mirrors_id")
