"""A client of the gateway for Python programs: typed answers, and retries that never record an input twice.

with Client("http://127.0.0.1:8000") as client:
    print(client.predict(Path("picture.png")).prediction)
"""

import asyncio
import json
import math
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from store.errors import BadInput, GatewayUnavailable, TidegateError

# A picture as the bytes of its file or its path, a row as a mapping, a text as a string.
Input = bytes | Path | Mapping[str, Any] | str

_RETRIED_STATUSES = {429, 502, 503, 504}
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 10.0


@dataclass(frozen=True)
class Ood:
    """How far an input lies from the training data; `score` is None where it is not finite."""

    score: float | None
    p_value: float
    flagged: bool
    nearest: list[int]


@dataclass(frozen=True)
class Prediction:
    """One answer. `prediction` is a class, several, numbers, or of a mask what the API's documentation says;
    `probabilities` are by class, None where numbers are predicted; `ood` is None without a reference.
    """

    id: uuid.UUID
    prediction: str | float | list[str] | list[float] | list[list[float]] | dict[str, Any]
    probabilities: dict[str, float] | None
    confidence: float | None
    ood: Ood | None
    notes: list[str]
    model: str


@dataclass(frozen=True)
class _Call:
    """One request, and how to read its answer; how it is sent is the clients' concern."""

    path: str
    headers: dict[str, str]
    content: bytes | None
    files: list[tuple[str, tuple[str, bytes]]] | None

    @classmethod
    def of(
        cls,
        inputs: Sequence[Input],
        model: str | None,
        tags: Mapping[str, Any] | None,
        key: str | None,
        idempotency_key: str | None,
    ) -> "_Call":
        """The request that predicts these inputs.

        Raises:
            BadInput: they are of several kinds, or there are none.
        """
        path = "/v1/predict" if model is None else f"/v1/models/{quote(model, safe='')}/predict"
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        if tags is not None:
            headers["tidegate-tags"] = _json(dict(tags)).decode("latin-1")
        if key is not None:
            headers["tidegate-key"] = key
        kinds = {_form_field(value) for value in inputs}
        if len(kinds) != 1:
            raise BadInput(
                "One request holds pictures (bytes or paths), or rows (dictionaries), or texts (strings): at least one, "
                "and not several kinds.",
                field="inputs",
            )
        (kind,) = kinds
        if kind == "file":
            files = [("file", (f"{index}", _read_content(value))) for index, value in enumerate(inputs)]
            return cls(path, headers, None, files)
        content = _json({kind: list(inputs)})
        return cls(path, {**headers, "content-type": "application/json"}, content, None)

    def parse_answer(self, response: httpx.Response) -> list[Prediction | BadInput]:
        """The outcomes in a response, in the order of the inputs.

        Raises:
            BadInput: the request was refused.
            GatewayUnavailable: the response is not of a gateway.
        """
        try:
            body = json.loads(response.content)
        except ValueError as error:
            raise GatewayUnavailable(
                f"{response.url} answered {response.status_code} and no JSON: is this a Tidegate gateway?"
            ) from error
        if response.status_code != 200:
            raise _bad_input(body)
        return [
            _bad_input(answer["problem"]) if "problem" in answer else _prediction(answer, body["model"])
            for answer in body["predictions"]
        ]


class _ClientSettings:
    """What both clients are made with."""

    def __init__(self, address: str, model: str | None, retries: int, timeout_seconds: float) -> None:
        self._model = model
        self._retries = retries
        self._options: dict[str, Any] = {"base_url": address, "timeout": timeout_seconds}


