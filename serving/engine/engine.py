"""A learner ready to run: its adapter, its task, and the backend that runs its model. One forward pass for a whole batch."""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from monitor.reference.profile import Reference
from serving.engine.backends import Backend, Program
from serving.engine.backends.eager import Eager, fold
from serving.engine.self_check import groups_of_one_shape, must_run_alone
from serving.learner.adapters import Adapter, Collated, Item, Limits, adapter_of
from serving.learner.adapters.base import in_one_line
from serving.learner.callbacks import check_callbacks
from serving.learner.head import DotProduct, WithEmbedding, head_weights, with_embedding
from serving.learner.loading import LoadedLearner, load
from serving.learner.outputs import Outputs
from serving.learner.targets import target_of
from serving.learner.tasks import task_of
from serving.settings import ServingSettings
from store.errors import BadLearner, BadSettings, ModelMismatch
from store.recording.prediction_batch import RawInput


class Engine:
    """Runs a learner's model over batches, exactly as `Learner.get_preds` does, without its DataLoader and callbacks.

    Until a faster backend is chosen (`serving.engine.tuning`) the model runs as PyTorch runs it.

    Raises:
        BadLearner: the learner can't be served.
    """

    def __init__(
        self,
        loaded: LoadedLearner,
        limits: Limits | None = None,
        *,
        embedding_layer: str | None = None,
        device: str = "cpu",
    ) -> None:
        self.loaded = loaded
        self.device = device
        target = target_of(loaded.learner)
        self.adapter: Adapter = adapter_of(loaded.learner, limits or Limits())
        # One forward pass at a time: models and backends keep what they are doing in themselves.
        self._lock = threading.Lock()
        self._model = loaded.learner.model.eval()
        # Whether inputs are run one at a time; see `must_run_alone`.
        self.runs_alone = False
        try:
            collated = self.adapter.collate([self.adapter.decode(self.adapter.examples()[0])])
            model_inputs = self._apply_graph_steps(collated.arguments)
            self._with_embedding = with_embedding(self._model, model_inputs, embedding_layer)
            # The learner's own modules, which other backends are compared with.
            self.own = Eager(self._make_program(self._with_embedding), torch.get_num_threads(), device)
            self.backend: Backend = self.own
            logits, embedding = self.own.run(collated.arguments)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise BadLearner(
                f"The model fails on a plain {self.adapter.application} input: {type(error).__name__}: {in_one_line(error)}. "
                "Does `learn.predict` work on this learner?"
            ) from error
        check_callbacks(loaded.learner, self._examples_run())
        self.runs_alone = must_run_alone(self.adapter, self._own_logits)
        self.task = task_of(loaded.learner, target, self.adapter.decode_targets, logits, model_inputs)
        self.embedding_layer, self.embedding_note = self._with_embedding.layer, self._with_embedding.note
        self.dimension = embedding.shape[1]
        first = self.task.outputs(logits, embedding, lambda: model_inputs).predictions[0]
        # Of an answer that holds numbers: () for one of them.
        self.prediction_shape = () if self.task.classes else np.shape(cast(npt.ArrayLike, first))
        self.head = (
            head_weights(self._model, self._with_embedding.layer, embedding, logits)
            if isinstance(self._with_embedding, WithEmbedding)
            else None
        )

    def program(self, inputs: Sequence[RawInput] = ()) -> Program:
        """The model for other backends: a copy, folded where it is convolutional.

        Args:
            inputs: typical ones, which backends are measured with; by default the adapter's own examples.
        """
        if isinstance(self._with_embedding, DotProduct):
            return self._make_program(self._with_embedding, inputs)
        layer = self._with_embedding.layer
        return self._make_program(WithEmbedding(fold(self._model, layer), layer), inputs)

    def run(self, items: Sequence[Item]) -> Outputs:
        """Run decoded items: in one forward pass where they fit into one, and their answers do not depend on each other."""
        if self.runs_alone:
            return Outputs.joined([self.forward(self.adapter.collate_alone(item)) for item in items])
        groups = groups_of_one_shape(self.adapter, items) if len(items) > 1 else {}
        if len(groups) <= 1:
            return self.forward(self.adapter.collate(items))
        parts = [self.forward(self.adapter.collate([items[index] for index in group])) for group in groups.values()]
        return Outputs.joined(parts, [index for group in groups.values() for index in group])

    def forward(self, collated: Collated) -> Outputs:
        """One forward pass over a collated batch; rows come out in the order of the items."""
        with self._lock:
            logits, embedding = self.backend.run(collated.arguments)
        items = collated.item_rows
        return self.task.outputs(
            logits[items],
            embedding[items],
            lambda: tuple(argument[items] for argument in self._apply_graph_steps(collated.arguments)),
        )

    def _examples_run(self) -> Iterator[tuple[tuple[torch.Tensor, ...], npt.NDArray[np.float32]]]:
        """What the model is given for each example alone, and its logits."""
        for raw in self.adapter.examples():
            collated = self.adapter.collate_alone(self.adapter.decode(raw))
            yield self._apply_graph_steps(collated.arguments), self._own_logits(collated)

    def _own_logits(self, collated: Collated) -> npt.NDArray[np.float32]:
        logits, _ = self.own.run(collated.arguments)
        return logits[collated.item_rows]

    def arguments(self, items: Sequence[Item]) -> list[npt.NDArray[np.float32]]:
        """What the learner's own model is given for items, to compare this machine with another."""
        with torch.no_grad():
            collated = self.adapter.collate_alone(items[0]) if self.runs_alone else self.adapter.collate(items)
            arguments = self._apply_graph_steps(collated.arguments)
        return [argument.float().numpy() for argument in arguments]

    def close(self) -> None:
        """Remove what was added to the model, for learners that stay in use in a notebook."""
        self._with_embedding.remove()

    def predict(self, inputs: Sequence[RawInput]) -> Outputs:
        """Decode and run, for callers that have no queue."""
        return self.run([self.adapter.decode(raw) for raw in inputs])

    def _apply_graph_steps(self, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """What the model itself is given: the adapter's last steps applied, where a backend runs them with the model."""
        steps = self.adapter.in_graph
        return arguments if steps is None else (steps(*arguments),)

    def _make_program(self, model: WithEmbedding | DotProduct, inputs: Sequence[RawInput] = ()) -> Program:
        module: nn.Module = model if self.adapter.in_graph is None else _StepsAndModel(self.adapter.in_graph, model)
        typical, examples = (self._collate_by_shape(raws) for raws in (inputs, self.adapter.examples()))
        return Program(module.eval(), [*typical, *examples], self.adapter.fixed_steps and not self.runs_alone)

    def _collate_by_shape(self, raws: Sequence[RawInput]) -> list[tuple[torch.Tensor, ...]]:
        """Collated batches of these inputs, one for each shape: pictures of several sizes do not fit into one."""
        items = [self.adapter.decode(raw) for raw in raws]
        groups = groups_of_one_shape(self.adapter, items).values()
        return [self.adapter.collate([items[index] for index in group]).arguments for group in groups]


def open_engine(
    export: Path,
    settings: ServingSettings,
    reference: Reference | None = None,
    *,
    sha256: str | None = None,
    import_modules: tuple[str, ...] = (),
    announce: Callable[[str], None] = lambda _sha256: None,
) -> Engine:
    """Load an exported learner, whose code runs, and make it ready; see `serving.learner.loading.load`.

    Args:
        export: the file.
        settings: of the gateway.
        reference: what its predictions are compared with, which tells the layer that the embedding comes from.
        sha256: the hash that the file must have.
        import_modules: as `load` takes them.
        announce: as `load` calls it.

    Raises:
        BadLearner: it can't be loaded or served.
        BadSettings: there is no such device.
        ModelMismatch: its hash is not the expected one, or the settings name another layer than the reference.
    """
    device = _available_device(settings.device)
    loaded = load(export, expected_sha256=sha256, import_modules=import_modules, announce=announce)
    layer = layer_asked_for(loaded.sha256, reference, settings.embedding_layer)
    return Engine(loaded, Limits(settings.maximum_megapixels), embedding_layer=layer, device=device)


def layer_asked_for(learner_sha256: str | None, reference: Reference | None, named: str | None) -> str | None:
    """The layer that a learner's embedding is to come from: the one that its reference was made with, or the operator's.

    A reference of another learner changes nothing: that it is one is told when both are compared.

    Args:
        learner_sha256: the learner's file.
        reference: what its predictions are compared with.
        named: the operator's choice.

    Raises:
        ModelMismatch: the operator names another layer than the reference was made with.
    """
    origin = None if reference is None else reference.origin
    if origin is None or (origin.learner_sha256 is not None and origin.learner_sha256 != learner_sha256):
        return named
    layer = origin.embedding_layer
    if layer is not None and named is not None and named != layer:
        raise ModelMismatch(
            f"The reference was made with the embedding from the layer {layer!r}, and {named!r} is asked for. Leave it out, "
            f"or make the reference again: `tidegate profile export.pkl --data TRAINING_DATA --embedding-layer {named}`."
        )
    return named if layer is None else layer


def _available_device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise BadSettings(
            f"The device {name!r} can't be used here: {str(error).splitlines()[0]} Say --device cpu, or leave it out."
        ) from error
    return name


class _StepsAndModel(nn.Module):
    """The last steps before the model, and the model, as one module."""

    def __init__(self, steps: nn.Module, model: nn.Module) -> None:
        super().__init__()
        self.steps, self.model = steps, model

    def forward(self, collated: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        outputs: tuple[torch.Tensor, torch.Tensor] = self.model(self.steps(collated))
        return outputs
