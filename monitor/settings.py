"""Settings of the monitor: what it looks at, how often, and how large a difference has to be to matter."""

from pydantic import BaseModel, Field


class MaterialEffects(BaseModel):
    """Effects smaller than these are shown in the report but raise no alert, however significant they are."""

    flagged_excess: float = Field(0.01, ge=0, le=1, description="share of flagged inputs above the calibrated rate")
    separability: float = Field(
        0.55, ge=0.5, le=1, description="how well one direction separates window from training (AUC, 0.5 = not at all)"
    )
    class_mix_change: float = Field(0.05, ge=0, le=1, description="share of predictions that moved to other classes")
    confidence_distance: float = Field(
        0.10, ge=0, le=1, description="largest gap between the two distributions of confidence"
    )
    number_distance: float = Field(
        0.10, ge=0, le=1, description="largest gap between the two distributions of a predicted number"
    )
    accuracy_loss: float = Field(0.05, ge=0, le=1, description="estimated loss of accuracy of a shifted window")


class MonitorSettings(BaseModel):
    """Settings of the scheduled monitor."""

    every_minutes: float = Field(60.0, gt=0, description="how often the monitor looks; `cron` goes before it")
    cron: str | None = Field(None, description='a crontab line in UTC, such as "0 6 * * *"')
    lease_seconds: float = Field(
        30.0, gt=0, description="a monitor that says nothing for so long has lost what it was doing to another one"
    )
    silent_seconds: float = Field(60.0, gt=0, description="people are told when no monitor has been seen for so long")
    alpha: float = Field(
        0.01,
        ge=2e-4,
        lt=0.5,
        description="share of shift-free windows that a report may call shifted; alerts cost more",
    )
    false_alarm_every_days: float = Field(
        30.0,
        gt=0,
        description="the installation's budget: at most one false alert in so many days, all models together",
    )
    minimum_rows: int = Field(100, ge=2, description="a window with fewer predictions gets no verdict yet and grows")
    last: int | None = Field(
        None, ge=2, description="look at the last N predictions each time, in place of all since the last verdict"
    )
    maximum_rows: int = Field(10_000, ge=100, description="larger windows are sampled uniformly down to this")
    columns_report: bool = Field(True, description="write Evidently's page on the recorded columns beside each report")
    matters: MaterialEffects = Field(default_factory=MaterialEffects)
    destinations: list[str] = Field(
        default_factory=lambda: ["log"],
        description='where alerts go: "log", or the address of a webhook, http(s)://…',
    )
    public_url: str | None = Field(
        None,
        description="where people open the pages; alerts link to their report there; by default the gateway that runs",
    )

    @property
    def looks_per_day(self) -> float:
        """How often a model is looked at in a day; a crontab line is not evaluated and counts as hourly."""
        return 24.0 if self.cron is not None else 24 * 60 / self.every_minutes
