"""Tensors on the wire, as the Open Inference Protocol V2 has them: JSON, or JSON with binary data behind it.

A tensor's bytes follow the JSON in the order of the tensors; the header `Inference-Header-Content-Length` says where they
begin. An element of BYTES is its length (4 bytes, little-endian) and its bytes. Nothing here is trusted.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from store.errors import BadInput

LENGTH_HEADER = "inference-header-content-length"

BYTES = "BYTES"
_DTYPES = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
_ITEM_LENGTH = struct.Struct("<I")
_MAXIMUM_TENSORS = 1_000
_MAXIMUM_DIMENSIONS = 8


@dataclass(frozen=True)
class Tensor:
    """A named array. Of BYTES the elements are `bytes`, or `str` where JSON brought them."""

    name: str
    datatype: str
    values: npt.NDArray[Any]


@dataclass(frozen=True)
class RequestedOutput:
    """An output that the caller asked for, and whether as binary data."""

    name: str
    binary: bool


@dataclass(frozen=True)
class InferRequest:
    """A request for inference. `outputs` is None where the caller wants all; `binary` is for outputs it does not name."""

    id: str | None
    tensors: list[Tensor]
    parameters: dict[str, Any]
    outputs: list[RequestedOutput] | None
    binary: bool


def parse_infer(headers: dict[bytes, bytes], body: bytes) -> InferRequest:
    """Read a request.

    Raises:
        BadInput: it is malformed; the field says where.
    """
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise BadInput("Compressed bodies are not taken. Send it as it is.", status=415, field="content-encoding")
    json_length = _json_length(headers, len(body))
    document = _as_object(parse_json(body[:json_length], "body"), "body")
    parameters = _as_object(document.get("parameters") or {}, "parameters")
    tensors = _parse_tensors(document.get("inputs"), memoryview(body)[json_length:])
    id_ = document.get("id")
    if id_ is not None and not isinstance(id_, str):
        raise BadInput("The request's id must be a string.", field="id", status=400)
    all_binary = parameters.get("binary_data_output") is True
    return InferRequest(id_, tensors, parameters, _parse_outputs(document.get("outputs"), all_binary), all_binary)


def _parse_tensors(inputs: Any, binary: memoryview) -> list[Tensor]:
    """The tensors of a request, from the JSON's `inputs` and the bytes behind the JSON."""
    if not isinstance(inputs, list) or not inputs:
        raise BadInput("The request needs `inputs`: a list of tensors, at least one.", field="inputs", status=400)
    if len(inputs) > _MAXIMUM_TENSORS:
        raise BadInput(f"{len(inputs):,} tensors came, and at most {_MAXIMUM_TENSORS:,} are taken.", field="inputs")
    tensors = []
    for index, entry in enumerate(inputs):
        field = f"inputs[{index}]"
        tensor, binary_size = _parse_tensor(_as_object(entry, field), binary, field)
        tensors.append(tensor)
        binary = binary[binary_size:]
    if len(binary):
        raise BadInput(
            f"{len(binary):,} bytes came behind the last tensor. Give each tensor its `binary_data_size`.",
            field="inputs",
            status=400,
        )
    names = [tensor.name for tensor in tensors]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise BadInput(
            f"Two tensors are called {repeated!r}.", field=f"inputs[{names.index(repeated)}].name", status=400
        )
    return tensors


def _json_length(headers: dict[bytes, bytes], body_length: int) -> int:
    """How many bytes of the body are JSON."""
    value = headers.get(LENGTH_HEADER.encode())
    if value is None:
        return body_length
    if not value.isdigit() or len(value) > 12 or int(value) > body_length:
        raise BadInput(
            f"The header says that the JSON takes {value.decode('latin-1')[:20]!r} bytes, and the body has "
            f"{body_length:,}.",
            field=LENGTH_HEADER,
            status=400,
        )
    return int(value)


