"""Settings of the record: where it is kept, and for how long."""

from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, Field, field_validator


class OnFull(StrEnum):
    """What happens to a prediction for which there is no room."""

    REFUSE = "refuse"
    SERVE = "serve"


class RetentionDays(BaseModel):
    """How many days one model's records are kept."""

    inputs_days: float = Field(gt=0)
    embeddings_days: float = Field(gt=0)
    predictions_days: float = Field(gt=0)
    tallies_days: float = Field(gt=0)


class StoreSettings(BaseModel):
    """Settings of the record."""

    database: str = Field(
        "sqlite:///tidegate.db",
        description="SQLAlchemy URL of the database: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME",
    )
    busy_timeout_seconds: float = Field(10.0, gt=0, description="how long a writer waits for another one on SQLite")
    keep_inputs_days: float = Field(30.0, gt=0, description="days that raw inputs (images, rows) are kept")
    keep_embeddings_days: float = Field(90.0, gt=0, description="days that embeddings and sums of them are kept")
    keep_predictions_days: float = Field(400.0, gt=0, description="days that predictions and their scores are kept")
    keep_tallies_days: float = Field(1_830.0, gt=0, description="days that counts by the hour and day are kept")
    keep: dict[str, dict[str, float]] = Field(
        default_factory=dict,
        description='other ages for single models, by name: {"digits": {"inputs_days": 7}}',
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

    @field_validator("keep")
    @classmethod
    def _ages(cls, keep: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        for name, ages in keep.items():
            for age, days in ages.items():
                if age not in RetentionDays.model_fields or days <= 0:
                    raise ValueError(
                        f"{name}.{age} = {days:g} is no age: write days above 0 for {', '.join(RetentionDays.model_fields)}"
                    )
        return keep

    @property
    def spool_file(self) -> Path:
        """The file of the spool."""
        return Path(self.spool) / "predictions.db"

    def retention_of(self, model_name: str) -> RetentionDays:
        """How many days a model's records are kept: as `keep` says for it, else as for the whole installation."""
        defaults = {age: getattr(self, f"keep_{age}") for age in RetentionDays.model_fields}
        return RetentionDays(**defaults | self.keep.get(model_name, {}))
