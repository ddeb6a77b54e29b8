"""One budget of false alarms for the whole installation, shared by all models and checks.

An operator says how often a false alarm may come, all told: by default at most one in 30 days. Half of it goes to the
sequential alarms, half to the window tests. A model's share does not depend on its traffic, so that a quiet model is
not drowned by a busy one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from monitor.settings import MonitorSettings
from store.repositories.models import ModelRecord

# Below this a permutation test would need more draws than a look has time for.
SMALLEST_ALPHA = 1e-4
SHORTEST_PROMISE = 1_000.0


@dataclass(frozen=True)
class Budget:
    """How many false alarms an installation may raise, and how that is shared.

    `days` is the time to one false alarm on average, `models` how many share it, `looks_per_day` how often each model's
    window is tested.
    """

    days: float
    models: int
    looks_per_day: float

    def promise(self, predictions_per_day: float) -> float:
        """N of a model's sequential alarms: as many predictions as its half of the budget's time brings."""
        return max(2 * self.models * self.days * predictions_per_day, SHORTEST_PROMISE)

    @property
    def alpha(self) -> float:
        """The level at which a window test raises an alert.

        The expected number of false alerts in `days` is at most a half, however the windows depend on each other.
        """
        looks = max(self.looks_per_day * self.days * self.models, 1.0)
        return min(0.5, max(0.5 / looks, SMALLEST_ALPHA))

    @property
    def kept(self) -> bool:
        """Whether the budget is kept although no window is tested at a level below `SMALLEST_ALPHA`."""
        return 0.5 / max(self.looks_per_day * self.days * self.models, 1.0) >= SMALLEST_ALPHA

    @property
    def sentence(self) -> str:
        """In plain words."""
        shared = "the one model" if self.models == 1 else f"{self.models} models"
        return (
            f"At most one false alarm in {self.days:g} days, all told: half of it for the sequential alarms of {shared}, "
            f"half for {self.looks_per_day * self.models:,.0f} window tests a day, which alert at p ≤ {self.alpha:.2g}."
        )


def installation_budget(models: Iterable[ModelRecord], settings: MonitorSettings) -> Budget:
    """The budget that the settings ask for, shared by those of these models that are watched: that have a reference."""
    watched_models = sum(model.reference_sha256 is not None for model in models)
    return budget_of(settings.false_alarm_every_days, watched_models, settings.looks_per_day)


def budget_of(days: float, models: int, looks_per_day: float) -> Budget:
    """The installation's budget. One without models yet counts as having one, so that its numbers are defined."""
    return Budget(days, max(models, 1), looks_per_day)
