"""What a learner predicts: one class, several classes, or numbers, as its loss function and vocabulary say."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch

from serving.learner.outputs import Floats32, Outputs, Prediction, array
from store.errors import BadLearner


class Task(Protocol):
    """Turns a model's raw output into predictions."""

    name: ClassVar[str]
    classes: list[str]

    def outputs(self, logits: Floats32, embedding: Floats32) -> Outputs:
        """Decode logits `(n, c)` as `Learner.get_preds` and `Learner.predict` do."""
        ...


@dataclass(frozen=True)
class SingleLabel(Task):
    """One class of several."""

    name: ClassVar[str] = "single_label"
    classes: list[str]
    activation: Any

    def outputs(self, logits: Floats32, embedding: Floats32) -> Outputs:
        probabilities = array(self.activation(torch.from_numpy(logits)))
        class_indices = probabilities.argmax(axis=1)
        return Outputs(
            logits=logits,
            embedding=embedding,
            predictions=[self.classes[index] for index in class_indices],
            probabilities=probabilities,
            class_indices=class_indices.astype(np.int64),
            confidences=probabilities.max(axis=1).astype(np.float64),
        )


@dataclass(frozen=True)
class MultiLabel(Task):
    """Any number of classes at once."""

    name: ClassVar[str] = "multi_label"
    classes: list[str]
    activation: Any
    decodes: Any

    def outputs(self, logits: Floats32, embedding: Floats32) -> Outputs:
        activated = self.activation(torch.from_numpy(logits))
        is_predicted = array(self.decodes(activated)) > 0.5
        return Outputs(
            logits=logits,
            embedding=embedding,
            predictions=[[self.classes[index] for index in np.flatnonzero(row)] for row in is_predicted],
            probabilities=array(activated),
            class_indices=None,
            confidences=None,
        )


@dataclass(frozen=True)
class Regression(Task):
    """One number, or several."""

    name: ClassVar[str] = "regression"
    classes: list[str]
    activation: Any

    def outputs(self, logits: Floats32, embedding: Floats32) -> Outputs:
        values = array(self.activation(torch.from_numpy(logits))).reshape(len(logits), -1)
        predictions: list[Prediction] = [
            float(row[0]) if row.size == 1 else [float(value) for value in row] for row in values
        ]
        return Outputs(logits, embedding, predictions, None, None, None)


def task_of(learner: Any) -> Task:
    """The task of a learner.

    Raises:
        BadLearner: it predicts something that is neither classes nor numbers, such as masks.
    """
    loss = learner.loss_func
    activation = getattr(loss, "activation", lambda logits: logits)
    decodes = getattr(loss, "decodes", lambda activated: activated)
    vocabulary = _vocabulary(learner)
    if not vocabulary:
        return Regression([], activation)
    if not all(isinstance(entry, str | int | float | bool | np.generic) for entry in vocabulary):
        raise BadLearner(
            "This learner predicts several targets at once, each with its own vocabulary, which Tidegate does not serve "
            "yet. Export one learner per target."
        )
    classes = [str(entry) for entry in vocabulary]
    decoded = decodes(activation(torch.zeros(2, len(classes))))
    if tuple(decoded.shape) == (2,):
        return SingleLabel(classes, activation)
    if tuple(decoded.shape) == (2, len(classes)):
        return MultiLabel(classes, activation, decodes)
    raise BadLearner(
        f"The loss function {loss} decodes predictions of {len(classes)} classes to shape {tuple(decoded.shape)}, which "
        "is neither one class nor several. Tidegate serves classification and regression."
    )


def _vocabulary(learner: Any) -> Any:
    """The classes of the target, or of all targets; texts have a vocabulary of words before it."""
    vocabulary = getattr(learner.dls, "vocab", None)
    steps = getattr(learner.dls.valid_ds, "tls", ())
    has_one_target = len(steps) - learner.dls.n_inp == 1
    if vocabulary and has_one_target and not isinstance(vocabulary[0], str | int | float | bool | np.generic):
        return vocabulary[-1] if len(vocabulary) > 1 else None
    return vocabulary
