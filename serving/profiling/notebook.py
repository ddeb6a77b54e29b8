"""Profiles a learner where it was trained, from the data in its own `dls`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from monitor.reference.fit import DEFAULT_ALPHA
from monitor.reference.profile import Reference
from serving.engine.engine import Engine
from serving.learner.adapters.tabular import Tabular, raw_row
from serving.learner.adapters.text import Text, raw_tokens
from serving.learner.adapters.vision import Vision, raw_image
from serving.learner.export.environment import ExportEnvironment, environment_here, minor_of, write_environment
from serving.learner.loading import LoadedLearner, load, name_of, weights_sha256
from serving.profiling.batch_inference import ProgressTracker, without_progress
from serving.profiling.labelled_data import LabelledInput, plain_rows
from serving.profiling.profiler import make_reference
from store.errors import BadInput, BadLearner
from store.recording.prediction_batch import RawInput


def profile_learner(
    learner: Any,
    export: Path | None = None,
    *,
    embedding_layer: str | None = None,
    alpha: float = DEFAULT_ALPHA,
    seed: int = 0,
    track: ProgressTracker = without_progress,
) -> Reference:
    """Profile a learner in memory: fitted on its training set, calibrated on its validation set.

    Args:
        learner: a trained fastai learner with its data.
        export: the file `learn.export()` wrote, `learn.path/"export.pkl"` if not given. If it holds this learner, the
            reference is tied to its hash; if not, to the weights alone.
        embedding_layer: the layer whose input is the embedding; by default the last layer with weights.
        alpha: share of in-domain inputs that may be flagged.
        seed: of all randomness.
        track: draws progress.

    Raises:
        BadInput: the learner has no data, such as one that was loaded from an export.
        BadLearner: it can't be served.
    """
    if not len(learner.dls.train_ds) or not len(learner.dls.valid_ds):
        raise BadInput(
            "This learner has no training or no validation rows: an exported learner leaves its data behind. "
            "Profile where it was trained, or use `tidegate profile export.pkl --data TRAINING_DATA`."
        )
    weights = weights_sha256(learner.model)
    path = export or Path(learner.path) / "export.pkl"
    known, warning = _environment_of_export(path, weights)
    sha256, made_with = (None, None) if known is None else (known.learner_sha256, known.made_with)
    was_training = learner.model.training
    loaded = LoadedLearner(learner, name_of(path), sha256, weights, made_with)
    engine = Engine(loaded, embedding_layer=embedding_layer)
    try:
        training, held_out = (
            _labelled_inputs(engine, dataset) for dataset in (learner.dls.train_ds, learner.dls.valid_ds)
        )
        reference = make_reference(
            engine, training, held_out, rng=np.random.default_rng(seed), alpha=alpha, track=track
        )
    finally:
        engine.close()
        learner.model.train(was_training)
    if known is not None:
        write_environment(path, known)
    if warning is None:
        return reference
    return replace(reference, warnings=(warning, *reference.warnings))


def _environment_of_export(path: Path, weights: str) -> tuple[ExportEnvironment | None, str | None]:
    """The hash and environment of the exported file if it holds these weights, and else a warning that says why not."""
    if not path.is_file():
        return (
            None,
            f"There is no {path} yet, so the reference is tied to the weights alone. Call `learn.export()` first.",
        )
    try:
        exported = load(path)
    except BadLearner as error:
        return None, f"{error} The reference is tied to the weights alone."
    if exported.weights_sha256 != weights:
        return None, f"{path} holds another learner, so the reference is tied to the weights alone. Export again."
    assert exported.sha256 is not None
    here, made_with = environment_here(), exported.made_with
    # A learner with its data was trained in this process: an export leaves them behind. Its bytecode may tell otherwise.
    if made_with is None or made_with == {"python": minor_of(here["python"])}:
        made_with = here
    return ExportEnvironment(exported.sha256, made_with, here), None


def _labelled_inputs(engine: Engine, dataset: Any) -> list[LabelledInput]:
    if isinstance(engine.adapter, Tabular):
        return _labelled_rows(engine.adapter, dataset)
    targets = dataset.tls[1] if len(dataset.tls) > 1 else None
    classes = engine.task.classes

    def label(index: int) -> str | None:
        if targets is None or engine.task.name != "single_label":
            return None
        return classes[int(targets[index])]

    def raw(item: Any) -> RawInput:
        if isinstance(engine.adapter, Text):
            return raw_tokens(dataset, item)
        assert isinstance(engine.adapter, Vision)
        return raw_image(engine.adapter.source_of(dataset, item))

    return [
        LabelledInput(f"item {index}", label(index), lambda item=item: raw(item))  # type: ignore[misc]
        for index, item in enumerate(_items(dataset))
    ]


def _items(dataset: Any) -> list[Any]:
    items = dataset.items
    return [row for _, row in items.iterrows()] if hasattr(items, "iterrows") else list(items)


def _labelled_rows(adapter: Tabular, dataset: Any) -> list[LabelledInput]:
    # Decoding changes the table in place.
    table = dataset.new(dataset.items.copy()).decode().items
    inputs = table[[*adapter.categorical, *adapter.continuous]].copy()
    for name in adapter.continuous:
        if f"{name}_na" in table.columns:
            inputs[name] = inputs[name].astype(float).where(~table[f"{name}_na"].astype(bool))
    targets = list(dataset.y_names)
    labels = [str(label) for label in table[targets[0]]] if len(targets) == 1 else [None] * len(table)
    return [
        LabelledInput(f"row {number}", label, lambda row=row: raw_row(row))  # type: ignore[misc]
        for number, (row, label) in enumerate(zip(plain_rows(inputs), labels, strict=True))
    ]
