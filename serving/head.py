"""The last linear layer of a model: its input is the embedding, its weights are the head."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from store.errors import BadLearner

Floats = npt.NDArray[np.float64]


class LastLinear:
    """Records what the last linear layer of a model is given while it runs.

    Raises:
        BadLearner: the model has no linear layer.
    """

    def __init__(self, model: nn.Module) -> None:
        linear = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
        if not linear:
            raise BadLearner(
                "The model has no linear layer, so there is no embedding to watch. Give its head an `nn.Linear`."
            )
        self.name, self.layer = linear[-1]
        self._seen: torch.Tensor | None = None
        self._handle = self.layer.register_forward_pre_hook(self._keep)

    def _keep(self, _layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._seen = inputs[0]

    def take(self) -> npt.NDArray[np.float32]:
        """The embedding of the batch that has just run, shape `(n, d)`."""
        seen, self._seen = self._seen, None
        if seen is None or seen.ndim != 2:
            raise BadLearner(
                f"The last linear layer, {self.name}, was given "
                f"{'nothing' if seen is None else f'shape {tuple(seen.shape)}'} and not one vector per input."
            )
        return seen.as_subclass(torch.Tensor).detach().to("cpu", torch.float32).numpy()

    def remove(self) -> None:
        """Leave the model as it was."""
        self._handle.remove()

    def weights(
        self, embedding: npt.NDArray[np.float32], logits: npt.NDArray[np.float32]
    ) -> tuple[Floats, Floats] | None:
        """Weights `(c, d)` and bias `(c,)`, if the logits are this layer's output; None if more follows it."""
        weights = self.layer.weight.detach().cpu().double().numpy()
        bias = (
            np.zeros(weights.shape[0]) if self.layer.bias is None else self.layer.bias.detach().cpu().double().numpy()
        )
        if weights.shape[0] != logits.shape[1]:
            return None
        return (weights, bias) if np.allclose(embedding @ weights.T + bias, logits, rtol=1e-3, atol=1e-3) else None