def parse_json(content: bytes | str, field: str) -> Any:
    """The value that JSON holds.

    Raises:
        BadInput: it is not JSON; the error names the field.
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"This is not JSON: {error}.", field=field, status=400) from error


def _as_object(value: Any, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadInput(f"An object is needed here, and {type(value).__name__} came.", field=field, status=400)
    return value


def _parse_outputs(outputs: Any, all_binary: bool) -> list[RequestedOutput] | None:
    """The outputs that the caller asked for; `all_binary` holds where an output does not say."""
    if outputs is None:
        return None
    if not isinstance(outputs, list):
        raise BadInput("`outputs` must be a list of objects with a name.", field="outputs", status=400)
    requested = []
    for index, entry in enumerate(outputs):
        output = _as_object(entry, f"outputs[{index}]")
        name = output.get("name")
        if not isinstance(name, str):
            raise BadInput("An output needs a name.", field=f"outputs[{index}].name", status=400)
        parameters = _as_object(output.get("parameters") or {}, f"outputs[{index}].parameters")
        requested.append(RequestedOutput(name, parameters.get("binary_data", all_binary) is True))
    return requested


@dataclass(frozen=True)
class _TensorHead:
    """What is said of a tensor before its elements: `count` of them in `shape`; `field` names it in errors."""

    name: str
    datatype: str
    shape: list[int]
    count: int
    field: str


def _parse_tensor(entry: dict[str, Any], binary: memoryview, field: str) -> tuple[Tensor, int]:
    """One tensor, and how many of the binary bytes are its."""
    head = _parse_head(entry, field)
    parameters = _as_object(entry.get("parameters") or {}, f"{field}.parameters")
    size = parameters.get("binary_data_size")
    if size is None:
        return Tensor(head.name, head.datatype, _elements_from_json(entry.get("data"), head)), 0
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(binary):
        raise BadInput(
            f"binary_data_size says {size!r} bytes, and {len(binary):,} are left of the body.",
            field=f"{field}.parameters.binary_data_size",
            status=400,
        )
    return Tensor(head.name, head.datatype, _elements_from_binary(binary[:size], head)), size


def _parse_head(entry: dict[str, Any], field: str) -> _TensorHead:
    name, datatype = entry.get("name"), entry.get("datatype")
    if not isinstance(name, str):
        raise BadInput("A tensor needs a name.", field=f"{field}.name", status=400)
    if not isinstance(datatype, str) or (datatype != BYTES and datatype not in _DTYPES):
        raise BadInput(
            f"The datatype {datatype!r} is none of {', '.join((BYTES, *_DTYPES))}.",
            field=f"{field}.datatype",
            status=400,
        )
    shape = entry.get("shape")
    if (
        not isinstance(shape, list)
        or not 1 <= len(shape) <= _MAXIMUM_DIMENSIONS
        or any(not isinstance(size, int) or isinstance(size, bool) or size < 0 for size in shape)
    ):
        raise BadInput("The shape must be a list of sizes, such as [1].", field=f"{field}.shape", status=400)
    return _TensorHead(name, datatype, shape, math.prod(shape), field)


def _elements_from_json(data: Any, head: _TensorHead) -> npt.NDArray[Any]:
    field, datatype = f"{head.field}.data", head.datatype
    if not isinstance(data, list):
        raise BadInput("The tensor has no `data`, and no binary data either.", field=field, status=400)
    elements = _flatten(data, head.count, field)
    if len(elements) != head.count:
        raise BadInput(
            f"The shape {head.shape} holds {head.count:,} elements, and {len(elements):,} came.",
            field=field,
            status=400,
        )
    if datatype == BYTES:
        wrong = next((index for index, element in enumerate(elements) if not isinstance(element, str)), None)
        if wrong is not None:
            raise BadInput("An element of BYTES is a string.", field=f"{field}[{wrong}]", status=400)
        return _as_objects(elements, head.shape)
    allowed: tuple[type, ...] = (bool,) if datatype == "BOOL" else (int, float) if datatype.startswith("FP") else (int,)
    for index, element in enumerate(elements):
        fits = isinstance(element, allowed) and (datatype == "BOOL" or not isinstance(element, bool))
        # A missing number has no other way to come in JSON.
        if not fits and not (element is None and datatype.startswith("FP")):
            raise BadInput(f"{element!r} is no element of {datatype}.", field=f"{field}[{index}]", status=400)
    try:
        numbers = np.array(
            [np.nan if element is None else element for element in elements], np.dtype(_DTYPES[datatype])
        )
    except (OverflowError, ValueError) as error:
        raise BadInput(f"A number does not fit into {datatype}: {error}.", field=field, status=400) from error
    return numbers.reshape(head.shape)


def _flatten(data: list[Any], maximum: int, field: str) -> list[Any]:
    """Nested lists as one; more than `maximum` elements are an error at once."""
    flat: list[Any] = []
    open_lists = [iter(data)]
    while open_lists:
        for element in open_lists[-1]:
            if isinstance(element, list):
                if len(open_lists) > _MAXIMUM_DIMENSIONS:
                    raise BadInput("The data is nested too deeply.", field=field, status=400)
                open_lists.append(iter(element))
                break
            flat.append(element)
            if len(flat) > maximum:
                raise BadInput(f"More elements came than the {maximum:,} of the shape.", field=field, status=400)
        else:
            open_lists.pop()
    return flat


def _elements_from_binary(content: memoryview, head: _TensorHead) -> npt.NDArray[Any]:
    if head.datatype == BYTES:
        return _as_objects(_split_elements(content, head), head.shape)
    dtype = np.dtype(_DTYPES[head.datatype])
    if len(content) != head.count * dtype.itemsize:
        raise BadInput(
            f"The shape {head.shape} of {head.datatype} takes {head.count * dtype.itemsize:,} bytes, and "
            f"{len(content):,} came.",
            field=f"{head.field}.parameters.binary_data_size",
            status=400,
        )
    return np.frombuffer(content, dtype).reshape(head.shape)


def _split_elements(content: memoryview, head: _TensorHead) -> list[bytes]:
    """The elements of a tensor of BYTES, each behind its length."""
    elements: list[bytes] = []
    offset = 0
    while offset < len(content) and len(elements) <= head.count:
        if offset + _ITEM_LENGTH.size > len(content):
            break
        (length,) = _ITEM_LENGTH.unpack_from(content, offset)
        offset += _ITEM_LENGTH.size
        if offset + length > len(content):
            raise BadInput(
                f"Element {len(elements)} says that it has {length:,} bytes, and {len(content) - offset:,} are left.",
                field=f"{head.field}[{len(elements)}]",
                status=400,
            )
        elements.append(bytes(content[offset : offset + length]))
        offset += length
    if len(elements) != head.count or offset != len(content):
        raise BadInput(
            f"The shape {head.shape} holds {head.count:,} elements, and the bytes do not hold as many.",
            field=f"{head.field}.parameters.binary_data_size",
            status=400,
        )
    return elements


def _as_objects(elements: Sequence[Any], shape: list[int]) -> npt.NDArray[Any]:
    values = np.empty(len(elements), object)
    values[:] = elements
    return values.reshape(shape)


def encode_infer(head: dict[str, Any], tensors: Sequence[tuple[Tensor, bool]]) -> tuple[bytes, dict[str, str]]:
    """A response's body and headers.

    Args:
        head: its members beside `outputs`.
        tensors: its outputs, each with whether it goes as binary data.
    """
    outputs: list[dict[str, Any]] = []
    pieces: list[bytes] = []
    for tensor, binary in tensors:
        output: dict[str, Any] = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(tensor.values.shape),
        }
        if binary:
            piece = _encode_binary(tensor)
            output["parameters"] = {"binary_data_size": len(piece)}
            pieces.append(piece)
        else:
            output["data"] = tensor.values.ravel().tolist()
        outputs.append(output)
    document = orjson.dumps({**head, "outputs": outputs})
    if not pieces:
        return document, {"content-type": "application/json"}
    headers = {"content-type": "application/octet-stream", "Inference-Header-Content-Length": str(len(document))}
    return b"".join([document, *pieces]), headers


def _encode_binary(tensor: Tensor) -> bytes:
    if tensor.datatype != BYTES:
        return tensor.values.astype(_DTYPES[tensor.datatype]).tobytes()
    encoded = [element.encode() if isinstance(element, str) else element for element in tensor.values.ravel()]
    return b"".join(part for element in encoded for part in (_ITEM_LENGTH.pack(len(element)), element))
