"""Makes a reference: runs a learner over its training and held-out data and fits the statistics."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from monitor.baselines.certificate import certify
from monitor.reference.fit import DEFAULT_ALPHA, fit_reference, held_out_weakness
from monitor.reference.profile import Reference
from monitor.reference.profile_content import Origin
from monitor.reference.thin_classes import thin_class_warning
from serving.engine.engine import Engine
from serving.gateway.parity import PARITY_SAMPLES, make_parity_sample
from serving.learner.export.environment import environment_here
from serving.learner.tasks import SingleLabel
from serving.profiling.batch_inference import InferenceResults, ProgressTracker, run_inference, without_progress
from serving.profiling.kept_inputs import draw, keep_columns, keep_examples, known_categories
from serving.profiling.labelled_data import LabelledInput
from serving.profiling.predicted_numbers import number_names, predicted_numbers
from store.clock import utc_now
from store.errors import BadInput

HELD_OUT_SHARE = 0.2
# Traffic is not known yet: the certificate is made for a promise of this many predictions.
PROMISE = 10_000.0

Labels = npt.NDArray[np.int64] | None


def make_reference(
    engine: Engine,
    training: Sequence[LabelledInput],
    held_out: Sequence[LabelledInput] | None,
    *,
    rng: np.random.Generator,
    alpha: float = DEFAULT_ALPHA,
    track: ProgressTracker = without_progress,
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
    warnings: list[str] = [] if engine.embedding_note is None else [engine.embedding_note]
    held_out_notes: list[str] = []
    source = "held-out rows"
    if held_out is None:
        training, held_out = _split(training, rng)
        source = "a fifth of the training rows, which the network has seen"
        held_out_notes.append(
            "No held-out data was given, so a fifth of the training rows was held out. The network has seen them: "
            "expect more flagged inputs than promised. Give --valid for honest statistics."
        )
    trained_on = run_inference(engine, training, track, "training rows")
    calibration = run_inference(engine, held_out, track, "held-out rows")
    warnings += [*_refused_warnings("training", trained_on), *_refused_warnings("held-out", calibration)]
    labels, calibration_labels = (_class_indices(engine, results, warnings) for results in (trained_on, calibration))
    one_class = isinstance(engine.task, SingleLabel)
    reference = fit_reference(
        trained_on.outputs.embedding,
        trained_on.outputs.logits if one_class else None,
        labels,
        calibration=(
            calibration.outputs.embedding,
            calibration.outputs.logits if one_class else None,
            calibration_labels,
        ),
        head=engine.head if one_class else None,
        rng=rng,
        alpha=alpha,
        numbers=predicted_numbers(engine, calibration.outputs),
    )
    if reference.thin_classes:
        warnings.append(thin_class_warning(reference.thin_classes, engine.task.classes))
    reference = replace(
        _certified(reference, warnings, held_out_notes, rng),
        origin=_origin(engine, source, _accuracy(calibration, calibration_labels)),
    )
    return _with_content(reference, engine, trained_on, calibration, rng)


def _certified(
    reference: Reference, warnings: Sequence[str], held_out_notes: Sequence[str], rng: np.random.Generator
) -> Reference:
    """The reference with its certificate and all warnings: of all that is wrong with the held-out rows one alone."""
    certificate = certify(reference, PROMISE, rng)
    weakness = held_out_weakness(reference)
    # Where nothing can be flagged, that nothing can be promised goes without saying.
    reason = "" if certificate.passed or not np.isfinite(reference.threshold) else certificate.reason
    about_held_out = " ".join(note for note in (*held_out_notes, weakness, reason) if note)
    others = [*warnings, *(warning for warning in reference.warnings if warning != weakness)]
    return replace(
        reference,
        certificate=certificate.as_json(),
        warnings=(about_held_out, *others) if about_held_out else tuple(others),
    )


def _with_content(
    reference: Reference,
    engine: Engine,
    trained_on: InferenceResults,
    calibration: InferenceResults,
    rng: np.random.Generator,
) -> Reference:
    """The reference with inputs for people and for other machines to look at. They are drawn in this order."""
    return replace(
        reference,
        examples=keep_examples(engine, trained_on, rng),
        parity_samples=tuple(
            make_parity_sample(engine, labelled.read()) for labelled in draw(calibration.inputs, PARITY_SAMPLES, rng)
        ),
        columns=keep_columns(engine, calibration, rng),
        categories=known_categories(engine),
        number_names=number_names(engine, calibration.outputs),
    )


def _origin(engine: Engine, calibration_source: str, accuracy: float | None) -> Origin:
    return Origin(
        learner_sha256=engine.loaded.sha256,
        weights_sha256=engine.loaded.weights_sha256,
        name=engine.loaded.name,
        application=engine.adapter.application,
        task=engine.task.name,
        classes=engine.task.classes,
        created_at=utc_now().isoformat(timespec="seconds"),
        tidegate_version=version("tidegate"),
        calibration_source=calibration_source,
        accuracy=accuracy,
        embedding_layer=engine.embedding_layer,
        made_with=engine.loaded.made_with,
        loaded_with=environment_here(),
    )


def _split(
    inputs: Sequence[LabelledInput], rng: np.random.Generator
) -> tuple[list[LabelledInput], list[LabelledInput]]:
    if len(inputs) < 10:
        raise BadInput(f"{len(inputs)} inputs are too few to hold some out. Give more, or give --valid.")
    labels = [labelled.label or "" for labelled in inputs]
    # A class with a single row, or more classes than held-out rows, can't be stratified.
    smallest_class, held_out_count = min(Counter(labels).values()), int(len(inputs) * HELD_OUT_SHARE)
    stratify = labels if smallest_class > 1 and len(set(labels)) <= held_out_count else None
    seed = int(rng.integers(2**31))
    training, held_out = train_test_split(list(inputs), test_size=HELD_OUT_SHARE, stratify=stratify, random_state=seed)
    return training, held_out


def _refused_warnings(kind: str, results: InferenceResults) -> list[str]:
    if not results.refused:
        return []
    name, reason = results.refused[0]
    return [f"{len(results.refused):,} {kind} inputs can't be read. The first, {name}: {reason}"]


def _class_indices(engine: Engine, results: InferenceResults, warnings: list[str]) -> Labels:
    """The labels as indices into the classes; None, and perhaps a warning, where they can't be used."""
    if not isinstance(engine.task, SingleLabel) or any(label is None for label in results.labels):
        return None
    index_by_class = {name: index for index, name in enumerate(engine.task.classes)}
    unknown = sorted({str(label) for label in results.labels if label not in index_by_class})
    if unknown:
        warnings.append(
            f"Labels that the learner does not know, such as {unknown[0]!r}, so its predictions stand in for labels "
            f"({len(unknown)} unknown of {len(set(results.labels))})."
        )
        return None
    return np.array([index_by_class[str(label)] for label in results.labels], np.int64)


def _accuracy(results: InferenceResults, labels: Labels) -> float | None:
    if labels is None or results.outputs.class_indices is None:
        return None
    return float((results.outputs.class_indices == labels).mean())
