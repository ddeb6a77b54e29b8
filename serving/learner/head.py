"""The last linear layer of a model: its input is the embedding, its weights are the head."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from store.errors import BadLearner

Floats = npt.NDArray[np.float64]


class WithEmbedding(nn.Module):
    """A model that returns its logits `(n, c)` and the input of its last linear layer, the embedding `(n, d)`.

    Args:
        model: any model.
        layer: the name of the layer whose input is the embedding; `embedding_layer` finds the linear one that is run last.
    """

    def __init__(self, model: nn.Module, layer: str) -> None:
        super().__init__()
        self.model = model
        self.layer = layer
        self._embedding: torch.Tensor | None = None
        self._handle = model.get_submodule(layer).register_forward_pre_hook(self._store_embedding)

    def _store_embedding(self, _layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._embedding = inputs[0]

    def forward(self, *arguments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.model(*arguments)
        # Text models return their hidden states too.
        logits = logits[0] if isinstance(logits, tuple | list) else logits
        embedding, self._embedding = self._embedding, None
        assert embedding is not None, f"the layer {self.layer} was not run"
        return _one_row_each(logits), _one_vector_each(embedding)

    def remove(self) -> None:
        """Take the hook off the model, which is then as it was."""
        self._handle.remove()


class DotProduct(nn.Module):
    """fastai's `EmbeddingDotBias`, which has no linear layer: rating = Σ u∘v + biases, so its embedding is u∘v."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pairs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        users, items = pairs[:, 0], pairs[:, 1]
        product = self.model.u_weight(users) * self.model.i_weight(items)
        rating = product.sum(1) + self.model.u_bias(users).squeeze(1) + self.model.i_bias(items).squeeze(1)
        if self.model.y_range is not None:
            low, high = self.model.y_range
            rating = torch.sigmoid(rating) * (high - low) + low
        return rating[:, None], product

    def remove(self) -> None:
        """The model was not changed, so that nothing is to be removed."""


def with_embedding(
    model: nn.Module, arguments: tuple[Any, ...], layer: str | None = None
) -> WithEmbedding | DotProduct:
    """A model with its embedding beside its logits.

    Args:
        model: in evaluation mode.
        arguments: a batch that it accepts.
        layer: the operator's choice; by default the linear layer that is run last.

    Raises:
        BadLearner: there is no such layer, or none that is given one vector per input.
    """
    if layer is None and all(hasattr(model, name) for name in ("u_weight", "i_weight", "u_bias", "i_bias", "y_range")):
        return DotProduct(model)
    return WithEmbedding(model, embedding_layer(model, arguments, layer))


def embedding_layer(model: nn.Module, arguments: tuple[Any, ...], layer: str | None) -> str:
    """The name of the layer whose input is the embedding.

    Raises:
        BadLearner: there is no such layer, or none that is given one vector per input.
    """
    names = dict(model.named_modules())
    if layer is not None and layer not in names:
        linear = ", ".join(_linear_layers(model)) or "none"
        raise BadLearner(f"The model has no layer {layer!r}. Its linear layers are: {linear}.")
    candidates = _linear_layers(model) if layer is None else [layer]
    run: list[str] = []
    handles = [
        names[name].register_forward_pre_hook(
            lambda _module, inputs, name=name: run.append(name) if _has_vectors(inputs) else None
        )
        for name in candidates
    ]
    try:
        with torch.no_grad():
            model(*arguments)
    finally:
        for handle in handles:
            handle.remove()
    if not run:
        reason = (
            "no linear layer that is given one vector per input" if layer is None else f"{layer} is not run that way"
        )
        raise BadLearner(
            f"The model has no embedding to watch: {reason}. Give its head an `nn.Linear`, or name a layer with "
            f"--embedding-layer. Its linear layers are: {', '.join(_linear_layers(model)) or 'none'}."
        )
    return run[-1]


def head_weights(
    model: nn.Module, layer: str, embedding: npt.NDArray[np.float32], logits: npt.NDArray[np.float32]
) -> tuple[Floats, Floats] | None:
    """Weights `(c, d)` and bias `(c,)`, if the logits are this layer's output; None if more follows it."""
    linear = model.get_submodule(layer)
    if not isinstance(linear, nn.Linear):
        return None
    weights = linear.weight.detach().cpu().double().numpy()
    bias = np.zeros(weights.shape[0]) if linear.bias is None else linear.bias.detach().cpu().double().numpy()
    if weights.shape != (logits.shape[1], embedding.shape[1]):
        return None
    return (weights, bias) if np.allclose(embedding @ weights.T + bias, logits, rtol=1e-3, atol=1e-3) else None


def _linear_layers(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]


def _has_vectors(inputs: tuple[Any, ...]) -> bool:
    return bool(inputs) and isinstance(inputs[0], torch.Tensor) and inputs[0].ndim >= 2


def _one_row_each(logits: torch.Tensor) -> torch.Tensor:
    return logits[:, None] if logits.ndim == 1 else logits.flatten(1)


def _one_vector_each(embedding: torch.Tensor) -> torch.Tensor:
    if embedding.ndim == 2:
        return embedding
    # Pictures keep their channels and sequences their features; the mean is over all pixels or all steps.
    return embedding.mean(dim=(2, 3)) if embedding.ndim == 4 else embedding.flatten(1, -2).mean(dim=1)
