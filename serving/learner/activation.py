"""What a loss function makes of a model's raw output: probabilities or numbers, and what it decides by them.

fastai's losses say it themselves (`activation`, `decodes`). PyTorch's do not, and `Learner.predict` then answers with raw
outputs; what they mean is PyTorch's own definition.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

Step = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Activation:
    """`activate` turns raw outputs `(n, c, …)` into probabilities or numbers, `decide` those into class indices `(n, …)`,
    classes that hold `(n, c)`, or numbers. `loss` is the function's name, for people."""

    activate: Step
    decide: Step
    loss: str


def activation_of(loss: Any, *, of_classes: bool) -> Activation:
    """What a learner's loss function makes of raw outputs.

    Args:
        loss: the function.
        of_classes: whether the target is of classes. A number is answered as the model returns it, whatever PyTorch's loss.
    """
    name = getattr(loss, "__name__", None) or type(loss).__name__
    for function in (loss, getattr(loss, "func", None)):
        known = _OF_TORCH.get(function) if callable(function) and hasattr(function, "__name__") else None
        known = known or _OF_TORCH.get(type(function))
        # fastai's wrappers of these say for themselves what they decide, unless made of one that it does not wrap.
        if known is not None and of_classes and not _says_what_it_decides(loss):
            return Activation(*known, name)
    return Activation(getattr(loss, "activation", _unchanged), getattr(loss, "decodes", _unchanged), name)


def _says_what_it_decides(loss: Any) -> bool:
    if not hasattr(loss, "decodes"):
        return False
    probe = torch.tensor([[0.25, 0.75]])
    decided = loss.decodes(probe)
    return not (isinstance(decided, torch.Tensor) and torch.equal(decided, probe))


def _unchanged(outputs: torch.Tensor) -> torch.Tensor:
    return outputs


def _softmax(outputs: torch.Tensor) -> torch.Tensor:
    # PyTorch's losses have the classes along the second dimension, for masks as well.
    return outputs.softmax(dim=1)


def _largest(activated: torch.Tensor) -> torch.Tensor:
    return activated.argmax(dim=1)


def _above_half(activated: torch.Tensor) -> torch.Tensor:
    return activated > 0.5


_OF_TORCH: dict[Any, tuple[Step, Step]] = {
    nn.CrossEntropyLoss: (_softmax, _largest),
    functional.cross_entropy: (_softmax, _largest),
    nn.NLLLoss: (torch.exp, _largest),
    functional.nll_loss: (torch.exp, _largest),
    nn.BCEWithLogitsLoss: (torch.sigmoid, _above_half),
    functional.binary_cross_entropy_with_logits: (torch.sigmoid, _above_half),
    nn.BCELoss: (_unchanged, _above_half),
    functional.binary_cross_entropy: (_unchanged, _above_half),
}
