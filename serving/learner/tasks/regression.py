"""Numbers: one for each input, or several."""

from typing import ClassVar

import torch

from serving.learner.decoding import as_prediction
from serving.learner.outputs import Floats32, Outputs, Prediction, array
from serving.learner.tasks.base import FlatTask


class Regression(FlatTask):
    """One number, or several."""

    name: ClassVar[str] = "regression"

    def probabilities(self, logits: Floats32) -> Floats32 | None:
        return None

    def plain_outputs(
        self, logits: Floats32, embedding: Floats32, activated: Floats32, decided: torch.Tensor
    ) -> Outputs:
        values = array(decided).reshape(len(logits), -1)
        predictions: list[Prediction] = [as_prediction(row, of_classes=False) for row in values]
        return Outputs(logits.reshape(len(logits), -1), embedding, predictions, None, None, None)
