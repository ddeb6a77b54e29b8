"""Baselines, alarms, sums by the minute, evidence, groups of new inputs, and what a run was compared with."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Added columns are nullable, so that a gateway of the version before can go on writing.
    op.add_column("runs", sa.Column("compared_with", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("cause", sa.String(length=40), nullable=True))
    op.add_column("runs", sa.Column("accuracy_loss", sa.Float(precision=53), nullable=True))
    op.create_table(
        "baselines",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("model_sha256", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("pinned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("certificate", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["model_sha256"], ["models.sha256"], name="fk_baselines_model_sha256_models"),
        sa.PrimaryKeyConstraint("id", name="pk_baselines"),
        sa.UniqueConstraint("model_sha256", "name", "version", name="uq_baselines_model_sha256"),
    )
    op.create_index("ix_baselines_model_sha256", "baselines", ["model_sha256"], unique=False)
    op.create_table(
        "alarms",
        sa.Column("model_sha256", sa.String(length=64), nullable=False),
        sa.Column("stream", sa.String(length=40), nullable=False),
        sa.Column("ranked_among", sa.String(length=64), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("judged_until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["model_sha256"], ["models.sha256"], name="fk_alarms_model_sha256_models"),
        sa.PrimaryKeyConstraint("model_sha256", "stream", name="pk_alarms"),
    )
    op.create_table(
        "minutes",
        sa.Column("model_sha256", sa.String(length=64), nullable=False),
        sa.Column("minute", sa.DateTime(timezone=True), nullable=False),
        sa.Column("writer", sa.Uuid(), nullable=False),
        sa.Column("features_sha256", sa.String(length=64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("flagged", sa.Integer(), nullable=False),
        sa.Column("sums", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["model_sha256"], ["models.sha256"], name="fk_minutes_model_sha256_models"),
        sa.PrimaryKeyConstraint("model_sha256", "minute", "writer", "features_sha256", name="pk_minutes"),
    )
    op.create_table(
        "evidence",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_evidence_run_id_runs", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", name="pk_evidence"),
    )
    op.create_table(
        "novel_groups",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("model_sha256", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("centre", sa.LargeBinary(), nullable=False),
        sa.Column("radius", sa.Float(precision=53), nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["model_sha256"], ["models.sha256"], name="fk_novel_groups_model_sha256_models"),
        sa.PrimaryKeyConstraint("id", name="pk_novel_groups"),
        sa.UniqueConstraint("model_sha256", "number", name="uq_novel_groups_model_sha256"),
    )


def downgrade() -> None:
    for table in ("novel_groups", "evidence", "minutes", "alarms"):
        op.drop_table(table)
    op.drop_index("ix_baselines_model_sha256", table_name="baselines")
    op.drop_table("baselines")
    for column in ("accuracy_loss", "cause", "compared_with"):
        op.drop_column("runs", column)
