"""Requests that a caller may send again: with an Idempotency-Key each input is recorded once and keeps its id."""

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import orjson

from serving.gateway.gateway import CallerGone, Gateway, RecordedPrediction
from serving.rollout.deployment import Deployment
from store.clock import new_id
from store.errors import BadInput, NotFound, StoreAway
from store.recording.batches import RawInput
from store.repositories.idempotency import Reservation

KEY_HEADER = "idempotency-key"
_LONGEST_KEY = 255
# Keys that came while the database was away, with the hash of what was sent.
_reserved_here: dict[str, tuple[str, Reservation]] = {}
_MOST_RESERVED_HERE = 100_000


@dataclass(frozen=True)
class Caller:
    """What a request brings beside its inputs: tags, how long it waits, whether it left, and its key."""

    tags: dict[str, Any] | None
    gone: CallerGone
    seconds: float | None
    key: str | None


def key_of(headers: dict[bytes, bytes]) -> str | None:
    """The caller's key, if it sent one.

    Raises:
        BadInput: it is empty or too long.
    """
    sent = headers.get(KEY_HEADER.encode())
    if sent is None:
        return None
    if not 1 <= len(sent) <= _LONGEST_KEY:
        raise BadInput(
            f"An Idempotency-Key has 1 to {_LONGEST_KEY} characters, and {len(sent):,} came.", field=KEY_HEADER
        )
    return sent.decode("latin-1")


async def predict_idempotently(
    deployment: Deployment, gateway: Gateway, inputs: Sequence[RawInput], caller: Caller
) -> tuple[Gateway, list[RecordedPrediction | BadInput]]:
    """Answer a request; one with a key that came before gets what it got then.

    Returns:
        The version that answered, and its answers in order.

    Raises:
        TidegateError: see `Gateway.predict`.
        BadInput: the key came before with another body.
    """
    if caller.key is None:
        # Without waiting for anything before the queue: see `Deployment.change`.
        answers = await deployment.predict(gateway, inputs, caller.tags, gone=caller.gone, seconds=caller.seconds)
        return gateway, answers
    reserved = await asyncio.to_thread(_reserve, deployment, gateway, inputs, caller)
    before: dict[UUID, RecordedPrediction] = {}
    if not reserved.fresh:
        # While the database is away nothing is known of before: computed again, it keeps its id and is recorded once.
        with suppress(StoreAway):
            before = await asyncio.to_thread(_recorded, _version(deployment, reserved), reserved.ids)
    # Chosen again, as one that was chosen before a wait may have been replaced since.
    gateway = _version(deployment, reserved)
    missing = [(raw, id_) for raw, id_ in zip(inputs, reserved.ids, strict=True) if id_ not in before]
    now: dict[UUID, RecordedPrediction | BadInput] = {}
    if missing:
        answers = await deployment.predict(
            gateway,
            [raw for raw, _ in missing],
            caller.tags,
            gone=caller.gone,
            seconds=caller.seconds,
            ids=[id_ for _, id_ in missing],
        )
        now = {id_: one for (_, id_), one in zip(missing, answers, strict=True)}
    return gateway, [before.get(id_) or now[id_] for id_ in reserved.ids]


def _reserve(deployment: Deployment, gateway: Gateway, inputs: Sequence[RawInput], caller: Caller) -> Reservation:
    assert caller.key is not None
    key = hashlib.sha256(f"{deployment.name}\0{caller.key}".encode()).hexdigest()
    content, model, ids = content_sha256(inputs, caller.tags), gateway.model.sha256, [new_id() for _ in inputs]
    known = _reserved_here.get(key)
    if known is not None and known[0] == content:
        return replace(known[1], fresh=False)
    try:
        return gateway.store.idempotency.reserve(key, content, model, ids)
    except StoreAway:
        # Only this process knows of it, until the database is back and long after.
        reserved = Reservation(ids, model, fresh=True)
        _reserved_here[key] = content, reserved
        while len(_reserved_here) > _MOST_RESERVED_HERE:
            _reserved_here.pop(next(iter(_reserved_here)))
        return reserved


def content_sha256(inputs: Sequence[RawInput], tags: dict[str, Any] | None) -> str:
    """What is the same of a request that is sent again. Not its bytes: clients draw a new boundary for a form each time."""
    digest = hashlib.sha256(orjson.dumps(tags, option=orjson.OPT_SORT_KEYS))
    for raw in inputs:
        digest.update(f"\0{raw.media_type}\0{len(raw.content)}\0".encode())
        digest.update(raw.content)
    return digest.hexdigest()


def _version(deployment: Deployment, reserved: Reservation) -> Gateway:
    """The version that answered first, or the live one where that is served no more."""
    try:
        return deployment.version(reserved.model_sha256)
    except NotFound:
        return deployment.live


def _recorded(gateway: Gateway, ids: Sequence[UUID]) -> dict[UUID, RecordedPrediction]:
    found = {id_: gateway.recorded(id_) for id_ in ids}
    return {id_: answer for id_, answer in found.items() if answer is not None}
