"""Makes a reference: runs a learner over its training and held-out data and fits the statistics."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from monitor.baselines.certificate import certify
from monitor.reference.content import Examples, Origin
from monitor.reference.fit import DEFAULT_ALPHA, fit_reference
from monitor.reference.profile import Reference
from reports.pictures import thumbnail
from serving.engine.engine import Engine
from serving.gateway.parity import PARITY_SAMPLES, make_parity_sample
from serving.learner.tasks import SingleLabel
from serving.profiling.batch_inference import InferenceResults, Track, collect, silently
from serving.profiling.labelled_data import LabelledInput
from store.clock import utc_now
from store.errors import BadInput

HELD_OUT_SHARE = 0.2
EXAMPLES = 1_000
COLUMN_ROWS = 2_000
# Traffic is not known yet: the certificate is made for a promise of so many predictions.
PROMISE = 10_000.0

Labels = npt.NDArray[np.int64] | None


def make_reference(
    engine: Engine,
    training: Sequence[LabelledInput],
    held_out: Sequence[LabelledInput] | None,
    *,
    rng: np.random.Generator,
    alpha: float = DEFAULT_ALPHA,
    track: Track = silently,
) -> Reference:
    """Profile a learner.

    Args:
        engine: the learner, ready to run.
        training: inputs it was trained on.
        held_out: inputs it was not trained on; None to hold out a stratified fifth of `training`, which the network has
            seen, so that the reference carries a warning.
        rng: all randomness.
        alpha: share of in-domain inputs that may be flagged.
        track: draws progress.

    Raises:
        BadInput: too few inputs can be read.
    """
    warnings = []
    source = "held-out rows"
    if held_out is None:
        training, held_out = _split(training, rng)
        source = "a fifth of the training rows, which the network has seen"
        warnings.append(
            "No held-out data was given, so a fifth of the training rows was held out. The network has seen them: "
            "expect more flagged inputs than promised. Give --valid for honest statistics."
        )
    seen = collect(engine, training, track, "training rows")
    fresh = collect(engine, held_out, track, "held-out rows")
    for what, collected in (("training", seen), ("held-out", fresh)):
        if collected.refused:
            name, reason = collected.refused[0]
            warnings.append(f"{len(collected.refused):,} {what} inputs can't be read. The first, {name}: {reason}")
    labels = [_class_indices(engine, collected, warnings) for collected in (seen, fresh)]
    one_class = isinstance(engine.task, SingleLabel)
    reference = fit_reference(
        seen.outputs.embedding,
        seen.outputs.logits if one_class else None,
        labels[0],
        calibration=(fresh.outputs.embedding, fresh.outputs.logits if one_class else None, labels[1]),
        head=engine.head if one_class else None,
        rng=rng,
        alpha=alpha,
    )
    certificate = certify(reference, PROMISE, rng)
    if not certificate.passed:
        warnings.append(certificate.reason)
    return replace(
        reference,
        certificate=certificate.as_json(),
        warnings=(*warnings, *reference.warnings),
        origin=Origin(
            learner_sha256=engine.loaded.sha256,
            weights_sha256=engine.loaded.weights_sha256,
            name=engine.loaded.name,
            application=engine.adapter.application,
            task=engine.task.name,
            classes=engine.task.classes,
            created_at=utc_now().isoformat(timespec="seconds"),
            tidegate_version=version("tidegate"),
            calibration_source=source,
            accuracy=_accuracy(fresh, labels[1]),
        ),
        examples=_examples(engine, seen, rng),
        parity_samples=tuple(
            make_parity_sample(engine, one.read()) for one in _drawn(fresh.inputs, PARITY_SAMPLES, rng)
        ),
        columns=_columns(engine, fresh, rng),
    )


def _split(
    inputs: Sequence[LabelledInput], rng: np.random.Generator
) -> tuple[list[LabelledInput], list[LabelledInput]]:
    if len(inputs) < 10:
        raise BadInput(f"{len(inputs)} inputs are too few to hold some out. Give more, or give --valid.")
    labels = [one.label or "" for one in inputs]
    # A class with a single row, or more classes than held-out rows, can't be stratified.
    smallest, held_out = min(Counter(labels).values()), int(len(inputs) * HELD_OUT_SHARE)
    stratify = labels if smallest > 1 and len(set(labels)) <= held_out else None
    seed = int(rng.integers(2**31))
    training, fresh = train_test_split(list(inputs), test_size=HELD_OUT_SHARE, stratify=stratify, random_state=seed)
    return training, fresh


def _class_indices(engine: Engine, collected: InferenceResults, warnings: list[str]) -> Labels:
    if not isinstance(engine.task, SingleLabel) or any(label is None for label in collected.labels):
        return None
    places = {name: place for place, name in enumerate(engine.task.classes)}
    unknown = sorted({str(label) for label in collected.labels if label not in places})
    if unknown:
        warnings.append(
            f"Labels that the learner does not know, such as {unknown[0]!r}, so its predictions stand in for labels "
            f"({len(unknown)} unknown of {len(set(collected.labels))})."
        )
        return None
    return np.array([places[str(label)] for label in collected.labels], np.int64)


def _accuracy(fresh: InferenceResults, labels: Labels) -> float | None:
    if labels is None or fresh.outputs.class_indices is None:
        return None
    return float((fresh.outputs.class_indices == labels).mean())


def _examples(engine: Engine, seen: InferenceResults, rng: np.random.Generator) -> Examples:
    chosen = _places(len(seen.inputs), EXAMPLES, rng)
    inputs = [seen.inputs[place] for place in chosen]
    pictures = [thumbnail(one.read().content) for one in inputs] if engine.adapter.application == "vision" else []
    captions = [one.name if one.label is None else one.label for one in inputs]
    return Examples(seen.outputs.embedding[chosen].astype(np.float16).astype(np.float32), captions, pictures)


def _columns(engine: Engine, fresh: InferenceResults, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Held-out inputs as named columns; none for pictures, which are not read for it."""
    if engine.adapter.application != "tabular":
        return []
    return [engine.adapter.columns(one.read()) for one in _drawn(fresh.inputs, COLUMN_ROWS, rng)]


def _drawn(inputs: Sequence[LabelledInput], at_most: int, rng: np.random.Generator) -> list[LabelledInput]:
    return [inputs[place] for place in _places(len(inputs), at_most, rng)]


def _places(number: int, at_most: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    return np.sort(rng.permutation(number)[:at_most])
