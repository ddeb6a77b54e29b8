"""What Tidegate makes of each kind of learner: how exactly it is answered, or why it is refused."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from serving.engine.engine import Engine
from serving.learner.decoding import as_prediction, same_prediction
from serving.learner.loading import load
from serving.profiling.notebook import profile_learner
from store.errors import BadLearner
from tests.learners import pictures, refused_pictures, tables, texts
from tests.learners.case import Exported, Refused, Served, export

SERVED: tuple[Served, ...] = (*pictures.SERVED, *tables.SERVED, *texts.SERVED)
REFUSED: tuple[Refused, ...] = (*refused_pictures.REFUSED, *tables.REFUSED, *texts.REFUSED)
INPUTS = 8


@dataclass(frozen=True)
class Exactness:
    """How a learner is answered.

    `largest_difference` is that of a probability or a number; `differing` are predictions that are not the learner's, each
    with the learner's; `embedding` is the layer whose input the embedding is, by type. `same_layer_in_reference`
    says whether a profile made where the learner was trained is of that layer.
    """

    largest_difference: float
    differing: list[tuple[Any, Any]]
    embedding: str
    same_layer_in_reference: bool


def measure(kind: Served, folder: Path) -> Exactness:
    """Export a learner of this kind, serve it, and compare with what it says itself, alone and in a batch."""
    made = kind.make()
    # An exported learner leaves its data behind: it is asked itself before.
    engine = Engine(load(export(made.learner, folder)))
    learner = engine.loaded.learner
    count = min(INPUTS, len(made.raws))
    expected = [made.answer(learner, item) for item in made.items[:count]]
    largest, differing = 0.0, []
    for size in (1, count):
        for start in range(0, count, size):
            outputs = engine.predict(made.raws[start : start + size])
            numbers = outputs.logits if outputs.probabilities is None else outputs.probabilities
            for row, (target, own_numbers) in enumerate(expected[start : start + size]):
                own, found = _comparable(target, outputs.predictions[row], engine)
                if not same_prediction(found, own):
                    differing.append((found, own))
                own_array = np.asarray(own_numbers)
                # Of a mask there are the probabilities of each pixel; what is answered is their mean.
                own_array = own_array if own_array.ndim == 1 else own_array.mean(axis=(1, 2))
                largest = max(largest, float(np.abs(numbers[row] - own_array).max()))
    origin = profile_learner(made.learner).origin
    same_layer = origin is not None and origin.embedding_layer == engine.embedding_layer
    return Exactness(largest, differing, _embedding_of(engine), same_layer)


def refusal(kind: Refused, folder: Path) -> str:
    """What is said of a learner of this kind when it is loaded."""
    try:
        Engine(load(export(kind.make(), folder)))
    except BadLearner as error:
        return str(error)
    return "it was not refused"


def _comparable(target: Any, found: Any, engine: Engine) -> tuple[Any, Any]:
    """What a learner predicted, and what a gateway answered, in the same form."""
    if isinstance(found, dict):
        return target.tolist(), np.asarray(Image.open(io.BytesIO(base64.b64decode(found["mask"])))).tolist()
    return as_prediction(target, of_classes=bool(engine.task.classes)), found


def _embedding_of(engine: Engine) -> str:
    modules = dict(engine.loaded.learner.model.named_modules())
    layer = modules.get(engine.embedding_layer)
    return engine.embedding_layer if layer is None else type(layer).__name__


__all__ = ["REFUSED", "SERVED", "Exactness", "Exported", "measure", "refusal"]
