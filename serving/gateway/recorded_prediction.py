"""What a gateway is asked, and what it answers for each input."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from serving.learner.outputs import Prediction
from store.errors import BadInput
from store.recording.prediction_batch import RawInput

# Returns when the caller has left; waits for ever for one that stays.
CallerGone = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    """What one version is asked to predict at once.

    Args:
        inputs: as they came.
        tags: slices of all of them.
        caller_gone: returns when the caller has left; what has not begun by then is dropped.
        timeout_seconds: how long the caller waits; None for as long as the settings say.
        ids: one for each input, where the caller may send the same again; None for fresh ones.
        mirrors: the predictions of another version that these repeat, one for each input.
    """

    inputs: Sequence[RawInput]
    tags: dict[str, Any] | None
    caller_gone: CallerGone | None = None
    timeout_seconds: float | None = None
    ids: Sequence[UUID] | None = None
    mirrors: Sequence[UUID] | None = None


# Not frozen: one is made for every input, and a frozen one takes three times as long to make.
@dataclass(slots=True)
class Ood:
    """How far an input lies from the training data.

    `score` is None where it is not finite. `nearest` are the training rows most like the input, nearest first, as
    positions in the data that the reference was made from. The fields and their order are those of the JSON answer.
    """

    score: float | None
    p_value: float | None
    flagged: bool | None
    nearest: list[int]


@dataclass(frozen=True, slots=True)
class RecordedPrediction:
    """One recorded prediction, as its caller gets it.

    `ood` is None without a reference. `stages` are seconds by the name of the stage.
    """

    id: UUID
    prediction: Prediction
    probabilities: list[float] | None
    confidence: float | None
    ood: Ood | None
    notes: tuple[str, ...]
    stages: dict[str, float]


# What became of one input: its prediction, or why it can't be used.
Outcome = RecordedPrediction | BadInput
