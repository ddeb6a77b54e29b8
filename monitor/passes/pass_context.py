"""What every pass of one look shares: the record, the settings, the budget of false alarms, and the fence."""

from dataclasses import dataclass

from monitor.alarm.budget import Budget
from monitor.settings import MonitorSettings
from store.repositories.jobs import Fence, no_fence
from store.store import Store


@dataclass(frozen=True)
class PassContext:
    """One look at one record.

    `fence` is called first in every transaction that writes; it raises where another monitor has taken over.
    """

    store: Store
    settings: MonitorSettings
    budget: Budget
    fence: Fence = no_fence
