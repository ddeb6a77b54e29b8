"""Records that tests of the store write: a model, predictions, runs."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from store.clock import new_id
from store.recording.prediction_batch import PredictionRecord, RawInput
from store.repositories.runs import CheckResult, RunRecord, Verdict
from store.store import Store

MODEL = "a" * 64
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def register(store: Store, sha256: str = MODEL, reference: bytes | None = b"reference") -> None:
    store.models.register(
        sha256=sha256, name="digits", application="vision", task="single_label", classes=["a", "b"], reference=reference
    )


def prediction(seconds: float = 0.0, *, flagged: bool | None = False, raw: RawInput | None = None) -> PredictionRecord:
    return PredictionRecord(
        id=new_id(),
        at=START + timedelta(seconds=seconds),
        prediction="a",
        class_index=0,
        confidence=0.75,
        ood_score=None if flagged is None else 1.5,
        ood_p_value=None if flagged is None else 0.25,
        flagged=flagged,
        latency_seconds=0.01,
        tags={"site": "berlin"},
        embedding=np.array([0.5, -2.0, 3.25]),
        logits=np.array([1.0, -1.0]),
        raw_input=raw,
    )


def run_record(until: datetime, verdict: Verdict = Verdict.OK, results: Sequence[CheckResult] = ()) -> RunRecord:
    return RunRecord(
        id=new_id(),
        model_sha256=MODEL,
        reference_sha256=None,
        at=until,
        since=START,
        until=until,
        count=3,
        flagged=1,
        verdict=verdict,
        sentence="said",
        seed="seed",
        results=tuple(results),
    )
