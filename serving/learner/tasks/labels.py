"""Classes: one of several, or any number of them at once."""

from typing import ClassVar

import numpy as np
import torch

from serving.learner.outputs import Floats32, Outputs
from serving.learner.tasks.base import FlatTask


class SingleLabel(FlatTask):
    """One class of several."""

    name: ClassVar[str] = "single_label"

    def plain_outputs(
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


class MultiLabel(FlatTask):
    """Any number of classes at once."""

    name: ClassVar[str] = "multi_label"

    def plain_outputs(
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
