"""Reads predictions that were made elsewhere: JSON, Arrow IPC, or CloudEvents as KServe's payload logger emits them."""

from dataclasses import dataclass
from typing import Any

import orjson

from monitor.ingest.ingest_batch import IngestBatch, parse_arrow_table, parse_rows
from store.errors import BadInput

ARROW = "application/vnd.apache.arrow.stream"
CLOUD_EVENT = "application/cloudevents+json"
MAXIMUM_ROWS = 50_000
_RESPONSE = "org.kubeflow.serving.inference.response"


@dataclass(frozen=True)
class IngestRequest:
    """The predictions in one request, and their model. `batch` is None for an event that holds no prediction."""

    model: str
    batch: IngestBatch | None


def parse_ingest(headers: dict[bytes, bytes], model: str | None, body: bytes) -> IngestRequest:
    """Read a request's predictions.

    Args:
        headers: by lower-case name.
        model: as the address names it; JSON and events may name it themselves.
        body: whole.

    Raises:
        BadInput: it can't be read, or is too much; the field is named.
    """
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
    if kind == ARROW:
        return IngestRequest(_checked_name(model), _parse_arrow(body))
    document = _parse_object(body)
    if b"ce-type" in headers or kind == CLOUD_EVENT:
        return _parse_cloud_event(headers, kind, document, model)
    rows = document.get("predictions")
    if not isinstance(rows, list) or not rows:
        raise BadInput(
            'Send {"model": NAME, "predictions": [{"embedding": […], "logits": […], "id": …, "at": …}, …]}.',
            field="predictions",
        )
    if len(rows) > MAXIMUM_ROWS:
        raise BadInput(f"{len(rows):,} predictions came, and at most {MAXIMUM_ROWS:,} are taken at once.", status=413)
    return IngestRequest(_checked_name(document.get("model", model)), parse_rows(rows))


def _checked_name(model: Any) -> str:
    if not isinstance(model, str) or not model:
        raise BadInput("Say of which model these are: in the body, or as ?model=NAME.", field="model")
    return model


def _parse_object(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"The body is not JSON: {error}.", status=400) from error
    if not isinstance(document, dict):
        raise BadInput("The body must be a JSON object.")
    return document


def _parse_arrow(body: bytes) -> IngestBatch:
    import pyarrow as pa

    try:
        with pa.ipc.open_stream(body) as reader:
            table = reader.read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BadInput(f"The body is no Arrow IPC stream: {error}.", status=400) from error
    if not 1 <= len(table) <= MAXIMUM_ROWS:
        raise BadInput(f"{len(table):,} predictions came; 1 to {MAXIMUM_ROWS:,} are taken at once.", status=413)
    return parse_arrow_table(table)


def _parse_cloud_event(
    headers: dict[bytes, bytes], kind: str, document: dict[str, Any], model: str | None
) -> IngestRequest:
    """Read an event in structured or binary mode.

    Its data is an answer of the Open Inference Protocol V2 with tensors `embedding` and, where the reference has logits,
    `logits`. The event of a request holds no prediction, and is no error.
    """
    if kind == CLOUD_EVENT:
        event, data = document, document.get("data")
    else:
        event = {
            name.removeprefix(b"ce-").decode("latin-1"): value.decode("latin-1")
            for name, value in headers.items()
            if name.startswith(b"ce-")
        }
        data = document
    model_name = _checked_name(event.get("inferenceservicename", model))
    if event.get("type") != _RESPONSE:
        return IngestRequest(model_name, None)
    if not isinstance(data, dict) or not isinstance(data.get("outputs"), list):
        raise BadInput("The event's data is no answer of the Open Inference Protocol V2.", field="data.outputs")
    tensors = {output.get("name"): output for output in data["outputs"] if isinstance(output, dict)}
    embeddings = _parse_tensor(tensors, "embedding")
    if embeddings is None:
        raise BadInput(
            "The answer has no tensor named embedding, which is what inputs are judged by. Let the model return it.",
            field="data.outputs",
        )
    logits, n = _parse_tensor(tensors, "logits"), len(embeddings)
    rows = [
        {
            "embedding": embeddings[row_index],
            **({} if logits is None else {"logits": logits[row_index]}),
            "id": f"{event.get('id', '')}/{row_index}",
            **({"at": event["time"]} if "time" in event else {}),
        }
        for row_index in range(n)
    ]
    return IngestRequest(model_name, parse_rows(rows))


def _parse_tensor(tensors: dict[Any, dict[str, Any]], name: str) -> list[list[float]] | None:
    """The rows of a tensor; None where the answer has none of this name."""
    tensor = tensors.get(name)
    if tensor is None:
        return None
    shape, data = tensor.get("shape"), tensor.get("data")
    if (
        not isinstance(shape, list)
        or len(shape) != 2
        or not all(isinstance(size, int) and 0 < size <= 1_000_000 for size in shape)
        or not isinstance(data, list)
    ):
        raise BadInput(f"The tensor {name} must have a shape of two sizes, and data.", field=f"data.outputs.{name}")
    rows, width = shape
    flat = [value for row in data for value in row] if data and isinstance(data[0], list) else data
    if len(flat) != rows * width:
        raise BadInput(f"{name} holds {len(flat):,} numbers, and its shape says {rows * width:,}.", field=name)
    return [flat[start : start + width] for start in range(0, len(flat), width)]
