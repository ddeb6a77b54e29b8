"""A client of the gateway for Python programs: typed answers, and retries that never record an input twice.

with Client("http://127.0.0.1:8000") as client:
    print(client.predict(Path("picture.png")).prediction)
"""

import asyncio
import json
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from serving.client_inputs import Input, Inputs, encode_inputs, to_json
from store.errors import BadInput, GatewayUnavailable, TidegateError

_RETRIED_STATUSES = {429, 502, 503, 504}
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 10.0
# What a gateway takes in one request, unless its operator says otherwise.
_INPUTS_AT_ONCE = 64


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
    count: int

    @classmethod
    def all_of(
        cls,
        inputs: Inputs,
        model: str | None,
        tags: Mapping[str, Any] | None,
        key: str | None,
        idempotency_key: str | None,
    ) -> list["_Call"]:
        """The requests that predict these inputs: one for as many as a gateway takes at once, each with a key of its own.

        Raises:
            BadInput: they are of several kinds or of none, or there are none.
        """
        path = "/v1/predict" if model is None else f"/v1/models/{quote(model, safe='')}/predict"
        headers: dict[str, str] = {}
        if tags is not None:
            headers["tidegate-tags"] = to_json(dict(tags)).decode("latin-1")
        if key is not None:
            headers["tidegate-key"] = key
        kind, encoded = encode_inputs(inputs)
        whole = idempotency_key or uuid.uuid4().hex
        calls = []
        for start in range(0, len(encoded), _INPUTS_AT_ONCE):
            part = encoded[start : start + _INPUTS_AT_ONCE]
            one_key = whole if len(encoded) <= _INPUTS_AT_ONCE else f"{whole}-{start // _INPUTS_AT_ONCE}"
            calls.append(cls._of_part(path, {**headers, "Idempotency-Key": one_key}, kind, part))
        return calls

    @classmethod
    def _of_part(cls, path: str, headers: dict[str, str], kind: str, part: Sequence[Any]) -> "_Call":
        if kind == "file":
            files = [("file", (f"{index}", content)) for index, content in enumerate(part)]
            return cls(path, headers, None, files, len(part))
        content = to_json({kind: list(part)})
        return cls(path, {**headers, "content-type": "application/json"}, content, None, len(part))

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
        """Predict one input: a picture, a row or a text.

        Args:
            one: a picture as a `Path`, `bytes`, a PIL picture or a uint8 array of shape `(height, width)` or
                `(height, width, 3)`; a row as a dictionary or a pandas `Series`; a text as a string, or the `Path` of a .txt
                file.
            tags: slices of this input, such as `{"site": "berlin"}`.
            key: see `predict_many`.

        Raises:
            BadInput: it can't be used; the message says what to send instead.
            GatewayUnavailable: no answer came, however often it was asked.
        """
        return _only_outcome(self.predict_many([one], tags=tags, key=key))

    def predict_many(
        self,
        inputs: Inputs,
        *,
        tags: Mapping[str, Any] | None = None,
        key: str | None = None,
        idempotency_key: str | None = None,
    ) -> list[Prediction | BadInput]:
        """Predict inputs of one kind, in order; one that can't be used gets its error, and the others are answered. More
        than 64 are sent in several requests, one after another.

        Args:
            inputs: as `predict` takes one; the rows may also be one pandas `DataFrame`.
            tags: slices of these inputs, such as `{"site": "berlin"}`.
            key: requests with the same key are answered by the same version while a canary is on trial.
            idempotency_key: of all of them, for programs that send it again after they were ended; by default a
                fresh one, kept through all retries.

        Raises:
            BadInput: none of them can be used.
            GatewayUnavailable: no answer came, however often it was asked.
        """
        calls = _Call.all_of(inputs, self._model, tags, key, idempotency_key)
        answered: list[list[Prediction | BadInput]] = []
        for call in calls:
            try:
                answered.append(self._answer(call))
            except BadInput as error:
                answered.append(_refused(call, error, alone=len(calls) == 1))
        return _all_outcomes(answered)

    def _answer(self, call: _Call) -> list[Prediction | BadInput]:
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
        inputs: Inputs,
        *,
        tags: Mapping[str, Any] | None = None,
        key: str | None = None,
        idempotency_key: str | None = None,
    ) -> list[Prediction | BadInput]:
        """See `Client.predict_many`."""
        calls = _Call.all_of(inputs, self._model, tags, key, idempotency_key)
        answered: list[list[Prediction | BadInput]] = []
        for call in calls:
            try:
                answered.append(await self._answer(call))
            except BadInput as error:
                answered.append(_refused(call, error, alone=len(calls) == 1))
        return _all_outcomes(answered)

    async def _answer(self, call: _Call) -> list[Prediction | BadInput]:
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


def _refused(call: _Call, error: BadInput, *, alone: bool) -> list[Prediction | BadInput]:
    """One of several requests that was refused as a whole: so was each of its inputs.

    Raises:
        BadInput: it is the only one.
    """
    if alone:
        raise error
    return [error] * call.count


def _all_outcomes(answered: list[list[Prediction | BadInput]]) -> list[Prediction | BadInput]:
    """The outcomes of all requests in order.

    Raises:
        BadInput: none of several requests was answered.
    """
    outcomes = [outcome for part in answered for outcome in part]
    if len(answered) > 1 and isinstance(outcomes[0], BadInput) and all(isinstance(one, BadInput) for one in outcomes):
        raise outcomes[0]
    return outcomes


def _only_outcome(outcomes: list[Prediction | BadInput]) -> Prediction:
    (outcome,) = outcomes
    if isinstance(outcome, BadInput):
        raise outcome
    return outcome


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
