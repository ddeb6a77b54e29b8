"""Baselines: a healthy window of production that a person accepts, and from which alarms then watch for change.

No held-out rows are exchangeable with real traffic: with enough of it any test says so. So the gap to training is
reported once, with its harm; a person looks at it and accepts a window, or does not; from then on alerts are about
*change* from that window.
"""

from dataclasses import asdict
from datetime import datetime

import numpy as np
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from monitor.accuracy.estimate import NoEstimate, estimate_rows
from monitor.alarm.budget import Budget
from monitor.baselines.certificate import Certificate, certify, first_change
from monitor.checks.window_test import run_window_test
from monitor.reference.profile import Reference
from monitor.reference.rows import Rows, float16_scale
from monitor.reference.window import Window
from monitor.settings import MonitorSettings
from store.errors import BadBaseline
from store.repositories.baselines import BaselineRecord, NewBaseline
from store.repositories.models import ModelRecord
from store.store import Store

FEWEST_ROWS = 200
# Two halves of a healthy window differ by chance alone; this much of a promise tells a trend from that.
HALVES_PROMISE = 10_000.0
PARTS = "part/"


def comparison(store: Store, model: ModelRecord) -> tuple[Reference, BaselineRecord | None]:
    """What a model's windows are compared with: the accepted baseline, or held-out training rows.

    Raises:
        BadReference: the reference is damaged.
        NotFound: it is not kept in this database.
    """
    assert model.reference_sha256 is not None
    reference = Reference.from_bytes(store.models.reference(model.reference_sha256))
    baseline = store.baselines.active(model.sha256)
    if baseline is None:
        return reference, None
    return against(reference, baseline, store), baseline


def against(reference: Reference, baseline: BaselineRecord, store: Store) -> Reference:
    """The reference with windows compared with a baseline's rows."""
    return reference.against(decode_rows(store.baselines.content(baseline.id)), f"the baseline {baseline.label}")


def pin(
    store: Store,
    model: ModelRecord,
    *,
    name: str,
    since: datetime,
    until: datetime,
    settings: MonitorSettings,
    rng: np.random.Generator,
) -> BaselineRecord:
    """Accept the predictions after `since` up to `until` as healthy: alarms start anew, from them.

    Raises:
        BadBaseline: there is no reference, too few rows, the window changes within itself, or its certificate fails.
    """
    if model.reference_sha256 is None:
        raise BadBaseline(f"{model.name} has no reference to score with. Make one with `tidegate profile`.")
    reference = Reference.from_bytes(store.models.reference(model.reference_sha256))
    recorded = store.predictions.window(model.sha256, since, until, max_rows=settings.maximum_rows, rng=rng)
    window = Window.of_record(reference, recorded)
    rows = window.rows.take(window.rows.finite)
    if len(rows) < FEWEST_ROWS:
        raise BadBaseline(
            f"{len(rows):,} usable predictions between {since:%Y-%m-%d %H:%M} and {until:%Y-%m-%d %H:%M} UTC are too few "
            f"to watch change from: choose a window with {FEWEST_ROWS} or more."
        )
    half = len(rows) // 2
    earlier, later = (rows.take(np.arange(start, start + half)) for start in (0, len(rows) - half))
    place = first_change(reference, earlier, later, HALVES_PROMISE, rng)
    if place is not None:
        at = recorded.at[np.flatnonzero(window.rows.finite)[len(rows) - half + place]]
        raise BadBaseline(
            f"The window changes within itself, about {at:%Y-%m-%d %H:%M} UTC: what came later is unlike what came "
            "before. Choose a window on one side of it."
        )
    candidate = reference.against(rows, name)
    budget = Budget(settings.false_alarm_every_days, max(len(store.models.all()), 1), settings.looks_per_day)
    certificate = certify(candidate, budget.promise(store.counters.per_day(model.sha256, until)), rng)
    if not certificate.passed:
        raise BadBaseline(certificate.reason)
    with store.writing() as transaction:
        pinned = store.baselines.pin(
            transaction,
            NewBaseline(
                model_sha256=model.sha256,
                name=name,
                since=since,
                until=until,
                count=recorded.total,
                content=encode_rows(rows),
                certificate={**certificate.as_json(), "gap": _gap(reference, window, settings, rng)},
            ),
        )
        store.alarms.forget(transaction, model.sha256)
    return pinned


def certificate_of(baseline: BaselineRecord) -> Certificate:
    """What was measured when it was pinned."""
    return Certificate(**{name: value for name, value in baseline.certificate.items() if name != "gap"})


def compare(
    store: Store, model: ModelRecord, one: BaselineRecord, other: BaselineRecord, rng: np.random.Generator
) -> str:
    """How two baselines differ, in plain words."""
    assert model.reference_sha256 is not None
    reference = against(Reference.from_bytes(store.models.reference(model.reference_sha256)), one, store)
    rows = decode_rows(store.baselines.content(other.id))
    test = run_window_test(reference, Window.of_rows(reference, rows), 0.01, rng)
    lines = [f"{other.label} compared with {one.label}: {test.sentence} (p {test.p_value:.2g})"]
    return "\n".join([*lines, *(f"  {check.sentence}" for check in test.checks)])


def _gap(
    reference: Reference, window: Window, settings: MonitorSettings, rng: np.random.Generator
) -> dict[str, object]:
    """How far the accepted window lies from training, and what it costs: reported once."""
    test = run_window_test(reference, window, settings.alpha, rng)
    try:
        harm: dict[str, object] | None = asdict(estimate_rows(reference, window.rows))
    except NoEstimate:
        harm = None
    return {
        "detected": test.detected,
        "p_value": test.p_value,
        "cause": test.cause.value,
        "sentence": test.sentence,
        "checks": {check.name: check.sentence for check in test.checks},
        "accuracy": harm,
    }


def encode_rows(rows: Rows) -> bytes:
    """Rows as arrays, embeddings as float16."""
    scale = float16_scale(rows.embeddings)
    arrays = {
        "embeddings": (rows.embeddings / scale).astype(np.float16),
        "scale": np.array([scale]),
        **{f"{PARTS}{name}": part for name, part in rows.parts.items()},
    }
    if rows.logits is not None:
        arrays["logits"] = rows.logits
    # A file keeps arrays in an order of its own, and the fused score is a sum over the scorers in theirs.
    arrays["order"] = np.frombuffer("\n".join(rows.parts).encode(), np.uint8)
    content: bytes = save_tensors({name: np.ascontiguousarray(value) for name, value in arrays.items()})
    return content


def decode_rows(content: bytes) -> Rows:
    """The rows that `encode_rows` wrote."""
    arrays = load_tensors(content)
    embeddings = arrays["embeddings"].astype(np.float32) * np.float32(arrays["scale"][0])
    parts = {name: arrays[f"{PARTS}{name}"] for name in arrays["order"].tobytes().decode().split("\n")}
    return Rows(embeddings, arrays.get("logits"), None, parts)
