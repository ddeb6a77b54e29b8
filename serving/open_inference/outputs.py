"""Predictions as tensors of the Open Inference Protocol V2."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from serving.gateway.gateway import Gateway
from serving.gateway.recorded_prediction import Ood, Outcome, RecordedPrediction
from serving.open_inference.tensors import BYTES, RequestedOutput, Tensor
from store.errors import BadInput

# Stands for a score that is not finite, which JSON can't hold.
LARGEST = float(np.finfo(np.float64).max)


def select_outputs(
    outcomes: Sequence[Outcome], gateway: Gateway, requested: list[RequestedOutput] | None, binary: bool
) -> list[tuple[Tensor, bool]]:
    """The outcomes as tensors, each with whether it goes as binary data.

    Where some inputs can't be used, `error` says why for each of them, and the others' rows are answered.

    Args:
        outcomes: in the order of the inputs, at least one of them a prediction.
        gateway: which predicted.
        requested: the outputs that the caller asked for; None for all of them.
        binary: whether outputs that the caller did not name go as binary data.

    Raises:
        BadInput: an output was asked for that there is not.
    """
    tensors = {tensor.name: tensor for tensor in _tensors(outcomes, gateway)}
    if requested is None:
        return [(tensor, binary) for tensor in tensors.values()]
    unknown = next((index for index, output in enumerate(requested) if output.name not in tensors), None)
    if unknown is not None:
        raise BadInput(
            f"There is no output {requested[unknown].name!r}. There are {', '.join(tensors)}.",
            field=f"outputs[{unknown}].name",
        )
    selected = [(tensors[output.name], output.binary) for output in requested]
    if "error" in tensors and "error" not in {output.name for output in requested}:
        # Whoever asks for some outputs must still learn which of their rows mean nothing.
        selected.append((tensors["error"], binary))
    return selected


def _tensors(outcomes: Sequence[Outcome], gateway: Gateway) -> list[Tensor]:
    # What one prediction has every one has: they are of one version.
    example = next(outcome for outcome in outcomes if isinstance(outcome, RecordedPrediction))

    def column(name: str, datatype: str, value_of: Callable[[RecordedPrediction], Any], missing: Any) -> Tensor:
        values = [value_of(outcome) if isinstance(outcome, RecordedPrediction) else missing for outcome in outcomes]
        return Tensor(name, datatype, _as_array(values, datatype))

    tensors = [column("id", BYTES, lambda answered: str(answered.id), "")]
    prediction = example.prediction
    if isinstance(prediction, str):
        tensors.append(column("prediction", BYTES, lambda answered: answered.prediction, ""))
    elif gateway.engine.task.classes:
        tensors.append(column("prediction", BYTES, lambda answered: orjson.dumps(answered.prediction).decode(), ""))
    else:
        missing = [np.nan] * len(prediction) if isinstance(prediction, list) else np.nan
        tensors.append(column("prediction", "FP64", lambda answered: answered.prediction, missing))
    if example.probabilities is not None:
        missing = [np.nan] * len(example.probabilities)
        tensors.append(column("probabilities", "FP32", lambda answered: answered.probabilities, missing))
    if example.confidence is not None:
        tensors.append(column("confidence", "FP64", lambda answered: answered.confidence, np.nan))
    if example.ood is not None:
        tensors += [
            column("ood_score", "FP64", lambda answered: _finite(_ood(answered).score), np.nan),
            column("ood_p_value", "FP64", lambda answered: _ood(answered).p_value, np.nan),
            column("ood_flagged", "BOOL", lambda answered: _ood(answered).flagged, False),
        ]
    if any(isinstance(outcome, BadInput) for outcome in outcomes):
        errors = [str(outcome) if isinstance(outcome, BadInput) else "" for outcome in outcomes]
        tensors.append(Tensor("error", BYTES, _as_array(errors, BYTES)))
    return tensors


def _ood(prediction: RecordedPrediction) -> Ood:
    assert prediction.ood is not None
    return prediction.ood


def _finite(score: float | None) -> float:
    return LARGEST if score is None else score


def _as_array(values: list[Any], datatype: str) -> npt.NDArray[Any]:
    if datatype == BYTES:
        elements = np.empty(len(values), object)
        elements[:] = values
        return elements
    return np.array(values, {"FP32": np.float32, "FP64": np.float64, "BOOL": np.bool_}[datatype])
