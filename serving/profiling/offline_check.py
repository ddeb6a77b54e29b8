"""Compares a folder or a table with a reference, without a server and without a record."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np

from monitor.baselines.baseline import Comparison
from monitor.checks.verdict import judge
from monitor.history.report_material import COLUMN_ROWS, read_report_material
from monitor.passes.decide import group_flagged, make_run
from monitor.passes.monitor_pass import Look, PassResult
from monitor.reference.profile import Reference
from monitor.reference.profile_file import encode
from monitor.reference.window import Window
from monitor.seed import generator
from monitor.settings import MonitorSettings
from monitor.shift.table_columns import records_of
from reports.drift import DriftReport, drift_report
from serving.engine.engine import Engine
from serving.gateway.recorder import text_of
from serving.profiling.batch_inference import InferenceResults, ProgressTracker, run_inference, without_progress
from serving.profiling.labelled_data import LabelledInput
from store.clock import new_id, utc_now
from store.recording.prediction_batch import RawInput
from store.repositories.models import ModelRecord
from store.repositories.predictions import FlaggedCount, RecordedWindow


@dataclass(frozen=True)
class OfflineCheck:
    """What was found, its report, and name and reason of each input that could not be read."""

    watched: PassResult
    report: DriftReport
    refused: list[tuple[str, str]]

    def strangest(self, number: int) -> list[tuple[str, str, float]]:
        """Name, prediction and p-value of the inputs furthest from training."""
        recorded = self.watched.recorded
        order = np.argsort(-recorded.scores, kind="stable")[:number]
        return [
            (
                str(recorded.tags[row_index]["input"]),
                recorded.predictions[row_index],
                float(recorded.p_values[row_index]),
            )
            for row_index in order
        ]


@dataclass(frozen=True)
class _InputFiles:
    """Stands in for the record of predictions: raw inputs are read from where they lie, and none of them has a time."""

    inputs: dict[UUID, LabelledInput]

    def raw_inputs(self, ids: Sequence[UUID]) -> dict[UUID, RawInput]:
        return {input_id: self.inputs[input_id].read() for input_id in ids}

    def flagged_over_time(self, model_sha256: str, since: datetime, until: datetime, bins: int) -> list[FlaggedCount]:
        return []


def check_inputs(
    engine: Engine,
    reference: Reference,
    inputs: Sequence[LabelledInput],
    settings: MonitorSettings,
    track: ProgressTracker = without_progress,
) -> OfflineCheck:
    """Compare inputs with a reference, by the very checks of the monitor.

    Raises:
        BadInput: not one input can be read.
    """
    collected = run_inference(engine, inputs, track, "inputs")
    recorded = _as_recorded(collected, reference)
    seed = f"{engine.loaded.sha256}/{len(collected.inputs)}"
    records = _as_columns(reference, collected.inputs)
    judgement = judge(reference, Window.of_record(reference, recorded, records), settings, generator(seed))
    model = ModelRecord(
        sha256=engine.loaded.sha256 or "",
        name=engine.loaded.name,
        application=engine.adapter.application,
        task=engine.task.name,
        classes=engine.task.classes,
        reference_sha256=hashlib.sha256(encode(reference)).hexdigest(),
        registered_at=recorded.until,
    )
    look = Look(model, recorded, Comparison(reference), recorded.until, recorded.since, seed)
    run = make_run(look, judgement)
    watched = PassResult(model, reference, recorded, run, (), judgement.test, group_flagged(recorded))
    record = _InputFiles(dict(zip(recorded.ids, collected.inputs, strict=True)))
    report = drift_report(watched, read_report_material(watched, record))
    unreadable = [{"input": name, "reason": reason} for name, reason in collected.refused]
    return OfflineCheck(watched, DriftReport({**report.document, "unreadable": unreadable}), collected.refused)


def _as_columns(reference: Reference, inputs: Sequence[LabelledInput]) -> list[dict[str, Any]]:
    """The inputs as columns, at most as many as a monitor reads; none where the reference keeps none."""
    if not reference.columns:
        return []
    return records_of(labelled.read() for labelled in inputs[:: max(1, -(-len(inputs) // COLUMN_ROWS))])


def _as_recorded(collected: InferenceResults, reference: Reference) -> RecordedWindow:
    outputs = collected.outputs
    # Through float16, as the record keeps them: a check and a monitor see the same numbers.
    with np.errstate(over="ignore"):
        embeddings = outputs.embedding.astype(np.float16).astype(np.float32)
    scores = reference.score(outputs.embedding, outputs.logits)
    now, n = utc_now(), len(outputs)
    return RecordedWindow(
        since=now,
        until=now,
        total=n,
        scored_total=n,
        flagged_total=int(scores.flagged.sum()),
        ids=[new_id() for _ in range(n)],
        at=[now] * n,
        predictions=[text_of(prediction) for prediction in outputs.predictions],
        tags=[{"input": labelled_input.name} for labelled_input in collected.inputs],
        embeddings=embeddings,
        logits=outputs.logits,
        class_indices=np.full(n, -1, np.int64) if outputs.class_indices is None else outputs.class_indices,
        confidences=np.full(n, np.nan) if outputs.confidences is None else outputs.confidences,
        scores=scores.score,
        p_values=scores.p_value,
        flagged=scores.flagged,
    )
