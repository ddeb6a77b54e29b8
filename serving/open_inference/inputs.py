"""Tensors of the Open Inference Protocol V2 as the inputs of a fastai learner. Nothing here is trusted."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from PIL import Image

from serving.gateway.gateway import Gateway
from serving.learner.adapters.text import raw_text
from serving.learner.adapters.vision import encode_png, media_type_of
from serving.open_inference.tensors import BYTES, InferRequest, Tensor, parse_json
from store.errors import BadInput
from store.recording.prediction_batch import RawInput

# A tensor of this name holds whole rows as JSON; otherwise each tensor is a column.
ROWS = "rows"


def parse_inputs(request: InferRequest, gateway: Gateway) -> tuple[list[RawInput], str]:
    """The inputs of a request, and where an input lies in it, such as `inputs[0].data[{}]`.

    Raises:
        BadInput: the tensors are not what this learner takes.
    """
    takes = gateway.engine.adapter.takes
    if takes == "rows":
        inputs = _parse_rows(request.tensors, gateway)
    else:
        if len(request.tensors) != 1:
            raise BadInput(
                f"This learner takes one tensor of {takes}, and {len(request.tensors)} came.", field="inputs"
            )
        inputs = (_parse_pictures if takes == "pictures" else _parse_texts)(request.tensors[0])
    if not inputs:
        raise BadInput("The tensors hold no input: their first size is 0.", field="inputs[0].shape")
    if len(inputs) > gateway.settings.maximum_items:
        raise BadInput(
            f"{len(inputs):,} inputs came, and at most {gateway.settings.maximum_items:,} are taken at once. Send fewer.",
            status=413,
            field="inputs[0].shape",
        )
    return inputs, "inputs[0].data[{}]" if takes != "rows" else "inputs.{}"


def _parse_pictures(tensor: Tensor) -> list[RawInput]:
    if tensor.datatype == "UINT8" and tensor.values.ndim in (3, 4):
        return [RawInput("image/png", _encode_pixels(pixels)) for pixels in tensor.values]
    elements = _elements(tensor, "the bytes of image files, or UINT8 pixels of shape [n, height, width, channels]")
    inputs = []
    for index, element in enumerate(elements):
        content = element if isinstance(element, bytes) else _decode_base64(element, f"inputs[0].data[{index}]")
        inputs.append(RawInput(media_type_of(content), content))
    return inputs


def _encode_pixels(pixels: npt.NDArray[np.uint8]) -> bytes:
    if 0 in pixels.shape:
        raise BadInput("A picture without pixels came.", field="inputs[0].shape")
    if pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4):
        raise BadInput(
            f"A picture has 1, 3 or 4 channels, the last dimension, and {pixels.shape[2]} came.",
            field="inputs[0].shape",
        )
    return encode_png(Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels))


def _decode_base64(text: str, field: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadInput("In JSON an image file comes as base64. Send it so, or as binary data.", field=field) from error


def _parse_texts(tensor: Tensor) -> list[RawInput]:
    inputs = []
    for index, element in enumerate(_elements(tensor, "texts")):
        try:
            inputs.append(raw_text(element if isinstance(element, str) else element.decode()))
        except UnicodeDecodeError as error:
            raise BadInput(f"The text is not UTF-8: {error}.", field=f"inputs[0].data[{index}]") from error
    return inputs


def _elements(tensor: Tensor, expected: str) -> list[Any]:
    """The elements of a tensor of BYTES; `expected` says what they are to be, for the error."""
    values = tensor.values
    if tensor.datatype != BYTES or not (values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1)):
        raise BadInput(
            f"The tensor {tensor.name!r} must be {expected}: BYTES of shape [n], and {tensor.datatype} of shape "
            f"{list(values.shape)} came.",
            field="inputs[0].datatype",
        )
    elements: list[Any] = values.ravel().tolist()
    return elements


def _parse_rows(tensors: Sequence[Tensor], gateway: Gateway) -> list[RawInput]:
    if len(tensors) == 1 and tensors[0].name == ROWS and tensors[0].datatype == BYTES:
        elements = _elements(tensors[0], ROWS)
        return [RawInput("application/json", _checked_row(row, index)) for index, row in enumerate(elements)]
    columns = _parse_columns(tensors)
    learner_columns = gateway.engine.adapter.columns(gateway.engine.adapter.examples()[0])
    unknown = next((index for index, tensor in enumerate(tensors) if tensor.name not in learner_columns), None)
    if unknown is not None:
        raise BadInput(
            f"The learner has no column {tensors[unknown].name!r}. Its columns are {', '.join(learner_columns)}.",
            field=f"inputs[{unknown}].name",
        )
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return [RawInput("application/json", orjson.dumps(row)) for row in rows]


def _parse_columns(tensors: Sequence[Tensor]) -> dict[str, list[Any]]:
    """Each tensor as a column of one value a row, by its name."""
    columns = {}
    for index, tensor in enumerate(tensors):
        values = tensor.values
        if not (values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1)):
            raise BadInput(
                f"The column {tensor.name!r} must have shape [n], and {list(values.shape)} came.",
                field=f"inputs[{index}].shape",
            )
        columns[tensor.name] = [_as_json_value(value) for value in values.ravel().tolist()]
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise BadInput(f"The columns differ in length: {sorted(lengths)}.", field="inputs")
    return columns


def _checked_row(content: bytes | str, index: int) -> bytes:
    parse_json(content, f"inputs[0].data[{index}]")
    return content if isinstance(content, bytes) else content.encode()


def _as_json_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    # A missing number: JSON and the tensors of most clients have no other way to say it.
    return None if isinstance(value, float) and value != value else value
