"""A model with its embedding beside its logits, and the weights of the layer that makes one of the other."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from serving.learner.embedding_layer import are_maps, find_embedding_layer, first_output

Floats = npt.NDArray[np.float64]


class LayerNotRunError(RuntimeError):
    """A model, or a copy of it that a backend made, does not call the layer whose input is the embedding."""


class WithEmbedding(nn.Module):
    """A model that returns its logits `(n, c)`, of masks `(n, c, height, width)`, and the input of one of its layers, the
    embedding `(n, d)`.

    Args:
        model: any model.
        layer: the name of the layer whose input is the embedding.
        note: why that layer was taken, for people, where it is not the usual one.

    Raises:
        LayerNotRunError: on a forward pass, if the model did not call the layer.
    """

    def __init__(self, model: nn.Module, layer: str, note: str | None = None) -> None:
        super().__init__()
        self.model = model
        self.layer = layer
        self.note = note
        self._embedding: torch.Tensor | None = None
        self._handle = model.get_submodule(layer).register_forward_pre_hook(self._store_embedding)

    def _store_embedding(self, _layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._embedding = inputs[0]

    def forward(self, *arguments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = first_output(self.model(*arguments))
        embedding, self._embedding = self._embedding, None
        if embedding is None:
            raise LayerNotRunError(f"the layer {self.layer} was not run")
        return _rows_or_maps(logits), _one_vector_each(embedding)

    def remove(self) -> None:
        """Take the hook off the model, which is then as it was."""
        self._handle.remove()


class DotProduct(nn.Module):
    """fastai's `EmbeddingDotBias`, and models like it, which have no linear layer: rating = Σ u∘v + biases. The embedding is
    u∘v; the rating is the model's own."""

    PARTS = ("u_weight", "i_weight", "u_bias", "i_bias", "y_range")
    layer = "u∘v"
    note: str | None = None

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pairs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rating = first_output(self.model(pairs))
        return _rows_or_maps(rating), self.model.u_weight(pairs[:, 0]) * self.model.i_weight(pairs[:, 1])

    def remove(self) -> None:
        """The model was not changed, so that nothing is to be removed."""


def with_embedding(
    model: nn.Module, arguments: tuple[Any, ...], layer: str | None = None
) -> WithEmbedding | DotProduct:
    """A model with its embedding beside its logits.

    Args:
        model: in evaluation mode.
        arguments: a batch that it accepts.
        layer: the operator's choice; see `find_embedding_layer` for the default.

    Raises:
        BadLearner: there is no such layer, or none that is given numbers for each input.
    """
    if layer in (None, DotProduct.layer) and all(hasattr(model, name) for name in DotProduct.PARTS):
        return DotProduct(model)
    found = find_embedding_layer(model, arguments, layer)
    return WithEmbedding(model, found.name, found.note)


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


def _rows_or_maps(logits: torch.Tensor) -> torch.Tensor:
    if are_maps(logits):
        return logits
    return logits[:, None] if logits.ndim == 1 else logits.flatten(1)


def _one_vector_each(embedding: torch.Tensor) -> torch.Tensor:
    if embedding.ndim == 2:
        return embedding
    # Pictures keep their channels and sequences their features; the mean is over all pixels or all steps.
    return embedding.flatten(2).mean(dim=2) if embedding.ndim >= 4 else embedding.mean(dim=1)
