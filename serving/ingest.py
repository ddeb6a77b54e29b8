"""Reads predictions that were made elsewhere: JSON, Arrow IPC, or CloudEvents as KServe's payload logger emits them."""

import threading
from dataclasses import dataclass
from typing import Any

import orjson

from monitor.history.writer import HistoryWriter
from monitor.ingest import Given, Ingest, given_of_arrow, given_of_rows, model_named
from monitor.reference import Reference
from store import Store
from store.errors import BadInput

ARROW = "application/vnd.apache.arrow.stream"
CLOUD_EVENT = "application/cloudevents+json"
MOST_ROWS = 50_000
_RESPONSE = "org.kubeflow.serving.inference.response"


@dataclass(frozen=True)
class Sent:
    """What one request brings, and of which model. `given` is None for an event that holds no prediction."""

    model: str
    given: Given | None


class Desk:
    """Takes predictions of any model that is known; references are loaded once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # By hash: pages ask for one by that, and callers by its name.
        self._known: dict[str, Ingest] = {}
        self._lock = threading.Lock()

    def take(self, sent: Sent) -> list[str]:
        """Score and record, and give the ids here.

        Raises:
            TidegateError: see `monitor.ingest.Ingest`.
        """
        if sent.given is None:
            return []
        return [str(id_) for id_ in self.of(sent.model).take(sent.given)]

    def of(self, model: str) -> Ingest:
        """What takes predictions of one model, with its reference.

        Raises:
            NotFound: no such model is known, or it has no reference.
        """
        with self._lock:
            record = model_named(self._store, model)
            ingest = self._known.get(record.sha256)
            if ingest is None or ingest.model != record:
                fresh = Ingest(self._store, record.sha256, self._history)
                if ingest is not None and ingest.history is not None:
                    ingest.history.stop()
                ingest = self._known[record.sha256] = fresh
        return ingest

    def stop(self) -> None:
        """Write what waits to be added up."""
        for ingest in self._known.values():
            if ingest.history is not None:
                ingest.history.stop()

    def _history(self, model_sha256: str, reference: Reference) -> HistoryWriter:
        writer = HistoryWriter(self._store, model_sha256, reference)
        writer.start()
        return writer


def read_sent(headers: dict[bytes, bytes], model: str | None, body: bytes) -> Sent:
    """What a request holds.

    Args:
        headers: by lower-case name.
        model: of the address; JSON and events may name it themselves.
        body: whole.

    Raises:
        BadInput: it can't be read, or is too much; the field is named.
    """
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
    if kind == ARROW:
        return Sent(_named(model), _arrow(body))
    document = _json(body)
    if b"ce-type" in headers or kind == CLOUD_EVENT:
        return _cloud_event(headers, kind, document, model)
    rows = document.get("predictions")
    if not isinstance(rows, list) or not rows:
        raise BadInput(
            'Send {"model": NAME, "predictions": [{"embedding": […], "logits": […], "id": …, "at": …}, …]}.',
            field="predictions",
        )
    if len(rows) > MOST_ROWS:
        raise BadInput(f"{len(rows):,} predictions came, and at most {MOST_ROWS:,} are taken at once.", status=413)
    return Sent(_named(document.get("model", model)), given_of_rows(rows))


def _named(model: Any) -> str:
    if not isinstance(model, str) or not model:
        raise BadInput("Say of which model these are: in the body, or as ?model=NAME.", field="model")
    return model


def _json(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"The body is not JSON: {error}.", status=400) from error
    if not isinstance(document, dict):
        raise BadInput("The body must be a JSON object.")
    return document


def _arrow(body: bytes) -> Given:
    import pyarrow as pa

    try:
        with pa.ipc.open_stream(body) as reader:
            table = reader.read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BadInput(f"The body is no Arrow IPC stream: {error}.", status=400) from error
    if not 1 <= len(table) <= MOST_ROWS:
        raise BadInput(f"{len(table):,} predictions came; 1 to {MOST_ROWS:,} are taken at once.", status=413)
    return given_of_arrow(table)


def _cloud_event(headers: dict[bytes, bytes], kind: str, document: dict[str, Any], model: str | None) -> Sent:
    """An event in structured or binary mode. Its data is an answer of the Open Inference Protocol V2 with tensors
    `embedding` and, where the reference knows logits, `logits`; a request's event holds no prediction and is let pass."""
    if kind == CLOUD_EVENT:
        event, data = document, document.get("data")
    else:
        event = {
            name.removeprefix(b"ce-").decode("latin-1"): value.decode("latin-1")
            for name, value in headers.items()
            if name.startswith(b"ce-")
        }
        data = document
    named = _named(event.get("inferenceservicename", model))
    if event.get("type") != _RESPONSE:
        return Sent(named, None)
    if not isinstance(data, dict) or not isinstance(data.get("outputs"), list):
        raise BadInput("The event's data is no answer of the Open Inference Protocol V2.", field="data.outputs")
    tensors = {one.get("name"): one for one in data["outputs"] if isinstance(one, dict)}
    embeddings = _tensor(tensors, "embedding")
    if embeddings is None:
        raise BadInput(
            "The answer has no tensor named embedding, which is what inputs are judged by. Let the model return it.",
            field="data.outputs",
        )
    logits, n = _tensor(tensors, "logits"), len(embeddings)
    rows = [
        {
            "embedding": embeddings[place],
            **({} if logits is None else {"logits": logits[place]}),
            "id": f"{event.get('id', '')}/{place}",
            **({"at": event["time"]} if "time" in event else {}),
        }
        for place in range(n)
    ]
    return Sent(named, given_of_rows(rows))


def _tensor(tensors: dict[Any, dict[str, Any]], name: str) -> list[list[float]] | None:
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
