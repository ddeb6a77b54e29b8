"""What the Open Inference Protocol V2 means for a fastai learner: its tensors as inputs, its answers as tensors."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from PIL import Image

from serving.gateway.gateway import Gateway, RecordedPrediction
from serving.learner.adapters.text import raw_text
from serving.learner.adapters.vision import encoded, media_type_of
from serving.open_inference.tensors import BYTES, InferRequest, Tensor, WantedOutput
from store.errors import BadInput
from store.recording.batches import RawInput

ROWS = "rows"
# What stands for a score that is not finite, which JSON can't hold.
LARGEST = float(np.finfo(np.float64).max)


def inputs_of(request: InferRequest, gateway: Gateway) -> tuple[list[RawInput], str]:
    """The inputs of a request, and the field of each in it, such as `inputs[0].data[{}]`.

    Raises:
        BadInput: the tensors are not what this learner takes.
    """
    takes = gateway.engine.adapter.takes
    if takes == "rows":
        found = _rows(request.tensors, gateway)
    else:
        if len(request.tensors) != 1:
            raise BadInput(
                f"This learner takes one tensor of {takes}, and {len(request.tensors)} came.", field="inputs"
            )
        found = (_pictures if takes == "pictures" else _texts)(request.tensors[0])
    if not found:
        raise BadInput("The tensors hold no input: their first size is 0.", field="inputs[0].shape")
    if len(found) > gateway.settings.maximum_items:
        raise BadInput(
            f"{len(found):,} inputs came, and at most {gateway.settings.maximum_items:,} are taken at once. Send fewer.",
            status=413,
            field="inputs[0].shape",
        )
    return found, "inputs[0].data[{}]" if takes != "rows" else "inputs.{}"


def _pictures(tensor: Tensor) -> list[RawInput]:
    if tensor.datatype == "UINT8" and tensor.values.ndim in (3, 4):
        return [RawInput("image/png", _encoded(pixels)) for pixels in tensor.values]
    contents = _elements(tensor, "the bytes of image files, or UINT8 pixels of shape [n, height, width, channels]")
    found = []
    for place, one in enumerate(contents):
        content = one if isinstance(one, bytes) else _from_base64(one, f"inputs[0].data[{place}]")
        found.append(RawInput(media_type_of(content), content))
    return found


def _encoded(pixels: npt.NDArray[np.uint8]) -> bytes:
    if 0 in pixels.shape:
        raise BadInput("A picture without pixels came.", field="inputs[0].shape")
    if pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4):
        raise BadInput(
            f"A picture has 1, 3 or 4 channels, the last dimension, and {pixels.shape[2]} came.",
            field="inputs[0].shape",
        )
    return encoded(Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels))


def _from_base64(text: str, field: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadInput("In JSON an image file comes as base64. Send it so, or as binary data.", field=field) from error


def _texts(tensor: Tensor) -> list[RawInput]:
    found = []
    for place, one in enumerate(_elements(tensor, "texts")):
        try:
            found.append(raw_text(one if isinstance(one, str) else one.decode()))
        except UnicodeDecodeError as error:
            raise BadInput(f"The text is not UTF-8: {error}.", field=f"inputs[0].data[{place}]") from error
    return found


def _elements(tensor: Tensor, what: str) -> list[Any]:
    values = tensor.values
    if tensor.datatype != BYTES or not (values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1)):
        raise BadInput(
            f"The tensor {tensor.name!r} must be {what}: BYTES of shape [n], and {tensor.datatype} of shape "
            f"{list(values.shape)} came.",
            field="inputs[0].datatype",
        )
    elements: list[Any] = values.ravel().tolist()
    return elements


def _rows(tensors: Sequence[Tensor], gateway: Gateway) -> list[RawInput]:
    if len(tensors) == 1 and tensors[0].name == ROWS and tensors[0].datatype == BYTES:
        return [RawInput("application/json", _row(one, place)) for place, one in enumerate(_elements(tensors[0], ROWS))]
    columns = {}
    for place, tensor in enumerate(tensors):
        values = tensor.values
        if not (values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1)):
            raise BadInput(
                f"The column {tensor.name!r} must have shape [n], and {list(values.shape)} came.",
                field=f"inputs[{place}].shape",
            )
        columns[tensor.name] = [_plain(one) for one in values.ravel().tolist()]
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise BadInput(f"The columns differ in length: {sorted(lengths)}.", field="inputs")
    known = gateway.engine.adapter.columns(gateway.engine.adapter.examples()[0])
    unknown = next((place for place, tensor in enumerate(tensors) if tensor.name not in known), None)
    if unknown is not None:
        raise BadInput(
            f"The learner has no column {tensors[unknown].name!r}. Its columns are {', '.join(known)}.",
            field=f"inputs[{unknown}].name",
        )
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return [RawInput("application/json", orjson.dumps(row)) for row in rows]


def _row(content: bytes | str, place: int) -> bytes:
    try:
        orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"This is not JSON: {error}.", field=f"inputs[0].data[{place}]", status=400) from error
    return content if isinstance(content, bytes) else content.encode()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    # A missing number: JSON and the tensors of most clients have no other way to say it.
    return None if isinstance(value, float) and value != value else value


def outputs_of(
    answers: Sequence[RecordedPrediction | BadInput], gateway: Gateway, wanted: list[WantedOutput] | None, binary: bool
) -> list[tuple[Tensor, bool]]:
    """The answers as tensors, each with whether it goes as binary data.

    Where some inputs can't be used, `error` says why for each of them, and the others' rows are answered.

    Raises:
        BadInput: an output was asked for that there is not.
    """
    tensors = {tensor.name: tensor for tensor in _tensors(answers, gateway)}
    if wanted is None:
        return [(tensor, binary) for tensor in tensors.values()]
    unknown = next((place for place, one in enumerate(wanted) if one.name not in tensors), None)
    if unknown is not None:
        raise BadInput(
            f"There is no output {wanted[unknown].name!r}. There are {', '.join(tensors)}.",
            field=f"outputs[{unknown}].name",
        )
    chosen = [(tensors[one.name], one.binary) for one in wanted]
    if "error" in tensors and "error" not in {one.name for one in wanted}:
        # Whoever asks for some outputs must still learn which of their rows mean nothing.
        chosen.append((tensors["error"], binary))
    return chosen


def _tensors(answers: Sequence[RecordedPrediction | BadInput], gateway: Gateway) -> list[Tensor]:
    good = next(one for one in answers if isinstance(one, RecordedPrediction))

    def column(name: str, datatype: str, read: Callable[[RecordedPrediction], Any], missing: Any) -> Tensor:
        values = [read(one) if isinstance(one, RecordedPrediction) else missing for one in answers]
        return Tensor(name, datatype, _array(values, datatype))

    found = [column("id", BYTES, lambda one: str(one.id), "")]
    prediction = good.prediction
    if isinstance(prediction, str):
        found.append(column("prediction", BYTES, lambda one: one.prediction, ""))
    elif gateway.engine.task.classes:
        found.append(column("prediction", BYTES, lambda one: orjson.dumps(one.prediction).decode(), ""))
    else:
        nothing = [np.nan] * len(prediction) if isinstance(prediction, list) else np.nan
        found.append(column("prediction", "FP64", lambda one: one.prediction, nothing))
    if good.probabilities is not None:
        nothing = [np.nan] * len(good.probabilities)
        found.append(column("probabilities", "FP32", lambda one: one.probabilities, nothing))
    if good.confidence is not None:
        found.append(column("confidence", "FP64", lambda one: one.confidence, np.nan))
    if good.ood is not None:
        found += [
            column("ood_score", "FP64", lambda one: _finite(_ood(one)["score"]), np.nan),
            column("ood_p_value", "FP64", lambda one: _ood(one)["p_value"], np.nan),
            column("ood_flagged", "BOOL", lambda one: _ood(one)["flagged"], False),
        ]
    if any(isinstance(one, BadInput) for one in answers):
        errors = [str(one) if isinstance(one, BadInput) else "" for one in answers]
        found.append(Tensor("error", BYTES, _array(errors, BYTES)))
    return found


def _ood(answer: RecordedPrediction) -> dict[str, Any]:
    assert answer.ood is not None
    return answer.ood


def _finite(score: float | None) -> float:
    return LARGEST if score is None else score


def _array(values: list[Any], datatype: str) -> npt.NDArray[Any]:
    if datatype == BYTES:
        elements = np.empty(len(values), object)
        elements[:] = values
        return elements
    return np.array(values, {"FP32": np.float32, "FP64": np.float64, "BOOL": np.bool_}[datatype])


def metadata(gateway: Gateway, name: str, versions: Sequence[str]) -> dict[str, Any]:
    """What clients ask before they send: names, datatypes and shapes (−1 = any)."""
    adapter, classes = gateway.engine.adapter, gateway.engine.task.classes
    if adapter.takes == "rows":
        example = adapter.columns(adapter.examples()[0])
        inputs = [
            {"name": column, "datatype": BYTES if isinstance(value, str) else "FP64", "shape": [-1]}
            for column, value in example.items()
        ]
    else:
        inputs = [{"name": "image" if adapter.takes == "pictures" else "text", "datatype": BYTES, "shape": [-1]}]
    outputs: list[dict[str, Any]] = [{"name": "id", "datatype": BYTES, "shape": [-1]}]
    outputs.append({"name": "prediction", "datatype": BYTES if classes else "FP64", "shape": [-1]})
    if classes:
        outputs.append({"name": "probabilities", "datatype": "FP32", "shape": [-1, len(classes)]})
    if gateway.engine.task.name == "single_label":
        outputs.append({"name": "confidence", "datatype": "FP64", "shape": [-1]})
    if gateway.reference is not None:
        outputs += [
            {"name": "ood_score", "datatype": "FP64", "shape": [-1]},
            {"name": "ood_p_value", "datatype": "FP64", "shape": [-1]},
            {"name": "ood_flagged", "datatype": "BOOL", "shape": [-1]},
        ]
    return {
        "name": name,
        "versions": list(versions),
        "platform": f"fastai_{adapter.application}",
        "inputs": inputs,
        "outputs": outputs,
        "parameters": {"classes": classes},
    }
