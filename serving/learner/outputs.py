"""A learner's outputs for a batch of inputs."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

Floats32 = npt.NDArray[np.float32]
Prediction = str | float | list[str] | list[float] | list[list[float]]


@dataclass(frozen=True)
class Outputs:
    """One forward pass over n inputs.

    `logits` `(n, c)` are what the model returns, `embedding` `(n, d)` is the input of one of its layers;
    `predictions` are decoded. `probabilities` `(n, c)` are None for learners that predict numbers, `class_indices` and
    `confidences` `(n,)` also for those that predict several classes at once.
    """

    logits: Floats32
    embedding: Floats32
    predictions: list[Prediction]
    probabilities: Floats32 | None
    class_indices: npt.NDArray[np.int64] | None
    confidences: npt.NDArray[np.float64] | None

    def __len__(self) -> int:
        return len(self.predictions)


def array(tensor: torch.Tensor) -> Floats32:
    """A tensor, or one of fastai's kinds of tensor, as an array on the CPU."""
    plain = tensor.as_subclass(torch.Tensor)
    return plain.detach().to("cpu", torch.float32).numpy()
