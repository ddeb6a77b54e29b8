"""The tables of the record. A change here needs a migration in `alembic/versions`; a test compares the two."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import JSON, Float, ForeignKey, Index, LargeBinary, MetaData, String, Text, UniqueConstraint, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from store.database.column_types import Json, Sha256, UtcDateTime


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        Json: JSON(none_as_null=True),
        list[str]: JSON,
        UUID: Uuid,
        bytes: LargeBinary,
        float: Float(53),
    }


class ReferenceRow(Base):
    """The file of a reference profile, so that a monitor on another machine needs nothing but the database."""

    __tablename__ = "references"

    sha256: Mapped[str] = mapped_column(Sha256, primary_key=True)
    content: Mapped[bytes]
    created_at: Mapped[datetime]


class ModelRow(Base):
    """A learner version, known by the SHA-256 of its file."""

    __tablename__ = "models"

    sha256: Mapped[str] = mapped_column(Sha256, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    application: Mapped[str] = mapped_column(String(20))
    task: Mapped[str] = mapped_column(String(20))
    classes: Mapped[list[str]]
    reference_sha256: Mapped[str | None] = mapped_column(ForeignKey("references.sha256"))
    registered_at: Mapped[datetime]
    # Up to here embeddings have been forgotten; the predictions themselves are kept for longer.
    embeddings_forgotten_until: Mapped[datetime | None]


class PredictionRow(Base):
    """One prediction that was answered."""

    __tablename__ = "predictions"
    # Partitioned by id, which begins with its time: see `store/database/partitions.py`.
    __table_args__ = (
        Index("ix_predictions_model_at", "model_sha256", "at"),
        {"postgresql_partition_by": "RANGE (id)"},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    model_sha256: Mapped[str] = mapped_column(ForeignKey("models.sha256"))
    at: Mapped[datetime]
    prediction: Mapped[str] = mapped_column(Text)
    class_index: Mapped[int | None]
    confidence: Mapped[float | None]
    ood_score: Mapped[float | None]
    ood_p_value: Mapped[float | None]
    flagged: Mapped[bool | None]
    latency_seconds: Mapped[float]
    tags: Mapped[Json | None]
    # Of a shadow: the prediction of the version that answered. No foreign key: either may be forgotten first.
    mirrors_id: Mapped[UUID | None]
    embedding: Mapped[bytes]
    logits: Mapped[bytes]


class IdempotencyKeyRow(Base):
    """A caller's key: the ids its inputs got, so that the same request sent again is recorded once."""

    __tablename__ = "idempotency_keys"

    key_sha256: Mapped[str] = mapped_column(Sha256, primary_key=True)
    body_sha256: Mapped[str] = mapped_column(Sha256)
    model_sha256: Mapped[str] = mapped_column(Sha256)
    ids: Mapped[list[str]]
    at: Mapped[datetime] = mapped_column(index=True)


class InputRow(Base):
    """A raw input as it was sent. It has no foreign key to its prediction, so that it can be deleted earlier."""

    __tablename__ = "inputs"
    __table_args__ = ({"postgresql_partition_by": "RANGE (prediction_id)"},)

    prediction_id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    media_type: Mapped[str] = mapped_column(String(100))
    content: Mapped[bytes]


class CounterRow(Base):
    """Counts of the predictions of one time bucket, written with them: by minute and process, later by hour and day."""

    __tablename__ = "tallies"

    model_sha256: Mapped[str] = mapped_column(ForeignKey("models.sha256"), primary_key=True)
    seconds: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    start: Mapped[datetime] = mapped_column(primary_key=True)
    writer: Mapped[UUID] = mapped_column(primary_key=True)
    count: Mapped[int]
    scored: Mapped[int]
    flagged: Mapped[int]
    confident: Mapped[int]
    confidence_sum: Mapped[float]


