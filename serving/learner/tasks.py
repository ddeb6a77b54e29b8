"""What a learner predicts: one class, several classes, or numbers. Read off its loss function and vocabulary."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch

from serving.learner.outputs import Floats32, Outputs, Prediction, array
from store.errors import BadLearner


class Task(Protocol):
    """Turns a model's raw output into what the caller is told."""

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
        chosen = probabilities.argmax(axis=1)
        return Outputs(
            logits=logits,
            embedding=embedding,
            predictions=[self.classes[place] for place in chosen],
            probabilities=probabilities,
            class_indices=chosen.astype(np.int64),
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
        chosen = array(self.decodes(activated)) > 0.5
        return Outputs(
            logits=logits,
            embedding=embedding,
            predictions=[[self.classes[place] for place in np.flatnonzero(row)] for row in chosen],
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
    one_target = len(steps) - learner.dls.n_inp == 1
    if vocabulary and one_target and not isinstance(vocabulary[0], str | int | float | bool | np.generic):
        return vocabulary[-1] if len(vocabulary) > 1 else None
    return vocabulary
