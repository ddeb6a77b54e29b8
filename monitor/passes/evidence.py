"""Evidence: what a run that raised an alert was made from, so that the same numbers come out again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any, Self
from uuid import UUID

from monitor.alarm.state_update import AlarmAdvance
from monitor.passes.monitor_pass import MonitorPass
from monitor.settings import MonitorSettings
from store.repositories.alarms import AlarmRecord
from store.repositories.runs import RunRecord

# They change no number, and an address may hold a secret.
_SETTINGS_LEFT_OUT = {"destinations", "public_url"}


@dataclass(frozen=True)
class FrozenAlarm:
    """The state in which an alarm began the look: as JSON, the hash of the rows it ranks among, and what it had judged."""

    state: str
    ranked_among: str
    judged_until: datetime

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"state": self.state, "ranked_among": self.ranked_among, "until": self.judged_until.isoformat()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` wrote."""
        return cls(document["state"], document["ranked_among"], datetime.fromisoformat(document["until"]))


@dataclass(frozen=True)
class FrozenAlarms:
    """What the sequential alarms went on from: their states by stream, and the hash of the rows they rank among."""

    promise: float
    states: Mapping[str, FrozenAlarm]
    ranked_among: str

    @classmethod
    def of_advance(cls, advance: AlarmAdvance) -> Self:
        """What this look of the alarms went on from."""
        return cls(
            promise=advance.promise,
            states={
                name: FrozenAlarm(record.state, record.ranked_among, record.judged_until)
                for name, record in advance.states_before.items()
            },
            ranked_among=advance.states_after[0].ranked_among if advance.states_after else "",
        )

    def records(self, model_sha256: str) -> dict[str, AlarmRecord]:
        """The states as they were kept for this model."""
        return {
            name: AlarmRecord(model_sha256, name, alarm.ranked_among, alarm.state, alarm.judged_until)
            for name, alarm in self.states.items()
        }

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "promise": self.promise,
            "before": {name: alarm.to_json() for name, alarm in self.states.items()},
            "ranked_among": self.ranked_among,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` wrote."""
        states = {name: FrozenAlarm.from_json(state) for name, state in document["before"].items()}
        return cls(document["promise"], states, document["ranked_among"])


@dataclass(frozen=True)
class Evidence:
    """All that the numbers of one run follow from, except the predictions and the reference, which are named only.

    `tidegate` is the version that judged. `baseline_id` and `baseline_sha256` are None where the window was compared with
    training. `ids` are the rows that were compared, of which there were `total` before sampling, `flagged_total` of them
    flagged and `scored_total` scored. `alarms` is None where none were watched.
    """

    tidegate: str
    seed: str
    reference_sha256: str | None
    baseline_id: UUID | None
    baseline_sha256: str | None
    settings: MonitorSettings
    alert_alpha: float
    since: datetime
    until: datetime
    total: int
    flagged_total: int
    scored_total: int
    ids: tuple[UUID, ...]
    alarms: FrozenAlarms | None

    def to_json(self) -> dict[str, Any]:
        """As plain values, the document that is stored."""
        baseline = None
        if self.baseline_id is not None:
            baseline = {"id": str(self.baseline_id), "sha256": self.baseline_sha256}
        return {
            "tidegate": self.tidegate,
            "seed": self.seed,
            "reference": self.reference_sha256,
            "baseline": baseline,
            "settings": self.settings.model_dump(mode="json", exclude=_SETTINGS_LEFT_OUT),
            "alert_alpha": self.alert_alpha,
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "total": self.total,
            "flagged_total": self.flagged_total,
            "scored_total": self.scored_total,
            "ids": [str(prediction_id) for prediction_id in self.ids],
            "alarms": None if self.alarms is None else self.alarms.to_json(),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` wrote, in this version or an earlier one."""
        baseline, alarms = document["baseline"], document["alarms"]
        return cls(
            tidegate=document["tidegate"],
            seed=document["seed"],
            reference_sha256=document["reference"],
            baseline_id=None if baseline is None else UUID(baseline["id"]),
            baseline_sha256=None if baseline is None else baseline["sha256"],
            settings=MonitorSettings(**document["settings"]),
            alert_alpha=document["alert_alpha"],
            since=datetime.fromisoformat(document["since"]),
            until=datetime.fromisoformat(document["until"]),
            total=document["total"],
            flagged_total=document["flagged_total"],
            scored_total=document["scored_total"],
            ids=tuple(UUID(prediction_id) for prediction_id in document["ids"]),
            alarms=None if alarms is None else FrozenAlarms.from_json(alarms),
        )


def freeze_evidence(monitor_pass: MonitorPass, run: RunRecord, advance: AlarmAdvance | None) -> Evidence:
    """The evidence of a run, should it raise an alert."""
    look = monitor_pass.look
    recorded, baseline = look.recorded, None if look.comparison is None else look.comparison.baseline
    return Evidence(
        tidegate=version("tidegate"),
        seed=run.seed,
        reference_sha256=run.reference_sha256,
        baseline_id=None if baseline is None else baseline.id,
        baseline_sha256=None if baseline is None else baseline.sha256,
        settings=monitor_pass.settings,
        alert_alpha=monitor_pass.alert_alpha,
        since=recorded.since,
        until=run.until,
        total=recorded.total,
        flagged_total=recorded.flagged_total,
        scored_total=recorded.scored_total,
        ids=tuple(recorded.ids),
        alarms=None if advance is None else FrozenAlarms.of_advance(advance),
    )
