"""The monitor that looks: which record it reads and writes, and under which settings and budget."""

from dataclasses import dataclass

from monitor.alarm.budget import Budget
from monitor.settings import MonitorSettings
from store.repositories.jobs import Fence, no_fence
from store.store import Store


@dataclass(frozen=True)
class Watcher:
    """A monitor at work on one record.

    `fence` is called first in every transaction that writes; it raises where another monitor has taken over.
    """

    store: Store
    settings: MonitorSettings
    budget: Budget
    fence: Fence = no_fence