class Client(_ClientSettings):
    """Asks a gateway.

    Args:
        address: such as `http://127.0.0.1:8000`.
        model: the served name; by default the gateway's first.
        retries: how often a request is sent again when the gateway is away, busy or too slow. Each carries an
            Idempotency-Key, so that an input is recorded once however often it was sent.
        timeout_seconds: for one attempt.
    """

    def __init__(
        self, address: str, *, model: str | None = None, retries: int = 5, timeout_seconds: float = 30.0
    ) -> None:
        super().__init__(address, model, retries, timeout_seconds)
        self._http = httpx.Client(**self._options)

    def predict(self, one: Input, *, tags: Mapping[str, Any] | None = None, key: str | None = None) -> Prediction:
        """Predict one input; see `predict_many`.

        Raises:
            BadInput: it can't be used; the message says what to send instead.
            GatewayUnavailable: no answer came, however often it was asked.
        """
        return _only_outcome(self.predict_many([one], tags=tags, key=key))

    def predict_many(
        self,
        inputs: Sequence[Input],
        *,
        tags: Mapping[str, Any] | None = None,
        key: str | None = None,
        idempotency_key: str | None = None,
    ) -> list[Prediction | BadInput]:
        """Predict inputs of one kind, in order; one that can't be used gets its error, and the others are answered.

        Args:
            inputs: pictures as bytes or paths, rows as dictionaries, or texts as strings.
            tags: slices of these inputs, such as `{"site": "berlin"}`.
            key: requests with the same key are answered by the same version while a canary is on trial.
            idempotency_key: of the whole request, for programs that send it again after they were ended; by default a
                fresh one, kept through all retries.

        Raises:
            BadInput: none of them can be used.
            GatewayUnavailable: no answer came, however often it was asked.
        """
        call = _Call.of(inputs, self._model, tags, key, idempotency_key)
        for attempt in range(self._retries + 1):
            try:
                response = self._http.post(call.path, headers=call.headers, content=call.content, files=call.files)
            except httpx.TransportError as error:
                failure: Exception | httpx.Response = error
            else:
                if response.status_code not in _RETRIED_STATUSES:
                    return call.parse_answer(response)
                failure = response
            if attempt < self._retries:
                time.sleep(_pause_seconds(attempt, failure))
        raise _no_answer_error(failure, self._retries)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_ClientSettings):
    """`Client` for asyncio."""

    def __init__(
        self, address: str, *, model: str | None = None, retries: int = 5, timeout_seconds: float = 30.0
    ) -> None:
        super().__init__(address, model, retries, timeout_seconds)
        self._http = httpx.AsyncClient(**self._options)

    async def predict(self, one: Input, *, tags: Mapping[str, Any] | None = None, key: str | None = None) -> Prediction:
        """See `Client.predict`."""
        return _only_outcome(await self.predict_many([one], tags=tags, key=key))

    async def predict_many(
        self,
        inputs: Sequence[Input],
        *,
        tags: Mapping[str, Any] | None = None,
        key: str | None = None,
        idempotency_key: str | None = None,
    ) -> list[Prediction | BadInput]:
        """See `Client.predict_many`."""
        call = _Call.of(inputs, self._model, tags, key, idempotency_key)
        for attempt in range(self._retries + 1):
            try:
                response = await self._http.post(
                    call.path, headers=call.headers, content=call.content, files=call.files
                )
            except httpx.TransportError as error:
                failure: Exception | httpx.Response = error
            else:
                if response.status_code not in _RETRIED_STATUSES:
                    return call.parse_answer(response)
                failure = response
            if attempt < self._retries:
                await asyncio.sleep(_pause_seconds(attempt, failure))
        raise _no_answer_error(failure, self._retries)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _json(value: Any) -> bytes:
    return json.dumps(_to_json_value(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _to_json_value(value: Any) -> Any:
    """A value as JSON can hold it: numpy's as Python's, instants and ids as text, numbers that are not finite as null."""
    if isinstance(value, Mapping):
        return {key: _to_json_value(element) for key, element in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json_value(element) for element in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if hasattr(value, "tolist"):
        # Arrays and scalars of numpy, which this client does not import.
        return _to_json_value(value.tolist())
    raise BadInput(f"A value of type {type(value).__name__} can't be sent as JSON.", field="inputs")


def _only_outcome(outcomes: list[Prediction | BadInput]) -> Prediction:
    (outcome,) = outcomes
    if isinstance(outcome, BadInput):
        raise outcome
    return outcome


def _form_field(value: Input) -> str:
    """The field of a request that holds inputs of this kind."""
    if isinstance(value, bytes | Path):
        return "file"
    return "texts" if isinstance(value, str) else "rows"


def _read_content(picture: Any) -> bytes:
    if isinstance(picture, bytes):
        return picture
    try:
        content: bytes = picture.read_bytes()
    except OSError as error:
        raise BadInput(f"{picture} can't be read: {error.strerror}.", field="inputs") from error
    return content


def _prediction(answer: dict[str, Any], model: str) -> Prediction:
    ood = answer["ood"]
    return Prediction(
        id=uuid.UUID(answer["id"]),
        prediction=answer["prediction"],
        probabilities=answer["probabilities"],
        confidence=answer["confidence"],
        ood=None if ood is None else Ood(ood["score"], ood["p_value"], ood["flagged"], ood["nearest"]),
        notes=answer.get("notes", []),
        model=model,
    )


def _bad_input(problem: dict[str, Any]) -> BadInput:
    detail = problem.get("detail") or problem.get("title") or "The gateway refused the request."
    error = BadInput(str(detail), field=problem.get("field"), status=int(problem.get("status", 422)))
    error.curl = problem.get("curl")
    return error


def _pause_seconds(attempt: int, failure: Exception | httpx.Response) -> float:
    """Seconds before the next attempt: longer each time, at random, so that clients do not come together again."""
    longest_random = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**attempt)
    retry_after = failure.headers.get("retry-after", "") if isinstance(failure, httpx.Response) else ""
    least = min(float(retry_after), _LONGEST_PAUSE_SECONDS) if retry_after.isdigit() else 0.0
    return least + random.uniform(0, longest_random)


def _no_answer_error(failure: Exception | httpx.Response, retries: int) -> TidegateError:
    last_failure = (
        f"{failure.status_code}: {failure.text[:300]}"
        if isinstance(failure, httpx.Response)
        else f"{type(failure).__name__}: {failure}"
    )
    return GatewayUnavailable(
        f"No answer came in {retries + 1} attempts. The last said {last_failure}. "
        "Is the gateway running, and is the address right?"
    )
