"""PyTorch as it is, with batch normalisation folded into convolutions and channels last."""

import copy
import warnings
from typing import Any, ClassVar

import torch
from torch import nn

from serving.engine.backends.base import Backend, Floats32, Program
from serving.learner.outputs import array


class Eager(Backend):
    """The learner's own modules. Always eligible, on the CPU and on a GPU."""

    name: ClassVar[str] = "eager"
    quick: ClassVar[bool] = True

    def __init__(self, program: Program, threads: int, device: str = "cpu") -> None:
        self._threads = threads
        self._device = torch.device(device)
        self._module = program.module.to(self._device)

    def run(self, arguments: tuple[Any, ...]) -> tuple[Floats32, Floats32]:
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        with torch.inference_mode():
            logits, embedding = self._module(*(argument.to(self._device) for argument in arguments))
            return array(logits), array(embedding)


def fold(model: nn.Module) -> nn.Module:
    """A copy of a convolutional model with its batch normalisation folded and channels last; others as they are."""
    if not any(isinstance(module, nn.Conv2d) for module in model.modules()):
        return model
    try:
        from torch.fx.experimental.optimization import fuse

        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            copied: nn.Module = fuse(model)
    except Exception:  # noqa: BLE001 - a model that can't be traced runs as it is
        copied = copy.deepcopy(model)
    channels_last: nn.Module = copied.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return channels_last
