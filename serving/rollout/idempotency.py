"""Requests that a caller may send again: with an Idempotency-Key each input is recorded once and keeps its id."""

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson

from serving.gateway.gateway import Gateway
from serving.gateway.recorded_prediction import GatewayRequest, Outcome, RecordedPrediction
from serving.rollout.deployment import Deployment
from store.clock import new_id
from store.errors import NotFound, StoreAway
from store.recording.prediction_batch import RawInput
from store.repositories.idempotency import Reservation

# Keys that came while the database was away, with the hash of what was sent.
_reserved_here: dict[str, tuple[str, Reservation]] = {}
_MOST_RESERVED_HERE = 100_000


async def predict_idempotently(
    deployment: Deployment, gateway: Gateway, request: GatewayRequest, key: str
) -> tuple[Gateway, list[Outcome]]:
    """Answer a request; one whose key came before gets what it got then.

    Args:
        deployment: which serves the name.
        gateway: the version of it that was chosen, for a key that is new.
        request: inputs, tags, and how long the caller waits.
        key: the caller's.

    Returns:
        The version that answered, and its outcomes in order.

    Raises:
        TidegateError: see `Gateway.predict`.
        BadInput: the key came before with another body.
    """
    reserved = await asyncio.to_thread(_reserve, deployment, gateway, request, key)
    recorded: dict[UUID, RecordedPrediction] = {}
    if not reserved.fresh:
        # While the database is away nothing is known of before: computed again, it keeps its id and is recorded once.
        with suppress(StoreAway):
            recorded = await asyncio.to_thread(_recorded, _reserved_version(deployment, reserved), reserved.ids)
    # Chosen again, as one that was chosen before a wait may have been replaced since.
    gateway = _reserved_version(deployment, reserved)
    missing = [(raw, id_) for raw, id_ in zip(request.inputs, reserved.ids, strict=True) if id_ not in recorded]
    computed: dict[UUID, Outcome] = {}
    if missing:
        inputs, ids = zip(*missing, strict=True)
        outcomes = await deployment.predict(gateway, replace(request, inputs=inputs, ids=ids))
        computed = dict(zip(ids, outcomes, strict=True))
    return gateway, [recorded.get(id_) or computed[id_] for id_ in reserved.ids]


def _reserve(deployment: Deployment, gateway: Gateway, request: GatewayRequest, key: str) -> Reservation:
    key_sha256 = hashlib.sha256(f"{deployment.name}\0{key}".encode()).hexdigest()
    content = content_sha256(request.inputs, request.tags)
    model, ids = gateway.model.sha256, [new_id() for _ in request.inputs]
    existing = _reserved_here.get(key_sha256)
    if existing is not None and existing[0] == content:
        return replace(existing[1], fresh=False)
    try:
        return gateway.store.idempotency.reserve(key_sha256, content, model, ids)
    except StoreAway:
        # Only this process knows of it, until the database is back and long after.
        reserved = Reservation(ids, model, fresh=True)
        _reserved_here[key_sha256] = content, reserved
        while len(_reserved_here) > _MOST_RESERVED_HERE:
            _reserved_here.pop(next(iter(_reserved_here)))
        return reserved


def content_sha256(inputs: Sequence[RawInput], tags: dict[str, Any] | None) -> str:
    """The hash of what stays the same when a request is sent again. Not of its bytes: clients draw a new boundary for a form
    each time."""
    digest = hashlib.sha256(orjson.dumps(tags, option=orjson.OPT_SORT_KEYS))
    for raw in inputs:
        digest.update(f"\0{raw.media_type}\0{len(raw.content)}\0".encode())
        digest.update(raw.content)
    return digest.hexdigest()


def _reserved_version(deployment: Deployment, reserved: Reservation) -> Gateway:
    """The version that answered first, or the live one where that is served no more."""
    try:
        return deployment.version(reserved.model_sha256)
    except NotFound:
        return deployment.live


def _recorded(gateway: Gateway, ids: Sequence[UUID]) -> dict[UUID, RecordedPrediction]:
    by_id = {id_: gateway.recorded(id_) for id_ in ids}
    return {id_: prediction for id_, prediction in by_id.items() if prediction is not None}
