"""A learner's outputs for a batch of inputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

# The standard library's can't be documented by pydantic before Python 3.12.
from typing_extensions import TypedDict

Floats32 = npt.NDArray[np.float32]


class MaskPrediction(TypedDict):
    """A mask: a PNG in base64 whose pixel values are class indices, its size, and the share of its pixels that each class
    covers. `least_sure` is the probability below which the chosen class of one pixel in twenty lies."""

    mask: str
    height: int
    width: int
    shares: dict[str, float]
    least_sure: float


Prediction = str | float | list[str] | list[float] | list[list[float]] | MaskPrediction


@dataclass(frozen=True)
class Outputs:
    """One forward pass over n inputs.

    `logits` `(n, c)` are what the model returns, of masks what `Segmentation` makes of it; `embedding` `(n, d)` is the input
    of one of its layers; `predictions` are decoded. `probabilities` `(n, c)` are None for learners that predict numbers,
    `class_indices` `(n,)` for all that do not predict one class, `confidences` `(n,)` for those that predict numbers or
    several classes at once.
    """

    logits: Floats32
    embedding: Floats32
    predictions: list[Prediction]
    probabilities: Floats32 | None
    class_indices: npt.NDArray[np.int64] | None
    confidences: npt.NDArray[np.float64] | None

    def __len__(self) -> int:
        return len(self.predictions)

    @classmethod
    def joined(cls, parts: Sequence["Outputs"], order: Sequence[int] | None = None) -> "Outputs":
        """The rows of all parts, one after another, or so that row `order[i]` of the result is row i of the parts."""
        positions = None if order is None else np.argsort(np.asarray(order))

        def join(arrays: list[npt.NDArray[Any] | None]) -> npt.NDArray[Any] | None:
            present = [array for array in arrays if array is not None]
            if not present:
                return None
            together = np.concatenate(present)
            return together if positions is None else together[positions]

        predictions = [prediction for part in parts for prediction in part.predictions]
        logits, embedding = join([part.logits for part in parts]), join([part.embedding for part in parts])
        assert logits is not None
        assert embedding is not None
        return cls(
            logits=logits,
            embedding=embedding,
            predictions=predictions if positions is None else [predictions[position] for position in positions],
            probabilities=join([part.probabilities for part in parts]),
            class_indices=join([part.class_indices for part in parts]),
            confidences=join([part.confidences for part in parts]),
        )


def numbers_agree(
    found: npt.NDArray[np.floating[Any]],
    expected: npt.NDArray[np.floating[Any]],
    *,
    tolerance: float,
    equal_nan: bool = False,
) -> bool:
    """Whether two arrays have one shape and differ by at most the tolerance, in units of the largest number expected, or of
    1 where all are smaller."""
    if found.shape != expected.shape:
        return False
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    return bool(np.allclose(found, expected, rtol=0, atol=tolerance * scale, equal_nan=equal_nan))


def array(tensor: torch.Tensor) -> Floats32:
    """A tensor, or one of fastai's kinds of tensor, as an array on the CPU."""
    plain = tensor.as_subclass(torch.Tensor)
    return plain.detach().to("cpu", torch.float32).numpy()
