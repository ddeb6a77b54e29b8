"""The predicted numbers of held-out rows, which a reference keeps to compare windows of predictions with."""

from typing import Any

import numpy as np
import numpy.typing as npt

from serving.engine.engine import Engine
from serving.learner.outputs import Outputs, numbers_agree
from serving.learner.tasks import Regression

_TOLERANCE = 1e-4


def predicted_numbers(engine: Engine, outputs: Outputs) -> npt.NDArray[np.float32] | None:
    """The numbers that the model returned, as the record keeps them, shape `(n, k)`; None where it predicts no numbers."""
    if engine.task.name != Regression.name:
        return None
    numbers = outputs.logits.reshape(len(outputs), -1)
    return numbers if numbers.shape[1] else None


def number_names(engine: Engine, outputs: Outputs) -> tuple[str, ...]:
    """What people call each of these numbers: the target columns of a table; empty where they have no name.

    Where answers are made of the numbers in another unit, such as points in pixels, they are called raw.
    """
    numbers = predicted_numbers(engine, outputs)
    if numbers is None:
        return ()
    count = numbers.shape[1]
    if not _are_answers(numbers, outputs.predictions):
        return ("raw output",) if count == 1 else tuple(f"raw output {index + 1}" for index in range(count))
    targets = tuple(str(name) for name in getattr(engine.loaded.learner.dls, "y_names", ()))
    return targets if len(targets) == count else ()


def _are_answers(numbers: npt.NDArray[np.float32], predictions: list[Any]) -> bool:
    try:
        answered = np.asarray(predictions, np.float64).reshape(len(numbers), -1)
    except (TypeError, ValueError):
        # Answers of several shapes.
        return False
    return numbers_agree(answered, numbers, tolerance=_TOLERANCE)
