"""Where the record is kept."""

from enum import StrEnum

from pydantic import BaseModel, Field


class OnFull(StrEnum):
    """What becomes of a prediction for which there is no room."""

    REFUSE = "refuse"
    SERVE = "serve"


class StoreSettings(BaseModel):
    """Settings of the record."""

    database: str = Field(
        "sqlite:///tidegate.db",
        description="SQLAlchemy URL of the database: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME",
    )
    busy_timeout_seconds: float = Field(10.0, gt=0, description="how long a writer waits for another one on SQLite")
    keep_inputs_days: float = Field(
        30.0, gt=0, description="raw inputs (images, rows) older than this are deleted by the monitor"
    )
    record_seconds: float = Field(
        2.0, gt=0, description="how long a commit to PostgreSQL may take before the spool is used in its place"
    )
    spool: str = Field(
        "tidegate-spool", description="folder on a local disk for predictions that wait while PostgreSQL is away"
    )
    spool_bytes: int = Field(
        2 * 1024**3, ge=1024**2, description="bound of the spool; past it predictions are refused as on a full disk"
    )
    on_full: OnFull = Field(
        OnFull.REFUSE,
        description='without room to record: "refuse" predictions with 503, or "serve" them unrecorded and count them',
    )
