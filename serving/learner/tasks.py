"""What a learner predicts: one class, several classes, or numbers, as its target and its loss function say."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch

from serving.learner.activation import Activation, activation_of
from serving.learner.decoding import DecodeTargets, as_prediction, same_prediction
from serving.learner.outputs import Floats32, Outputs, Prediction, array
from serving.learner.targets import Target
from store.errors import BadLearner

ModelInputs = tuple[torch.Tensor, ...]
_ROWS_COMPARED = 16


@dataclass(frozen=True)
class Task(ABC):
    """Turns a model's raw output into predictions, as `Learner.predict` does.

    Args:
        classes: of the target, in the order of the outputs; empty where numbers are predicted.
        activation: what the loss function makes of raw outputs.
        decode_targets: the learner's own decoding, where it says something else than the classes or the numbers
            themselves, such as points in pixels; None where it does not.
    """

    name: ClassVar[str]
    classes: list[str]
    activation: Activation
    decode_targets: DecodeTargets | None = None

    def probabilities(self, logits: Floats32) -> Floats32 | None:
        """The probabilities `(n, c)` of logits `(n, c)`; None where numbers are predicted."""
        return array(self.activation.activate(torch.from_numpy(logits)))

    def outputs(self, logits: Floats32, embedding: Floats32, model_inputs: Callable[[], ModelInputs]) -> Outputs:
        """Decode as `Learner.get_preds` and `Learner.predict` do.

        Args:
            logits: what the model returned, shape `(n, c)`.
            embedding: shape `(n, d)`.
            model_inputs: what the model was given, for decodings that depend on it; asked only by those.
        """
        activated = self.activation.activate(torch.from_numpy(logits))
        decided = self.activation.decide(activated)
        outputs = self._by_classes_or_numbers(logits, embedding, array(activated), decided)
        if self.decode_targets is None:
            return outputs
        targets = self.decode_targets(model_inputs(), decided)
        of_classes = bool(self.classes)
        return replace(outputs, predictions=[as_prediction(target, of_classes=of_classes) for target in targets])

    @abstractmethod
    def _by_classes_or_numbers(
        self, logits: Floats32, embedding: Floats32, activated: Floats32, decided: torch.Tensor
    ) -> Outputs: ...


class SingleLabel(Task):
    """One class of several."""

    name: ClassVar[str] = "single_label"

    def _by_classes_or_numbers(
        self, logits: Floats32, embedding: Floats32, activated: Floats32, decided: torch.Tensor
    ) -> Outputs:
        class_indices = decided.numpy().astype(np.int64)
        return Outputs(
            logits=logits,
            embedding=embedding,
            predictions=[self.classes[index] for index in class_indices],
            probabilities=activated,
            class_indices=class_indices,
            confidences=activated[np.arange(len(activated)), class_indices].astype(np.float64),
        )


class MultiLabel(Task):
    """Any number of classes at once."""

    name: ClassVar[str] = "multi_label"

    def _by_classes_or_numbers(
        self, logits: Floats32, embedding: Floats32, activated: Floats32, decided: torch.Tensor
    ) -> Outputs:
        return Outputs(
            logits=logits,
            embedding=embedding,
            predictions=[[self.classes[index] for index in np.flatnonzero(row)] for row in decided.numpy()],
            probabilities=activated,
            class_indices=None,
            confidences=None,
        )


class Regression(Task):
    """One number, or several."""

    name: ClassVar[str] = "regression"

    def probabilities(self, logits: Floats32) -> Floats32 | None:
        return None

    def _by_classes_or_numbers(
        self, logits: Floats32, embedding: Floats32, activated: Floats32, decided: torch.Tensor
    ) -> Outputs:
        values = array(decided).reshape(len(logits), -1)
        predictions: list[Prediction] = [as_prediction(row, of_classes=False) for row in values]
        return Outputs(logits, embedding, predictions, None, None, None)


def task_of(learner: Any, target: Target, decode_targets: DecodeTargets, width: int, model_inputs: ModelInputs) -> Task:
    """The task of a learner.

    Args:
        learner: the learner.
        target: what it predicts.
        decode_targets: its own decoding, which is used where it says something else than we would.
        width: c, how many numbers its model returns for an input.
        model_inputs: what the model is given for one input.

    Raises:
        BadLearner: what the model returns and the loss function decides is not what the target is.
    """
    task = _checked_task(target, activation_of(learner.loss_func), width)
    logits = _example_logits(width)
    repeated = tuple(torch.cat([argument[:1]] * len(logits)) for argument in model_inputs)
    with_decoding = replace(task, decode_targets=decode_targets)
    try:
        decoded = with_decoding.outputs(logits, logits, lambda: repeated).predictions
    except Exception:  # noqa: BLE001 - where fastai can't decode, `Learner.predict` has no answer to differ from
        return task
    same = same_prediction(task.outputs(logits, logits, lambda: repeated).predictions, decoded)
    return task if same else with_decoding


def _checked_task(target: Target, activation: Activation, width: int) -> Task:
    if target.kind == "numbers":
        return Regression([], activation)
    if width != len(target.classes):
        raise BadLearner(
            f"The model returns {width} number{'s' if width > 1 else ''} for an input, and the target has "
            f"{len(target.classes)} classes ({', '.join(target.classes[:6])}{', …' if len(target.classes) > 6 else ''}), so "
            "that no answer can be made of them: `learn.predict` makes none either. Give the model one output for each class."
        )
    decided = tuple(activation.decide(activation.activate(torch.zeros(2, width))).shape)
    if target.kind == "one class" and decided == (2,):
        return SingleLabel(target.classes, activation)
    if target.kind == "several classes" and decided == (2, width):
        return MultiLabel(target.classes, activation)
    fitting = "CrossEntropyLossFlat" if target.kind == "one class" else "BCEWithLogitsLossFlat"
    raise BadLearner(
        f"The target is {target.kind}, and the loss function {activation.loss} does not say how the model's outputs become "
        f"that, so that `learn.predict` can't either. If the model returns logits: `learn.loss_func = {fitting}()`, then "
        "`learn.export()` again."
    )


def _example_logits(width: int) -> Floats32:
    """Logits `(n, width)` in which one output after another is the largest."""
    n = min(width, _ROWS_COMPARED)
    logits = np.full((n, width), -1.5, np.float32)
    logits[np.arange(n), np.linspace(0, width - 1, n).astype(int)] = 1.25
    return logits
