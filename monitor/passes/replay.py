"""Replay: a run that raised an alert is made again from its frozen evidence."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from uuid import UUID

import numpy as np

from monitor.alarm.state_update import AlarmInputs, find_stream_start
from monitor.baselines.baseline import load_baseline
from monitor.passes.decide import WindowInputs, judge_window
from monitor.passes.evidence import Evidence
from monitor.reference.profile import Reference
from monitor.reference.window import Window
from store.errors import NotFound
from store.repositories.runs import CheckResult, RunRecord
from store.store import Store

_NUMBERS = ("statistic", "p_value", "effect")
# Sums in another order, on another machine or version of a library, differ in their last digits.
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class ReplayedNumber:
    """One number of one check, as it was recorded and as it came out again; `number` is its name."""

    check: str
    number: str
    recorded: float | None
    replayed: float | None

    @property
    def same(self) -> bool:
        if self.recorded is None or self.replayed is None:
            return self.recorded is self.replayed
        return bool(np.isclose(self.recorded, self.replayed, rtol=_TOLERANCE, atol=1e-12))


@dataclass(frozen=True)
class Replay:
    """A run made again from its evidence.

    `missing` predictions are no longer in the record. `versions` are those of Tidegate that raised the alert and that
    replayed it.
    """

    run: RunRecord
    numbers: tuple[ReplayedNumber, ...]
    missing: int
    versions: tuple[str, str]

    @property
    def same(self) -> bool:
        return self.missing == 0 and all(number.same for number in self.numbers)


def replay(store: Store, run_id: UUID) -> Replay:
    """Make a run again from its frozen evidence.

    Raises:
        NotFound: the run raised no alert, or its reference or baseline is gone.
    """
    run, evidence = store.runs.get(run_id), Evidence.from_json(store.evidence.get(run_id))
    reference = _load_reference(store, run, evidence)
    recorded = store.predictions.rows(evidence.ids)
    # The whole window's counts, of which the rows may be a sample.
    window = Window(Window.of_record(reference, recorded).rows, evidence.total, evidence.flagged_total)
    findings = judge_window(
        WindowInputs(
            reference=reference,
            window=window,
            settings=evidence.settings,
            alert_alpha=evidence.alert_alpha,
            seed=evidence.seed,
            alarms=_read_alarms(store, run, evidence),
        )
    )
    return Replay(
        run=run,
        numbers=_compare(run.results, findings.judgement.results),
        missing=len(evidence.ids) - len(recorded.ids),
        versions=(evidence.tidegate, version("tidegate")),
    )


def _load_reference(store: Store, run: RunRecord, evidence: Evidence) -> Reference:
    reference = Reference.from_bytes(store.models.reference(evidence.reference_sha256 or ""))
    if evidence.baseline_id is None:
        return reference
    for baseline in store.baselines.of_model(run.model_sha256):
        if baseline.id == evidence.baseline_id:
            return load_baseline(store, reference, baseline)
    raise NotFound("The baseline that this window was compared with is gone.")


def _read_alarms(store: Store, run: RunRecord, evidence: Evidence) -> AlarmInputs | None:
    if evidence.alarms is None:
        return None
    states = evidence.alarms.records(run.model_sha256)
    since = find_stream_start(states, evidence.since)
    return AlarmInputs(
        model_sha256=run.model_sha256,
        ranked_among=evidence.alarms.ranked_among,
        states=states,
        arrived=store.predictions.stream(run.model_sha256, since, evidence.until),
        until=evidence.until,
        promise=evidence.alarms.promise,
    )


def _compare(recorded: Iterable[CheckResult], replayed: Iterable[CheckResult]) -> tuple[ReplayedNumber, ...]:
    """The numbers of each recorded result; those that are None both times are left out."""
    replayed_by_check = {result.check: result for result in replayed}
    numbers = (
        ReplayedNumber(
            result.check, name, getattr(result, name), getattr(replayed_by_check.get(result.check), name, None)
        )
        for result in recorded
        for name in _NUMBERS
    )
    return tuple(number for number in numbers if number.recorded is not None or number.replayed is not None)
