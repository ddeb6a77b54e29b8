"""Evidence: what a run that raised an alert was made from, so that the same numbers come out again."""

from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any
from uuid import UUID

import numpy as np

from monitor.alarm.advance import AlarmAdvance, advance_alarms
from monitor.baselines.baseline import against
from monitor.checks.verdict import Judgement, judge
from monitor.reference.profile import Reference
from monitor.reference.window import Window
from monitor.seed import generator
from monitor.settings import MonitorSettings
from store.errors import NotFound
from store.repositories.alarms import AlarmRecord
from store.repositories.baselines import BaselineRecord
from store.repositories.predictions import RecordedWindow
from store.repositories.runs import CheckResult, RunRecord
from store.store import Store

_NUMBERS = ("statistic", "p_value", "effect")
# Sums in another order, on another machine or version of a library, differ in their last digits.
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Line:
    """One number of one check, then and now."""

    check: str
    number: str
    then: float | None
    now: float | None

    @property
    def same(self) -> bool:
        if self.then is None or self.now is None:
            return self.then is self.now
        return bool(np.isclose(self.then, self.now, rtol=_TOLERANCE, atol=1e-12))


@dataclass(frozen=True)
class Replay:
    """A run made again from its evidence. `missing` predictions are no longer in the record."""

    run: RunRecord
    lines: tuple[Line, ...]
    missing: int
    versions: tuple[str, str]

    @property
    def same(self) -> bool:
        return self.missing == 0 and all(line.same for line in self.lines)


def freeze(
    run: RunRecord,
    recorded: RecordedWindow,
    settings: MonitorSettings,
    baseline: BaselineRecord | None,
    alert_alpha: float,
    look: AlarmAdvance | None,
    since: datetime,
) -> dict[str, Any]:
    """The evidence of a run as plain values."""
    return {
        "tidegate": version("tidegate"),
        "seed": run.seed,
        "reference": run.reference_sha256,
        "baseline": None if baseline is None else {"id": str(baseline.id), "sha256": baseline.sha256},
        "settings": settings.model_dump(mode="json", exclude={"destinations", "public_url"}),
        "alert_alpha": alert_alpha,
        "since": since.isoformat(),
        "until": run.until.isoformat(),
        "total": recorded.total,
        "flagged_total": recorded.flagged_total,
        "scored_total": recorded.scored_total,
        "ids": [str(one) for one in recorded.ids],
        "alarms": None
        if look is None
        else {
            "promise": look.result.detail["promise"],
            "before": {
                name: {"state": record.state, "ranked_among": record.ranked_among, "until": _iso(record.judged_until)}
                for name, record in look.before.items()
            },
            "ranked_among": look.after[0].ranked_among if look.after else "",
        },
    }


def replay(store: Store, run_id: UUID) -> Replay:
    """Make a run again from its frozen evidence.

    Raises:
        NotFound: the run raised no alert, or its reference or baseline is gone.
    """
    run, evidence = store.runs.get(run_id), store.evidence.get(run_id)
    reference = Reference.from_bytes(store.models.reference(evidence["reference"]))
    if evidence["baseline"] is not None:
        pinned = {str(one.id): one for one in store.baselines.of_model(run.model_sha256)}
        if evidence["baseline"]["id"] not in pinned:
            raise NotFound("The baseline that this window was compared with is gone.")
        reference = against(reference, pinned[evidence["baseline"]["id"]], store)
    ids = [UUID(one) for one in evidence["ids"]]
    recorded = store.predictions.rows(ids)
    window = Window.of_record(reference, recorded)
    # The whole window's counts, of which the rows may be a sample.
    window = Window(window.rows, evidence["total"], evidence["flagged_total"])
    settings = MonitorSettings(**evidence["settings"])
    judged: Judgement = judge(
        reference, window, settings, judging(evidence["seed"]), alert_alpha=evidence["alert_alpha"]
    )
    results = list(judged.results)
    if evidence["alarms"] is not None:
        results.append(_alarms(store, run, reference, evidence))
    return Replay(
        run=run,
        lines=_lines(run.results, results),
        missing=len(ids) - len(recorded.ids),
        versions=(evidence["tidegate"], version("tidegate")),
    )


def judging(seed: str) -> np.random.Generator:
    """The randomness of judging a window, apart from that of sampling it."""
    return generator(f"{seed}/judge")


def _alarms(store: Store, run: RunRecord, reference: Reference, evidence: dict[str, Any]) -> CheckResult:
    frozen = evidence["alarms"]
    known = {
        name: AlarmRecord(
            run.model_sha256, name, one["ranked_among"], one["state"], datetime.fromisoformat(one["until"])
        )
        for name, one in frozen["before"].items()
    }
    look = advance_alarms(
        run.model_sha256,
        reference,
        frozen["ranked_among"],
        known,
        lambda since, until: store.predictions.stream(run.model_sha256, since, until),
        datetime.fromisoformat(evidence["since"]),
        datetime.fromisoformat(evidence["until"]),
        frozen["promise"],
        back_to_normal=False,
    )
    return look.result


def _lines(then: tuple[CheckResult, ...], now: list[CheckResult]) -> tuple[Line, ...]:
    again = {result.check: result for result in now}
    return tuple(
        Line(one.check, number, getattr(one, number), getattr(again.get(one.check), number, None))
        for one in then
        for number in _NUMBERS
        if getattr(one, number) is not None or getattr(again.get(one.check), number, None) is not None
    )


def _iso(instant: datetime) -> str:
    return instant.isoformat()
