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


def fold(model: nn.Module, layer: str) -> nn.Module:
    """A copy of a convolutional model with its batch normalisation folded and channels last; others as they are.

    Args:
        model: in evaluation mode.
        layer: the name of one that the copy must run as the model does, because its input is wanted.
    """
    if not any(isinstance(module, nn.Conv2d) for module in model.modules()):
        return model
    try:
        from torch.fx.experimental.optimization import fuse

        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            copied: nn.Module = fuse(_trace(copy.deepcopy(model), layer), inplace=True, no_trace=True)
        if not _runs(copied, layer):
            # It was a normalisation, and is now part of the layer before it.
            copied = copy.deepcopy(model)
    except Exception:  # noqa: BLE001 - a model that can't be traced runs as it is
        copied = copy.deepcopy(model)
    channels_last: nn.Module = copied.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return channels_last


def _trace(model: nn.Module, layer: str) -> nn.Module:
    """A model as a graph in which one layer stays a module, even where it is one of the user's own."""
    from torch import fx

    class Tracer(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return module_qualified_name == layer or bool(super().is_leaf_module(m, module_qualified_name))

    return fx.GraphModule(model, Tracer().trace(model))


def _runs(traced: Any, layer: str) -> bool:
    return any(node.op == "call_module" and node.target == layer for node in traced.graph.nodes)
