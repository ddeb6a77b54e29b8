"""Baselines: a healthy window of production that a person accepts, and from which alarms then watch for change.

Held-out rows are never quite exchangeable with real traffic: with enough of it any test tells them apart. So the
difference from training is reported once, with what it costs. A person looks at it and accepts a window, or not; from
then on alerts are about *change* from that window.
"""

from dataclasses import asdict, dataclass
from datetime import datetime

import numpy as np
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from monitor.accuracy.estimate import NoEstimate, estimate_rows
from monitor.alarm.budget import budget_of
from monitor.baselines.certificate import Certificate, certify, find_first_change
from monitor.checks.window_comparison import run_window_test
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
# The key of the difference from training in a stored certificate.
_DIFFERENCE = "gap"


@dataclass(frozen=True)
class Comparison:
    """What a model's windows are compared with: the rows of `reference`, which are those of `baseline` where there is one,
    and held-out training rows where it is None."""

    reference: Reference
    baseline: BaselineRecord | None = None


@dataclass(frozen=True)
class BaselineWindow:
    """The window to accept: the predictions after `since` up to `until`, and what the baseline is called."""

    name: str
    since: datetime
    until: datetime


def load_comparison(store: Store, model: ModelRecord) -> Comparison:
    """What a model's windows are compared with now: the accepted baseline, or held-out training rows.

    Raises:
        BadReference: the reference is damaged.
        NotFound: it is not kept in this database.
    """
    assert model.reference_sha256 is not None
    reference = Reference.from_bytes(store.models.reference(model.reference_sha256))
    baseline = store.baselines.active(model.sha256)
    if baseline is None:
        return Comparison(reference)
    return Comparison(load_baseline(store, reference, baseline), baseline)


def load_baseline(store: Store, reference: Reference, baseline: BaselineRecord) -> Reference:
    """The reference, with windows compared with this baseline's rows.

    Raises:
        NotFound: the baseline is not kept in this database.
    """
    return reference.against(decode_rows(store.baselines.content(baseline.id)), f"the baseline {baseline.label}")


def pin_baseline(
    store: Store, model: ModelRecord, accepted: BaselineWindow, settings: MonitorSettings, rng: np.random.Generator
) -> BaselineRecord:
    """Accept a window of predictions as healthy: alarms start anew, from it.

    Raises:
        BadBaseline: there is no reference, too few rows, the window changes within itself, or its certificate fails.
    """
    if model.reference_sha256 is None:
        raise BadBaseline(f"{model.name} has no reference to score with. Make one with `tidegate profile`.")
    reference = Reference.from_bytes(store.models.reference(model.reference_sha256))
    recorded = store.predictions.window(
        model.sha256, accepted.since, accepted.until, max_rows=settings.maximum_rows, rng=rng
    )
    window = Window.of_record(reference, recorded)
    usable = np.flatnonzero(window.rows.finite)
    if usable.size < FEWEST_ROWS:
        raise BadBaseline(
            f"{usable.size:,} usable predictions between {accepted.since:%Y-%m-%d %H:%M} and "
            f"{accepted.until:%Y-%m-%d %H:%M} UTC are too few to watch change from: choose a window with {FEWEST_ROWS} "
            "or more."
        )
    rows = window.rows.take(usable)
    change = _find_change(reference, rows, rng)
    if change is not None:
        raise BadBaseline(
            f"The window changes within itself, about {recorded.at[usable[change]]:%Y-%m-%d %H:%M} UTC: what came later "
            "is unlike what came before. Choose a window on one side of it."
        )
    candidate = reference.against(rows, accepted.name)
    budget = budget_of(settings.false_alarm_every_days, len(store.models.all()), settings.looks_per_day)
    certificate = certify(candidate, budget.promise(store.counters.per_day(model.sha256, accepted.until)), rng)
    if not certificate.passed:
        raise BadBaseline(certificate.reason)
    difference = _difference_from_training(reference, window, settings, rng)
    with store.writing() as transaction:
        pinned = store.baselines.pin(
            transaction,
            NewBaseline(
                model_sha256=model.sha256,
                name=accepted.name,
                since=accepted.since,
                until=accepted.until,
                count=recorded.total,
                content=encode_rows(rows),
                certificate={**certificate.as_json(), _DIFFERENCE: difference},
            ),
        )
        store.alarms.forget(transaction, model.sha256)
    return pinned


def _find_change(reference: Reference, rows: Rows, rng: np.random.Generator) -> int | None:
    """Where rows in order of time change within themselves, as an index of a row; None where they don't."""
    half = len(rows) // 2
    starts_later = len(rows) - half
    earlier, later = (rows.take(np.arange(start, start + half)) for start in (0, starts_later))
    change = find_first_change(reference, earlier, later, HALVES_PROMISE, rng)
    return None if change is None else starts_later + change


def certificate_of(baseline: BaselineRecord) -> Certificate:
    """What was measured when it was pinned."""
    return Certificate(**{name: value for name, value in baseline.certificate.items() if name != _DIFFERENCE})


def compare_baselines(
    store: Store, model: ModelRecord, first: BaselineRecord, second: BaselineRecord, rng: np.random.Generator
) -> str:
    """How two baselines differ, in plain words."""
    assert model.reference_sha256 is not None
    training = Reference.from_bytes(store.models.reference(model.reference_sha256))
    reference = load_baseline(store, training, first)
    rows = decode_rows(store.baselines.content(second.id))
    test = run_window_test(reference, Window.of_rows(reference, rows), 0.01, rng)
    lines = [f"{second.label} compared with {first.label}: {test.sentence} (p {test.p_value:.2g})"]
    return "\n".join([*lines, *(f"  {check.sentence}" for check in test.checks)])


def _difference_from_training(
    reference: Reference, window: Window, settings: MonitorSettings, rng: np.random.Generator
) -> dict[str, object]:
    """How the accepted window differs from training, and how much accuracy that costs. It is reported once."""
    test = run_window_test(reference, window, settings.alpha, rng)
    try:
        accuracy: dict[str, object] | None = asdict(estimate_rows(reference, window.rows))
    except NoEstimate:
        accuracy = None
    return {
        "detected": test.detected,
        "p_value": test.p_value,
        "cause": test.cause.value,
        "sentence": test.sentence,
        "checks": {check.name: check.sentence for check in test.checks},
        "accuracy": accuracy,
    }


def encode_rows(rows: Rows) -> bytes:
    """Rows as the content of a safetensors file; embeddings are kept as float16."""
    scale = float16_scale(rows.embeddings)
    arrays = {
        "embeddings": (rows.embeddings / scale).astype(np.float16),
        "scale": np.array([scale]),
        **{f"{PARTS}{name}": part for name, part in rows.parts.items()},
    }
    if rows.logits is not None:
        arrays["logits"] = rows.logits
    if rows.numbers is not None:
        arrays["numbers"] = rows.numbers
    # A file keeps arrays in an order of its own, and the fused score is a sum over the scorers in theirs.
    arrays["order"] = np.frombuffer("\n".join(rows.parts).encode(), np.uint8)
    content: bytes = save_tensors({name: np.ascontiguousarray(value) for name, value in arrays.items()})
    return content


def decode_rows(content: bytes) -> Rows:
    """The rows that `encode_rows` wrote."""
    arrays = load_tensors(content)
    embeddings = arrays["embeddings"].astype(np.float32) * np.float32(arrays["scale"][0])
    parts = {name: arrays[f"{PARTS}{name}"] for name in arrays["order"].tobytes().decode().split("\n")}
    return Rows(embeddings, arrays.get("logits"), None, parts, arrays.get("numbers"))
