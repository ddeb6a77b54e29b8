"""The interface of a task: it turns a model's raw output into predictions, as `Learner.predict` does."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from serving.learner.activation import Activation
from serving.learner.decoding import DecodeTargets, as_prediction
from serving.learner.outputs import Floats32, Outputs, array

ModelInputs = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Task(ABC):
    """What a learner predicts.

    Args:
        classes: of the target, in the order of the outputs; empty where numbers are predicted.
        activation: what the loss function makes of raw outputs.
    """

    name: ClassVar[str]
    classes: list[str]
    activation: Activation

    @abstractmethod
    def probabilities(self, logits: Floats32) -> Floats32 | None:
        """The probabilities `(n, c)` of what the model returned, or of what is recorded of it; None for numbers."""

    @abstractmethod
    def outputs(self, logits: Floats32, embedding: Floats32, model_inputs: Callable[[], ModelInputs]) -> Outputs:
        """Decode as `Learner.get_preds` and `Learner.predict` do.

        Args:
            logits: what the model returned, shape `(n, c)`, for masks `(n, c, height, width)`.
            embedding: shape `(n, d)`.
            model_inputs: what the model was given, for decodings that depend on it; asked only by those.
        """


@dataclass(frozen=True)
class FlatTask(Task):
    """A task whose outputs are c numbers for each input.

    Args:
        decode_targets: the learner's own decoding, where it says something else than the classes or the numbers
            themselves, such as points in pixels; None where it does not.
    """

    decode_targets: DecodeTargets | None = None

    def probabilities(self, logits: Floats32) -> Floats32 | None:
        return array(self.activation.activate(torch.from_numpy(logits)))

    def outputs(self, logits: Floats32, embedding: Floats32, model_inputs: Callable[[], ModelInputs]) -> Outputs:
        activated = self.activation.activate(torch.from_numpy(logits))
        decided = self.activation.decide(activated)
        outputs = self.plain_outputs(logits, embedding, array(activated), decided)
        if self.decode_targets is None:
            return outputs
        targets = self.decode_targets(model_inputs(), decided)
        of_classes = bool(self.classes)
        return replace(outputs, predictions=[as_prediction(target, of_classes=of_classes) for target in targets])

    @abstractmethod
    def plain_outputs(
        self, logits: Floats32, embedding: Floats32, activated: Floats32, decided: torch.Tensor
    ) -> Outputs:
        """The outputs with the classes or numbers themselves as predictions."""
