"""The learner's own decoding of what was predicted: fastai's, run over targets."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from serving.learner.outputs import Prediction

# Takes what the model was given for n inputs, and what the loss function decided for them; returns n targets.
DecodeTargets = Callable[[tuple[torch.Tensor, ...], torch.Tensor], list[Any]]

_TOLERANCE = 1e-5


def decode_batch(learner: Any) -> DecodeTargets:
    """The decoding of a learner over blocks of data: pictures and texts."""
    n_inputs = learner.dls.n_inp

    def decode(model_inputs: tuple[torch.Tensor, ...], decided: torch.Tensor) -> list[Any]:
        decoded = learner.dls.decode_batch((*model_inputs, decided), max_n=len(decided))
        return [item[n_inputs:][0] for item in decoded]

    return decode


def decode_table(learner: Any) -> DecodeTargets:
    """The decoding of a learner over a table."""
    names = list(learner.dls.y_names)

    def decode(model_inputs: tuple[torch.Tensor, ...], decided: torch.Tensor) -> list[Any]:
        rows = learner.dls.decode((*model_inputs, decided)).decode().items[names].itertuples(index=False)
        return [_target_of_row(names, list(row)) for row in rows]

    return decode


def _target_of_row(names: list[str], values: list[Any]) -> Any:
    if len(names) > 1 and all(isinstance(value, bool | np.bool_) for value in values):
        # Several classes, each with a column that says whether it holds.
        return [name for name, holds in zip(names, values, strict=True) if holds]
    return values[0] if len(names) == 1 else values


def as_prediction(target: Any, *, of_classes: bool) -> Prediction:
    """A decoded target as an answer holds it.

    Args:
        target: a class, a sequence of classes, a number, a tensor of numbers, or a tuple of them.
        of_classes: whether it is of classes, which are text, and not of numbers.
    """
    plain = target.tolist() if isinstance(target, torch.Tensor | np.ndarray | np.generic) else target
    if isinstance(plain, str):
        return plain
    if isinstance(plain, Sequence):
        elements: Any = [as_prediction(element, of_classes=of_classes) for element in plain]
        # fastai makes a tuple of a single number.
        return elements[0] if len(elements) == 1 and not of_classes else elements  # type: ignore[no-any-return]
    return str(plain) if of_classes else float(plain)


def same_prediction(one: Any, other: Any) -> bool:
    """Whether two predictions are the same, numbers within what rounding does to them."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_prediction, one, other))
    return bool(one == other)
