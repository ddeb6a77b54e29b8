"""Which layer's input is the embedding: the operator's choice, or the layer with weights that is run last."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from store.errors import BadLearner

# In a model that is run on so many inputs, what is given one row for each of them has so many rows.
_PROBE_ROWS = 2
_LAYERS_NAMED = 12


@dataclass(frozen=True)
class EmbeddingLayer:
    """A layer of a model whose input is the embedding. `note` says for people why it was taken, where it is not the usual
    linear layer; None where it is, or where the operator named it."""

    name: str
    note: str | None = None


def find_embedding_layer(model: nn.Module, arguments: tuple[Any, ...], layer: str | None = None) -> EmbeddingLayer:
    """The layer whose input is the embedding.

    By default it is the layer with weights that is run last, nearly always the linear one that makes the logits. Where
    a function of the model's own uses the last weights, it is the last layer that is run before. Of a model that makes
    masks it is the layer after the encoder: in fastai's U-Net by its place, elsewhere the last of the layers that are
    given the smallest map.

    Args:
        model: in evaluation mode.
        arguments: a batch that it accepts.
        layer: the operator's choice.

    Raises:
        BadLearner: there is no such layer, or none that is given numbers for each input.
    """
    watched = _Watched(model)
    with watched, torch.no_grad():
        logits = first_output(model(*(torch.cat([argument[:1]] * _PROBE_ROWS) for argument in arguments)))
    if layer is not None:
        return EmbeddingLayer(_checked_choice(model, layer, watched.run))
    if are_maps(logits) and watched.layers:
        return _after_the_encoder(model, watched)
    weighted = [name for name in watched.layers if _has_weights(model.get_submodule(name))]
    if weighted and (watched.made_width(weighted[-1], logits) or not _has_weights_of_no_layer(model, watched.run)):
        return _found(model, weighted[-1], "the last layer with weights")
    if watched.layers:
        return _found(model, watched.layers[-1], "the last layer before the weights that a function of the model uses")
    raise BadLearner(
        "The model has no embedding to watch: none of its layers is given numbers for each input. Put its steps into "
        "modules, `nn.Linear` say, or name a layer with --embedding-layer."
    )


def _checked_choice(model: nn.Module, layer: str, run: list[str]) -> str:
    """The operator's choice, if its input can be an embedding."""
    usable = f"Layers that can be named, in the order they are run: {', '.join(run[-_LAYERS_NAMED:]) or 'none'}."
    if layer not in dict(model.named_modules()):
        raise BadLearner(f"The model has no layer {layer!r}. {usable}")
    if layer not in run:
        raise BadLearner(
            f"The input of the layer {layer!r} can't be the embedding: the model does not call that layer with numbers "
            f"for each input. {usable}"
        )
    return layer


def first_output(outputs: Any) -> torch.Tensor:
    """The logits among what a model returned: text models return their hidden states too.

    Raises:
        BadLearner: it returned no tensor.
    """
    logits = outputs[0] if isinstance(outputs, tuple | list) and outputs else outputs
    if not isinstance(logits, torch.Tensor) or logits.ndim == 0:
        raise BadLearner(
            f"The model returns a {type(outputs).__name__} and not a tensor of numbers for each input, so that "
            "`learn.predict` can't answer either. Have its `forward` return the logits."
        )
    return logits


def are_maps(logits: Any) -> bool:
    """Whether a model returned a map for each class, `(n, c, height, width)`."""
    return isinstance(logits, torch.Tensor) and logits.ndim == 4 and logits.shape[2] * logits.shape[3] > 1


def _after_the_encoder(model: nn.Module, watched: "_Watched") -> EmbeddingLayer:
    if type(model).__name__ == "DynamicUnet" and "layers.1" in watched.layers:
        return EmbeddingLayer("layers.1")
    smallest = min(watched.area_given(name) for name in watched.layers)
    name = [name for name in watched.layers if watched.area_given(name) == smallest][-1]
    kind = type(model.get_submodule(name)).__name__
    return EmbeddingLayer(
        name,
        f"The embedding is the input of {name} ({kind}), the last of the layers that are given the smallest map. Name "
        "another with --embedding-layer.",
    )


def _found(model: nn.Module, name: str, reason: str) -> EmbeddingLayer:
    layer = model.get_submodule(name)
    if isinstance(layer, nn.Linear):
        return EmbeddingLayer(name)
    return EmbeddingLayer(
        name,
        f"No linear layer makes this learner's outputs, so the embedding is the input of {name} "
        f"({type(layer).__name__}), {reason}. Name another with --embedding-layer.",
    )


class _Watched:
    """Notes which modules of a model are given one row of numbers for each input, while the block lasts.

    `run` holds the names of all of them in the order in which they are last run; `layers` those that hold no other
    modules, or hold weights of their own beside them.
    """

    def __init__(self, model: nn.Module) -> None:
        self._modules = {name: module for name, module in model.named_modules() if name}
        self._input_shapes: dict[str, torch.Size] = {}
        self._output_shapes: dict[str, torch.Size] = {}
        self.run: list[str] = []

    @property
    def layers(self) -> list[str]:
        return [name for name in self.run if _is_layer(self._modules[name])]

    def made_width(self, name: str, logits: torch.Tensor) -> bool:
        """Whether a layer's output has as many numbers, or channels, for each input as the logits have."""
        shape = self._output_shapes.get(name)
        if shape is None:
            return False
        width = 1 if logits.ndim == 1 else logits.shape[1]
        return width in (shape[1], shape[-1]) if len(shape) == 3 else width == (shape[1] if len(shape) > 1 else 1)

    def area_given(self, name: str) -> int:
        """How many pixels the map has that a layer is given; 1 for a vector."""
        return self._input_shapes[name][2:].numel()

    def __enter__(self) -> None:
        def note_input(name: str, inputs: tuple[Any, ...]) -> None:
            if _has_rows(inputs):
                if name in self.run:
                    self.run.remove(name)
                self.run.append(name)
                self._input_shapes[name] = inputs[0].shape

        def note_output(name: str, output: Any) -> None:
            if isinstance(output, torch.Tensor) and not output.is_nested:
                self._output_shapes[name] = output.shape

        self._handles = [
            handle
            for name, module in self._modules.items()
            for handle in (
                module.register_forward_pre_hook(lambda _module, inputs, name=name: note_input(name, inputs)),
                module.register_forward_hook(lambda _module, _inputs, output, name=name: note_output(name, output)),
            )
        ]

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()


def _has_rows(inputs: tuple[Any, ...]) -> bool:
    # PyTorch's own transformers pack texts of several lengths into nested tensors, which have no shape.
    if not inputs or not isinstance(inputs[0], torch.Tensor) or inputs[0].is_nested:
        return False
    first = inputs[0]
    return first.is_floating_point() and first.ndim >= 2 and first.shape[0] == _PROBE_ROWS


def _is_layer(module: nn.Module) -> bool:
    return next(module.children(), None) is None or _has_weights(module)


def _has_weights(module: nn.Module) -> bool:
    """Whether a module has a matrix of its own. Normalisations, whose weights are vectors, only scale what they are given."""
    # A linear layer with a parametrisation, such as weight normalisation, keeps its matrix in a module of its own.
    return isinstance(module, nn.Linear) or any(weight.ndim >= 2 for weight in module.parameters(recurse=False))


def _has_weights_of_no_layer(model: nn.Module, run: list[str]) -> bool:
    """Whether there are weights that no layer was run with, so that a function of the model's own may use them."""
    return any(
        _has_weights(module) and not isinstance(module, nn.Embedding)
        for name, module in model.named_modules()
        if name not in run
    )
