"""Runs a learner over many inputs in batches."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from serving.engine.engine import Engine
from serving.learner.adapters import Item
from serving.learner.outputs import Outputs
from serving.profiling.labelled_data import LabelledInput
from store.errors import BadInput

BATCH_SIZE = 64

# Draws progress: takes the batches, their number and a description for people, and yields the same batches.
ProgressTracker = Callable[[Iterable[Sequence[LabelledInput]], int, str], Iterable[Sequence[LabelledInput]]]


@dataclass(frozen=True)
class InferenceResults:
    """The inputs that could be read, n of them, with their outputs in the same order; `refused` are the names of the others,
    each with the reason."""

    inputs: list[LabelledInput]
    outputs: Outputs
    refused: list[tuple[str, str]]

    @property
    def labels(self) -> list[str | None]:
        return [labelled.label for labelled in self.inputs]


def without_progress(
    batches: Iterable[Sequence[LabelledInput]], _number: int, _description: str
) -> Iterable[Sequence[LabelledInput]]:
    """A `ProgressTracker` that draws nothing."""
    return batches


def run_inference(
    engine: Engine, inputs: Sequence[LabelledInput], track: ProgressTracker, description: str
) -> InferenceResults:
    """Run a learner over inputs.

    Args:
        engine: runs it.
        inputs: read one by one.
        track: draws progress.
        description: of the inputs, for the progress that is drawn.

    Raises:
        BadInput: not one of them could be read.
    """
    batches = [inputs[start : start + BATCH_SIZE] for start in range(0, len(inputs), BATCH_SIZE)]
    readable: list[LabelledInput] = []
    parts: list[Outputs] = []
    refused: list[tuple[str, str]] = []
    for batch in track(batches, len(batches), description):
        items = []
        for labelled, item in _decode_batch(engine, batch, refused):
            readable.append(labelled)
            items.append(item)
        if items:
            parts.append(engine.run(items))
    if not parts:
        name, reason = refused[0]
        raise BadInput(f"Not one of {len(inputs):,} inputs can be read. The first, {name}: {reason}")
    return InferenceResults(readable, Outputs.joined(parts), refused)


def _decode_batch(
    engine: Engine, batch: Sequence[LabelledInput], refused: list[tuple[str, str]]
) -> Iterator[tuple[LabelledInput, Item]]:
    """The inputs that can be read, each decoded; the others are added to `refused`."""
    for labelled in batch:
        try:
            item = engine.adapter.decode(labelled.read())
        except BadInput as error:
            refused.append((labelled.name, str(error)))
        else:
            yield labelled, item
