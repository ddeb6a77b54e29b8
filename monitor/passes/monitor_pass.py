"""What one pass of the monitor over one model goes in with, as values, and what comes out of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from monitor.alarm.state_update import AlarmInputs
from monitor.baselines.baseline import Comparison
from monitor.checks.window_comparison import WindowTest
from monitor.reference.profile import Reference
from monitor.settings import MonitorSettings
from monitor.shift.input_groups import Group
from store.repositories.alerts import AlertEvent, AlertRecord
from store.repositories.input_groups import GroupRecord
from store.repositories.models import ModelRecord
from store.repositories.predictions import RecordedWindow
from store.repositories.runs import RunRecord


@dataclass(frozen=True)
class Look:
    """One window of one model, and what it is compared with: None where there is nothing to compare it with.

    `at` is the instant of the look, `since` where the window begins for people, and `seed` all its randomness. `records`
    are inputs of the window as columns, where they are rows of a table or texts and were kept.
    """

    model: ModelRecord
    recorded: RecordedWindow
    comparison: Comparison | None
    at: datetime
    since: datetime
    seed: str
    records: Sequence[Mapping[str, Any]] = ()

    @property
    def reference(self) -> Reference | None:
        return None if self.comparison is None else self.comparison.reference


@dataclass(frozen=True)
class LateWindow:
    """A window that was judged in `run`, and to which predictions have come since.

    Only the latest window of a model raises alerts: an older one says nothing of the state now.
    """

    run: RunRecord
    is_latest: bool


@dataclass(frozen=True)
class MonitorPass:
    """Everything of the database that one pass over one model needs. Nothing is read after it.

    `reference_error` says why the reference or the baseline can't be read. `alarms` is None where there is nothing to
    rank among, and for a window that is judged again. `alerts` are those of the model by check, `last_run` is its latest
    run, and `judged_until` where its last window with a verdict ended when this was read. `late` is the window that is
    judged again, if it is one.
    """

    look: Look
    settings: MonitorSettings
    alert_alpha: float
    reference_error: str | None = None
    alarms: AlarmInputs | None = None
    known_groups: tuple[GroupRecord, ...] = ()
    alerts: Mapping[str, AlertRecord] = field(default_factory=dict)
    last_run: RunRecord | None = None
    judged_until: datetime | None = None
    late: LateWindow | None = None

    @property
    def raises_alerts(self) -> bool:
        return self.late is None or self.late.is_latest


@dataclass(frozen=True)
class PassResult:
    """What one pass found of one model, with all that a report of it is drawn from.

    `test` is the window's test and `groups` its groups of new inputs, whose members are indices of recorded rows; None
    and empty where no verdict was possible.
    """

    model: ModelRecord
    reference: Reference | None
    recorded: RecordedWindow
    run: RunRecord
    events: tuple[AlertEvent, ...]
    test: WindowTest | None = None
    groups: tuple[Group, ...] = ()
