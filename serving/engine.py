"""A learner ready to run: its adapter, its model, its task. One forward pass for a whole batch."""

import threading
from collections.abc import Sequence
from typing import Any

import torch

from serving.adapters import Adapter, Item, Limits, adapter_of
from serving.head import LastLinear
from serving.learner import LoadedLearner
from serving.outputs import Outputs
from serving.tasks import task_of
from store.predictions import RawInput


class Engine:
    """Runs a learner's model over batches, exactly as `Learner.get_preds` does, without its DataLoader and callbacks.

    Raises:
        BadLearner: the learner can't be served.
    """

    def __init__(self, loaded: LoadedLearner, limits: Limits | None = None) -> None:
        self.loaded = loaded
        self.adapter: Adapter = adapter_of(loaded.learner, limits or Limits())
        self.task = task_of(loaded.learner)
        self._model = loaded.learner.model.eval()
        self._last_linear = LastLinear(self._model)
        # The hook that keeps the embedding belongs to one forward pass at a time.
        self._lock = threading.Lock()
        first = self.run([self.adapter.decode(self.adapter.example())])
        self.dimension = first.embedding.shape[1]
        self.head = self._last_linear.weights(first.embedding, first.logits)

    def run(self, items: Sequence[Item]) -> Outputs:
        """One forward pass over decoded items."""
        return self.forward(self.adapter.batch(items))

    def forward(self, arguments: tuple[Any, ...]) -> Outputs:
        """One forward pass over a collated batch."""
        with self._lock, torch.inference_mode():
            logits = self._model(*arguments)
            embedding = self._last_linear.take()
            return self.task.outputs(logits, embedding)

    def close(self) -> None:
        """Leave the model as it was, for learners that go on living in a notebook."""
        self._last_linear.remove()

    def predict(self, inputs: Sequence[RawInput]) -> Outputs:
        """Decode and run, for callers that have no queue."""
        return self.run([self.adapter.decode(raw) for raw in inputs])
