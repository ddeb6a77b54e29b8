"""Rollups: sums and quantile sketches of predictions by time bucket and slice.

The table of sums by the minute stays for gateways that have not been restarted yet; the monitor makes rollups of its
predictions from the record.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rollups",
        sa.Column("model_sha256", sa.String(length=64), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("slice", sa.String(length=200), nullable=False),
        sa.Column("features_sha256", sa.String(length=64), nullable=False),
        sa.Column("writer", sa.Uuid(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("scored", sa.Integer(), nullable=False),
        sa.Column("flagged", sa.Integer(), nullable=False),
        sa.Column("confident", sa.Integer(), nullable=False),
        sa.Column("confidence_sum", sa.Float(precision=53), nullable=False),
        sa.Column("scores", sa.LargeBinary(), nullable=False),
        sa.Column("confidences", sa.LargeBinary(), nullable=False),
        sa.Column("features", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["model_sha256"], ["models.sha256"], name="fk_rollups_model_sha256_models"),
        sa.PrimaryKeyConstraint(
            "model_sha256", "seconds", "start", "slice", "features_sha256", "writer", name="pk_rollups"
        ),
    )
    op.create_index("ix_rollups_model_slice_start", "rollups", ["model_sha256", "slice", "start"])


def downgrade() -> None:
    op.drop_table("rollups")
