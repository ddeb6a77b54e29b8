"""Runs a learner over many inputs in batches and keeps what it made of each."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.engine.engine import Engine
from serving.learner.adapters import Item
from serving.learner.outputs import Outputs
from serving.profiling.labelled_data import LabelledInput
from store.errors import BadInput

BATCH = 64

# Draws progress: takes the batches, their number and a word for what is done, and gives the batches back.
Track = Callable[[Iterable[Sequence[LabelledInput]], int, str], Iterable[Sequence[LabelledInput]]]


@dataclass(frozen=True)
class InferenceResults:
    """Outputs of the inputs that could be read, n of them, in order; and why the others could not."""

    inputs: list[LabelledInput]
    outputs: Outputs
    refused: list[tuple[str, str]]

    @property
    def labels(self) -> list[str | None]:
        return [one.label for one in self.inputs]


def silently(batches: Iterable[Sequence[LabelledInput]], _number: int, _what: str) -> Iterable[Sequence[LabelledInput]]:
    """A `Track` that draws nothing."""
    return batches


def collect(engine: Engine, inputs: Sequence[LabelledInput], track: Track, what: str) -> InferenceResults:
    """Run a learner over inputs.

    Raises:
        BadInput: not one of them could be read.
    """
    batches = [inputs[start : start + BATCH] for start in range(0, len(inputs), BATCH)]
    kept: list[LabelledInput] = []
    parts: list[Outputs] = []
    refused: list[tuple[str, str]] = []
    for batch in track(batches, len(batches), what):
        items = []
        for one, item in _decoded(engine, batch, refused):
            kept.append(one)
            items.append(item)
        if items:
            parts.append(engine.run(items))
    if not parts:
        name, reason = refused[0]
        raise BadInput(f"Not one of {len(inputs):,} inputs can be read. The first, {name}: {reason}")
    return InferenceResults(kept, _joined(parts), refused)


def _decoded(
    engine: Engine, batch: Sequence[LabelledInput], refused: list[tuple[str, str]]
) -> Iterator[tuple[LabelledInput, Item]]:
    for one in batch:
        try:
            item = engine.adapter.decode(one.read())
        except BadInput as error:
            refused.append((one.name, str(error)))
        else:
            yield one, item


def _joined(parts: Sequence[Outputs]) -> Outputs:
    def together(arrays: list[npt.NDArray[Any] | None]) -> npt.NDArray[Any] | None:
        present = [array for array in arrays if array is not None]
        return np.concatenate(present) if present else None

    return Outputs(
        logits=np.concatenate([part.logits for part in parts]),
        embedding=np.concatenate([part.embedding for part in parts]),
        predictions=[prediction for part in parts for prediction in part.predictions],
        probabilities=together([part.probabilities for part in parts]),
        class_indices=together([part.class_indices for part in parts]),
        confidences=together([part.confidences for part in parts]),
    )
