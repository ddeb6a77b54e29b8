"""What is seen of a model when it is loaded: whether it answers twice alike, and whether an input's answer depends on the
other inputs of its batch."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.learner.adapters import Adapter, Collated, Item
from serving.learner.outputs import numbers_agree
from store.errors import BadLearner

_EXAMPLES = 4
_TOLERANCE = 1e-4

# Runs the learner's own modules over a batch; logits come out in the order of its items.
RunBatch = Callable[[Collated], npt.NDArray[np.float32]]


def must_run_alone(adapter: Adapter, run: RunBatch) -> bool:
    """Whether inputs have to be run one at a time, to be answered as `Learner.predict` answers them.

    A batch pads texts and shares its statistics; most models do not care, and some do.

    Args:
        adapter: of the learner.
        run: the learner's own modules.

    Raises:
        BadLearner: the model answers the same input differently each time.
    """
    items = [adapter.decode(raw) for raw in adapter.examples()[:_EXAMPLES]]
    alone = [run(adapter.collate_alone(item)) for item in items]
    if not _same(alone[0], run(adapter.collate_alone(items[0]))):
        raise BadLearner(
            "The model answers the same input differently each time, so that no answer of it could be held to "
            "`learn.predict`: something in it is random or counts, such as dropout that stays on. Make it do the same for "
            "the same input in evaluation mode."
        )
    for group in groups_of_one_shape(adapter, items).values():
        together = run(adapter.collate([items[index] for index in group]))
        if not all(_same(together[place : place + 1], alone[index]) for place, index in enumerate(group)):
            return True
        if not all(_same(run(adapter.collate([items[index]])), alone[index]) for index in group):
            return True
    return False


def groups_of_one_shape(adapter: Adapter, items: Sequence[Item]) -> dict[Any, list[int]]:
    """The places of items that fit into one batch, by their shape."""
    groups: dict[Any, list[int]] = {}
    for index, item in enumerate(items):
        groups.setdefault(adapter.shape_of(item), []).append(index)
    return groups


def _same(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> bool:
    return numbers_agree(one, other, tolerance=_TOLERANCE, equal_nan=True)
