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
_MOST_TENSORS = 1_000
_MOST_DIMENSIONS = 8


@dataclass(frozen=True)
class Tensor:
    """A named array. Of BYTES the elements are `bytes`, or `str` where JSON brought them."""

    name: str
    datatype: str
    values: npt.NDArray[Any]


@dataclass(frozen=True)
class WantedOutput:
    """An output that was asked for, and whether as binary data."""

    name: str
    binary: bool


@dataclass(frozen=True)
class InferRequest:
    """A request for inference. `outputs` is None where all were asked for; `binary` is meant for those not named."""

    id: str | None
    tensors: list[Tensor]
    parameters: dict[str, Any]
    outputs: list[WantedOutput] | None
    binary: bool


def parse_infer(headers: dict[bytes, bytes], body: bytes) -> InferRequest:
    """Read a request.

    Raises:
        BadInput: it is malformed; the field says where.
    """
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise BadInput("Compressed bodies are not taken. Send it as it is.", status=415, field="content-encoding")
    split = _split(headers, len(body))
    document = _object(_json(body[:split]), "body")
    parameters = _object(document.get("parameters") or {}, "parameters")
    inputs = document.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise BadInput("The request needs `inputs`: a list of tensors, at least one.", field="inputs", status=400)
    if len(inputs) > _MOST_TENSORS:
        raise BadInput(f"{len(inputs):,} tensors came, and at most {_MOST_TENSORS:,} are taken.", field="inputs")
    binary = memoryview(body)[split:]
    tensors = []
    for place, given in enumerate(inputs):
        tensor, used = _tensor(_object(given, f"inputs[{place}]"), binary, f"inputs[{place}]")
        tensors.append(tensor)
        binary = binary[used:]
    if len(binary):
        raise BadInput(
            f"{len(binary):,} bytes came behind the last tensor. Give each tensor its `binary_data_size`.",
            field="inputs",
            status=400,
        )
    names = [tensor.name for tensor in tensors]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BadInput(f"Two tensors are called {twice!r}.", field=f"inputs[{names.index(twice)}].name", status=400)
    id_ = document.get("id")
    if id_ is not None and not isinstance(id_, str):
        raise BadInput("The request's id must be a string.", field="id", status=400)
    everything_binary = parameters.get("binary_data_output") is True
    return InferRequest(
        id_, tensors, parameters, _outputs(document.get("outputs"), everything_binary), everything_binary
    )


def _split(headers: dict[bytes, bytes], length: int) -> int:
    """Where the JSON ends."""
    sent = headers.get(LENGTH_HEADER.encode())
    if sent is None:
        return length
    if not sent.isdigit() or len(sent) > 12 or int(sent) > length:
        raise BadInput(
            f"The header says that the JSON takes {sent.decode('latin-1')[:20]!r} bytes, and the body has {length:,}.",
            field=LENGTH_HEADER,
            status=400,
        )
    return int(sent)


def _json(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"This is not JSON: {error}.", field="body", status=400) from error


