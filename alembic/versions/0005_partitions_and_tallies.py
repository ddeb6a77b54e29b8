"""Partitions by day on PostgreSQL, counts by the minute, and counts of predictions that were recorded late.

Rows that a PostgreSQL holds already are not copied: their table becomes the oldest partition.
"""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

from store.database import partitions

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NOBODY = "00000000000000000000000000000000"


def upgrade() -> None:
    op.create_table(
        "tallies",
        sa.Column("model_sha256", sa.String(length=64), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("writer", sa.Uuid(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("scored", sa.Integer(), nullable=False),
        sa.Column("flagged", sa.Integer(), nullable=False),
        sa.Column("confident", sa.Integer(), nullable=False),
        sa.Column("confidence_sum", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(["model_sha256"], ["models.sha256"], name="fk_tallies_model_sha256_models"),
        sa.PrimaryKeyConstraint("model_sha256", "seconds", "start", "writer", name="pk_tallies"),
    )
    op.create_table(
        "late_minutes",
        sa.Column("model_sha256", sa.String(length=64), nullable=False),
        sa.Column("minute", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["model_sha256"], ["models.sha256"], name="fk_late_minutes_model_sha256_models"),
        sa.PrimaryKeyConstraint("model_sha256", "minute", name="pk_late_minutes"),
    )
    op.add_column("runs", sa.Column("replaced_by", sa.Uuid(), nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table("inputs") as inputs:
            inputs.drop_constraint("fk_inputs_prediction_id_predictions", type_="foreignkey")
        minute = "substr(at, 1, 16) || '\\:00.000000'"
    else:
        _partition()
        minute = "date_trunc('minute', at)"
    op.execute(
        f"""
        INSERT INTO tallies
        (model_sha256, seconds, start, writer, count, scored, flagged, confident, confidence_sum)
        SELECT model_sha256, 60, {minute}, '{_NOBODY}', count(*), count(flagged),
        count(CASE WHEN flagged THEN 1 END), count(confidence), coalesce(sum(confidence), 0)
        FROM predictions GROUP BY 1, 3
        """
    )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table("inputs") as inputs:
            inputs.create_foreign_key(
                "fk_inputs_prediction_id_predictions", "predictions", ["prediction_id"], ["id"], ondelete="CASCADE"
            )
    else:
        _join()
    op.drop_column("runs", "replaced_by")
    op.drop_table("late_minutes")
    op.drop_table("tallies")


def _partition() -> None:
    connection = op.get_bind()
    now = datetime.now(UTC)
    # Rows of gateways of the old version that still run go to the oldest partition until tomorrow begins.
    tomorrow = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
    # Locked before the table is read, so that no gateway writes between reading it and changing it.
    op.execute("LOCK TABLE predictions, inputs IN ACCESS EXCLUSIVE MODE")
    op.drop_constraint("fk_inputs_prediction_id_predictions", "inputs", type_="foreignkey")
    for table, key in partitions.TABLES.items():
        filled = connection.scalar(sa.text(f"SELECT EXISTS (SELECT 1 FROM {table})"))
        op.execute(f"ALTER TABLE {table} RENAME TO {table}_before")
        op.execute(f"ALTER TABLE {table}_before RENAME CONSTRAINT pk_{table} TO pk_{table}_before")
        indexes = {"predictions": "ix_predictions_model_at", "inputs": "ix_inputs_at"}
        op.execute(f"ALTER INDEX {indexes[table]} RENAME TO {indexes[table]}_before")
        op.execute(
            f"CREATE TABLE {table} (LIKE {table}_before INCLUDING DEFAULTS, "
            f"CONSTRAINT pk_{table} PRIMARY KEY ({key})) PARTITION BY RANGE ({key})"
        )
        columns = {"predictions": "model_sha256, at", "inputs": "at"}
        op.execute(f"CREATE INDEX {indexes[table]} ON {table} ({columns[table]})")
        if table == "predictions":
            op.execute("ALTER TABLE predictions_before DROP CONSTRAINT fk_predictions_model_sha256_models")
            op.create_foreign_key(
                "fk_predictions_model_sha256_models", "predictions", "models", ["model_sha256"], ["sha256"]
            )
        op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
        if filled:
            highest = connection.scalar(sa.text(f"SELECT {key} FROM {table}_before ORDER BY 1 DESC LIMIT 1"))
            bound = max(partitions.first_id(tomorrow), highest)
            if bound == highest:
                # Ids that lie in the future: ingested ones, or of a clock that ran ahead.
                bound = type(bound)(int=((bound.int >> 80) + 86_400_000) << 80)
            op.execute(f"ALTER TABLE {table} ATTACH PARTITION {table}_before FOR VALUES FROM (MINVALUE) TO ('{bound}')")
        else:
            op.execute(f"DROP TABLE {table}_before")
    partitions.make_ahead(connection, now)


def _join() -> None:
    connection = op.get_bind()
    for table, key in partitions.TABLES.items():
        columns = {"predictions": "model_sha256, at", "inputs": "at"}
        indexes = {"predictions": "ix_predictions_model_at", "inputs": "ix_inputs_at"}
        op.execute(f"ALTER TABLE {table} RENAME TO {table}_parts")
        op.execute(f"CREATE TABLE {table} (LIKE {table}_parts INCLUDING DEFAULTS)")
        op.execute(f"INSERT INTO {table} SELECT * FROM {table}_parts")
        op.execute(f"DROP TABLE {table}_parts CASCADE")
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT pk_{table} PRIMARY KEY ({key})")
        op.execute(f"CREATE INDEX {indexes[table]} ON {table} ({columns[table]})")
    op.create_foreign_key("fk_predictions_model_sha256_models", "predictions", "models", ["model_sha256"], ["sha256"])
    # Inputs whose prediction was deleted have none that a foreign key could refer to.
    connection.execute(sa.text("DELETE FROM inputs WHERE prediction_id NOT IN (SELECT id FROM predictions)"))
    op.create_foreign_key(
        "fk_inputs_prediction_id_predictions",
        "inputs",
        "predictions",
        ["prediction_id"],
        ["id"],
        ondelete="CASCADE",
    )
