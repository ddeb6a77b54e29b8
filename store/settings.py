"""Where the record is kept."""

from pydantic import BaseModel, Field


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