def _object(value: Any, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadInput(f"An object is needed here, and {type(value).__name__} came.", field=field, status=400)
    return value


def _outputs(given: Any, everything_binary: bool) -> list[WantedOutput] | None:
    if given is None:
        return None
    if not isinstance(given, list):
        raise BadInput("`outputs` must be a list of objects with a name.", field="outputs", status=400)
    wanted = []
    for place, one in enumerate(given):
        output = _object(one, f"outputs[{place}]")
        name = output.get("name")
        if not isinstance(name, str):
            raise BadInput("An output needs a name.", field=f"outputs[{place}].name", status=400)
        parameters = _object(output.get("parameters") or {}, f"outputs[{place}].parameters")
        wanted.append(WantedOutput(name, parameters.get("binary_data", everything_binary) is True))
    return wanted


def _tensor(given: dict[str, Any], binary: memoryview, field: str) -> tuple[Tensor, int]:
    """One tensor, and how many of the binary bytes it took."""
    name, datatype = given.get("name"), given.get("datatype")
    if not isinstance(name, str):
        raise BadInput("A tensor needs a name.", field=f"{field}.name", status=400)
    if not isinstance(datatype, str) or (datatype != BYTES and datatype not in _DTYPES):
        raise BadInput(
            f"The datatype {datatype!r} is none of {', '.join((BYTES, *_DTYPES))}.",
            field=f"{field}.datatype",
            status=400,
        )
    shape = given.get("shape")
    if (
        not isinstance(shape, list)
        or not 1 <= len(shape) <= _MOST_DIMENSIONS
        or any(not isinstance(size, int) or isinstance(size, bool) or size < 0 for size in shape)
    ):
        raise BadInput("The shape must be a list of sizes, such as [1].", field=f"{field}.shape", status=400)
    count = math.prod(shape)
    parameters = _object(given.get("parameters") or {}, f"{field}.parameters")
    size = parameters.get("binary_data_size")
    if size is None:
        return Tensor(name, datatype, _from_json(given.get("data"), datatype, shape, count, field)), 0
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(binary):
        raise BadInput(
            f"binary_data_size says {size!r} bytes, and {len(binary):,} are left of the body.",
            field=f"{field}.parameters.binary_data_size",
            status=400,
        )
    return Tensor(name, datatype, _from_binary(binary[:size], datatype, shape, count, field)), size


def _from_json(data: Any, datatype: str, shape: list[int], count: int, field: str) -> npt.NDArray[Any]:
    if not isinstance(data, list):
        raise BadInput("The tensor has no `data`, and no binary data either.", field=f"{field}.data", status=400)
    flat = _flat(data, count, f"{field}.data")
    if len(flat) != count:
        raise BadInput(
            f"The shape {shape} holds {count:,} elements, and {len(flat):,} came.", field=f"{field}.data", status=400
        )
    if datatype == BYTES:
        wrong = next((place for place, one in enumerate(flat) if not isinstance(one, str)), None)
        if wrong is not None:
            raise BadInput("An element of BYTES is a string.", field=f"{field}.data[{wrong}]", status=400)
        return _objects(flat, shape)
    allowed: tuple[type, ...] = (bool,) if datatype == "BOOL" else (int, float) if datatype.startswith("FP") else (int,)
    for place, one in enumerate(flat):
        fits = isinstance(one, allowed) and (datatype == "BOOL" or not isinstance(one, bool))
        # A missing number has no other way to come in JSON.
        if not fits and not (one is None and datatype.startswith("FP")):
            raise BadInput(f"{one!r} is no element of {datatype}.", field=f"{field}.data[{place}]", status=400)
    try:
        numbers = np.array([np.nan if one is None else one for one in flat], np.dtype(_DTYPES[datatype]))
    except (OverflowError, ValueError) as error:
        raise BadInput(f"A number does not fit into {datatype}: {error}.", field=f"{field}.data", status=400) from error
    return numbers.reshape(shape)


def _flat(data: list[Any], most: int, field: str) -> list[Any]:
    """Nested lists as one; more than `most` elements are an error at once."""
    flat: list[Any] = []
    waiting = [iter(data)]
    while waiting:
        for one in waiting[-1]:
            if isinstance(one, list):
                if len(waiting) > _MOST_DIMENSIONS:
                    raise BadInput("The data is nested too deeply.", field=field, status=400)
                waiting.append(iter(one))
                break
            flat.append(one)
            if len(flat) > most:
                raise BadInput(f"More elements came than the {most:,} of the shape.", field=field, status=400)
        else:
            waiting.pop()
    return flat


def _from_binary(data: memoryview, datatype: str, shape: list[int], count: int, field: str) -> npt.NDArray[Any]:
    if datatype != BYTES:
        dtype = np.dtype(_DTYPES[datatype])
        if len(data) != count * dtype.itemsize:
            raise BadInput(
                f"The shape {shape} of {datatype} takes {count * dtype.itemsize:,} bytes, and {len(data):,} came.",
                field=f"{field}.parameters.binary_data_size",
                status=400,
            )
        return np.frombuffer(data, dtype).reshape(shape)
    elements: list[bytes] = []
    at = 0
    while at < len(data) and len(elements) <= count:
        if at + _ITEM_LENGTH.size > len(data):
            break
        (length,) = _ITEM_LENGTH.unpack_from(data, at)
        at += _ITEM_LENGTH.size
        if at + length > len(data):
            raise BadInput(
                f"Element {len(elements)} says that it has {length:,} bytes, and {len(data) - at:,} are left.",
                field=f"{field}[{len(elements)}]",
                status=400,
            )
        elements.append(bytes(data[at : at + length]))
        at += length
    if len(elements) != count or at != len(data):
        raise BadInput(
            f"The shape {shape} holds {count:,} elements, and the bytes do not hold as many.",
            field=f"{field}.parameters.binary_data_size",
            status=400,
        )
    return _objects(elements, shape)


def _objects(elements: Sequence[Any], shape: list[int]) -> npt.NDArray[Any]:
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
            piece = _to_binary(tensor)
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


def _to_binary(tensor: Tensor) -> bytes:
    if tensor.datatype != BYTES:
        return tensor.values.astype(_DTYPES[tensor.datatype]).tobytes()
    encoded = [one.encode() if isinstance(one, str) else one for one in tensor.values.ravel()]
    return b"".join(part for one in encoded for part in (_ITEM_LENGTH.pack(len(one)), one))
