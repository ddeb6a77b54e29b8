"""What a learner predicts, one kind per file: classes, numbers, or masks, as its target and its loss function say."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from serving.learner.activation import Activation, activation_of
from serving.learner.decoding import DecodeTargets, same_prediction
from serving.learner.outputs import Floats32
from serving.learner.targets import Target
from serving.learner.tasks.base import FlatTask, ModelInputs, Task
from serving.learner.tasks.labels import MultiLabel, SingleLabel
from serving.learner.tasks.regression import Regression
from serving.learner.tasks.segmentation import Segmentation, segmentation_of
from store.errors import BadLearner

_ROWS_COMPARED = 16


def task_of(
    learner: Any, target: Target, decode_targets: DecodeTargets, logits: Floats32, model_inputs: ModelInputs
) -> Task:
    """The task of a learner.

    Args:
        learner: the learner.
        target: what it predicts.
        decode_targets: its own decoding, which is used where it says something else than we would.
        logits: what its model returns for one input, shape `(1, c)`, for masks `(1, c, height, width)`.
        model_inputs: what the model is given for that input.

    Raises:
        BadLearner: what the model returns and the loss function decides is not what the target is.
    """
    activation = activation_of(learner.loss_func, of_classes=target.kind != "numbers")
    if target.kind == "mask":
        return segmentation_of(activation, target.classes, logits)
    task = _checked_task(target, activation, logits[0].size)
    examples = _example_logits(logits[0].size)
    repeated = tuple(torch.cat([argument[:1]] * len(examples)) for argument in model_inputs)
    with_decoding = replace(task, decode_targets=decode_targets)
    try:
        decoded = with_decoding.outputs(examples, examples, lambda: repeated).predictions
    except BadLearner:
        # A function that this Python can't run.
        raise
    except Exception:  # noqa: BLE001 - where fastai can't decode, `Learner.predict` has no answer to differ from
        return task
    same = same_prediction(task.outputs(examples, examples, lambda: repeated).predictions, decoded)
    return task if same else with_decoding


def _checked_task(target: Target, activation: Activation, width: int) -> FlatTask:
    if target.kind == "numbers":
        return Regression([], activation)
    classes = target.classes
    if width < len(classes) and width > 1 and _takes_the_largest(activation, width):
        # An answer is the class of the largest output; the last classes have none, and are never answered.
        classes = classes[:width]
    if width != len(classes):
        named = f"{', '.join(classes[:6])}{', …' if len(classes) > 6 else ''}"
        raise BadLearner(
            f"The model returns {width} number{'s' if width > 1 else ''} for an input, and the target has {len(classes)} "
            f"classes ({named}): outputs and classes do not belong together. Give the model one output for each class."
        )
    decided = tuple(activation.decide(activation.activate(torch.zeros(2, width))).shape)
    if target.kind == "one class" and decided == (2,):
        return SingleLabel(classes, activation)
    if target.kind == "several classes" and decided == (2, width):
        return MultiLabel(classes, activation)
    fitting = "CrossEntropyLossFlat" if target.kind == "one class" else "BCEWithLogitsLossFlat"
    raise BadLearner(
        f"The target is {target.kind}, and the loss function {activation.loss} does not say how the model's outputs become "
        f"that, so that `learn.predict` can't either. If the model returns logits: `learn.loss_func = {fitting}()`, then "
        "`learn.export()` again."
    )


def _takes_the_largest(activation: Activation, width: int) -> bool:
    logits = torch.from_numpy(_example_logits(width))
    return torch.equal(activation.decide(activation.activate(logits)), logits.argmax(dim=1))


def _example_logits(width: int) -> Floats32:
    """Logits `(n, width)` in which one output after another is the largest."""
    n = min(width, _ROWS_COMPARED)
    logits = np.full((n, width), -1.5, np.float32)
    logits[np.arange(n), np.linspace(0, width - 1, n).astype(int)] = 1.25
    return logits


__all__ = ["MultiLabel", "Regression", "Segmentation", "SingleLabel", "Task", "task_of"]