class LateArrivalRow(Base):
    """How many predictions of one minute were recorded late, so that a window that was judged without them is judged
    again."""

    __tablename__ = "late_minutes"

    model_sha256: Mapped[str] = mapped_column(ForeignKey("models.sha256"), primary_key=True)
    minute: Mapped[datetime] = mapped_column(primary_key=True)
    count: Mapped[int]


class RunRow(Base):
    """One pass of the monitor over one window of one model."""

    __tablename__ = "runs"
    __table_args__ = (Index("ix_runs_model_until", "model_sha256", "until"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    model_sha256: Mapped[str] = mapped_column(ForeignKey("models.sha256"))
    reference_sha256: Mapped[str | None] = mapped_column(Sha256)
    at: Mapped[datetime]
    since: Mapped[datetime]
    until: Mapped[datetime]
    count: Mapped[int]
    flagged: Mapped[int]
    verdict: Mapped[str] = mapped_column(String(20))
    sentence: Mapped[str] = mapped_column(Text)
    seed: Mapped[str] = mapped_column(Text)
    compared_with: Mapped[str | None] = mapped_column(Text)
    cause: Mapped[str | None] = mapped_column(String(40))
    accuracy_loss: Mapped[float | None]
    # The run that judged the same window again, with predictions that had come late.
    replaced_by: Mapped[UUID | None]


class JobRunRow(Base):
    """One due time of one job, and who does it; `store/repositories/jobs.py` states the invariants."""

    __tablename__ = "job_runs"

    job: Mapped[str] = mapped_column(String(40), primary_key=True)
    due_at: Mapped[datetime] = mapped_column(primary_key=True)
    holder: Mapped[str] = mapped_column(Text)
    token: Mapped[int]
    lease_until: Mapped[datetime]
    done_at: Mapped[datetime | None]


class ProcessRow(Base):
    """A gateway or monitor process, as it reported itself last."""

    __tablename__ = "processes"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    host: Mapped[str] = mapped_column(Text)
    pid: Mapped[int]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    state: Mapped[Json]


class SystemAlertRow(Base):
    """An alert about the installation itself: it belongs to no model and no window."""

    __tablename__ = "notices"

    subject: Mapped[str] = mapped_column(String(40), primary_key=True)
    message_id: Mapped[UUID]
    state: Mapped[str] = mapped_column(String(20))
    since: Mapped[datetime]
    sentence: Mapped[str] = mapped_column(Text)
    # Destinations that have not received the message yet; `due_at` is when to try them again.
    owed: Mapped[list[str]]
    attempts: Mapped[int]
    due_at: Mapped[datetime]


class CheckResultRow(Base):
    """What one check found in one window."""

    __tablename__ = "check_results"

    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    check: Mapped[str] = mapped_column(String(40), primary_key=True)
    verdict: Mapped[str] = mapped_column(String(20))
    sentence: Mapped[str] = mapped_column(Text)
    statistic: Mapped[float | None]
    p_value: Mapped[float | None]
    effect: Mapped[float | None]
    effect_name: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[Json]


class AlertRow(Base):
    """The alert of one check on one model. There is at most one; its state changes."""

    __tablename__ = "alerts"
    __table_args__ = (UniqueConstraint("model_sha256", "check"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    model_sha256: Mapped[str] = mapped_column(ForeignKey("models.sha256"))
    check: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(20), index=True)
    since: Mapped[datetime]
    last_seen: Mapped[datetime]
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id"))
    sentence: Mapped[str] = mapped_column(Text)


class AlertEventRow(Base):
    """A change of state of an alert, and the run that is its evidence."""

    __tablename__ = "alert_events"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    alert_id: Mapped[UUID] = mapped_column(ForeignKey("alerts.id"), index=True)
    at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(20))
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id"), index=True)
    sentence: Mapped[str] = mapped_column(Text)


class DeliveryRow(Base):
    """A message owed to a destination, written in the transaction that changed the alert (an outbox)."""

    __tablename__ = "deliveries"
    __table_args__ = (Index("ix_deliveries_state_due_at", "state", "due_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    event_id: Mapped[UUID] = mapped_column(ForeignKey("alert_events.id"))
    destination: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(20))
    attempts: Mapped[int]
    due_at: Mapped[datetime]
    last_error: Mapped[str | None] = mapped_column(Text)


class BaselineRow(Base):
    """A window of production that a person accepted as healthy; windows and alarms are compared with the active one."""

    __tablename__ = "baselines"
    __table_args__ = (UniqueConstraint("model_sha256", "name", "version"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    model_sha256: Mapped[str] = mapped_column(ForeignKey("models.sha256"), index=True)
    name: Mapped[str] = mapped_column(Text)
    version: Mapped[int]
    pinned_at: Mapped[datetime]
    active: Mapped[bool]
    since: Mapped[datetime]
    until: Mapped[datetime]
    count: Mapped[int]
    sha256: Mapped[str] = mapped_column(Sha256)
    content: Mapped[bytes]
    certificate: Mapped[Json]


class AlarmRow(Base):
    """The state of one sequential alarm: one stream of numbers of one model."""

    __tablename__ = "alarms"

    model_sha256: Mapped[str] = mapped_column(ForeignKey("models.sha256"), primary_key=True)
    stream: Mapped[str] = mapped_column(String(40), primary_key=True)
    ranked_among: Mapped[str] = mapped_column(Sha256)
    state: Mapped[str] = mapped_column(Text)
    judged_until: Mapped[datetime]


class RollupRow(Base):
    """Sums and sketches of the predictions of one time bucket, slice and process; see `store/rollups/rollups.py`."""

    __tablename__ = "rollups"
    __table_args__ = (Index("ix_rollups_model_slice_start", "model_sha256", "slice", "start"),)

    model_sha256: Mapped[str] = mapped_column(ForeignKey("models.sha256"), primary_key=True)
    seconds: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    start: Mapped[datetime] = mapped_column(primary_key=True)
    slice: Mapped[str] = mapped_column(String(200), primary_key=True)
    features_sha256: Mapped[str] = mapped_column(Sha256, primary_key=True)
    writer: Mapped[UUID] = mapped_column(primary_key=True)
    count: Mapped[int]
    scored: Mapped[int]
    flagged: Mapped[int]
    confident: Mapped[int]
    confidence_sum: Mapped[float]
    scores: Mapped[bytes]
    confidences: Mapped[bytes]
    features: Mapped[bytes]


class MinuteRow(Base):
    """Sums by the minute that gateways from before migration 0007 write; these may run beside newer ones until they are
    restarted. Nothing reads the table any more, and the release after the next drops it."""

    __tablename__ = "minutes"

    model_sha256: Mapped[str] = mapped_column(ForeignKey("models.sha256"), primary_key=True)
    minute: Mapped[datetime] = mapped_column(primary_key=True)
    writer: Mapped[UUID] = mapped_column(primary_key=True)
    features_sha256: Mapped[str] = mapped_column(Sha256, primary_key=True)
    count: Mapped[int]
    flagged: Mapped[int]
    sums: Mapped[bytes]


class EvidenceRow(Base):
    """What a run that raised an alert was computed from, so that it can be replayed with the same numbers."""

    __tablename__ = "evidence"

    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    document: Mapped[bytes]


class GroupRow(Base):
    """A group of new inputs that look alike, matched from window to window."""

    __tablename__ = "novel_groups"
    __table_args__ = (UniqueConstraint("model_sha256", "number"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    model_sha256: Mapped[str] = mapped_column(ForeignKey("models.sha256"))
    number: Mapped[int]
    centre: Mapped[bytes]
    radius: Mapped[float]
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime]
    count: Mapped[int]


class ReportRow(Base):
    """A drift report: the document that its page is drawn from, and Evidently's page, both compressed."""

    __tablename__ = "reports"

    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    at: Mapped[datetime]
    document: Mapped[bytes]
    columns_page: Mapped[bytes | None]
