"""One kind of learner that fastai's users export, and what Tidegate must make of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store.recording.prediction_batch import RawInput

# What `Learner.predict` answers for one input: its decoded target, and its probabilities or numbers.
Answer = tuple[Any, Sequence[float]]


@dataclass(frozen=True)
class Exported:
    """A learner with its data, what a gateway is sent, and the same inputs as `Learner.predict` takes them.

    `answer` is what the learner itself says of one input.
    """

    learner: Any
    raws: list[RawInput]
    items: list[Any]
    answer: Callable[[Any, Any], Answer]


@dataclass(frozen=True)
class Served:
    """A kind of learner that is answered as `Learner.predict` answers.

    Args:
        name: of the kind, for people: what goes in, and what comes out.
        blocks: how its data is made.
        make: trains one.
        embedding: the layer whose input must be the embedding, by its type.
        note: what people should know.
    """

    name: str
    blocks: str
    make: Callable[[], Exported]
    embedding: str = "Linear"
    note: str = ""


@dataclass(frozen=True)
class Refused:
    """A kind of learner that is refused when it is loaded, with words that begin with `because`."""

    name: str
    blocks: str
    make: Callable[[], Any]
    because: str


def export(learner: Any, folder: Path) -> Path:
    """Write what `learn.export()` writes, into a folder."""
    learner.path = folder
    learner.export("export.pkl")
    return folder / "export.pkl"


def train(learner: Any) -> Any:
    """Train hardly: whether answers are exact does not depend on how good they are."""
    with learner.no_bar(), learner.no_logging():
        learner.fit(1, 1e-3)
    return learner
