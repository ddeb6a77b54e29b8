"""Idempotency keys: which ids the inputs of a request got, so that the same request sent again is recorded once."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from store.database.engine import Database
from store.database.tables import IdempotencyKeyRow
from store.errors import BadInput, StoreUnavailable


@dataclass(frozen=True)
class Reservation:
    """The ids and the model that a key stands for. `fresh` says that the key came for the first time."""

    ids: list[UUID]
    model_sha256: str
    fresh: bool


class IdempotencyRepository:
    """Every key that has not been deleted yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reserve(self, key_sha256: str, body_sha256: str, model_sha256: str, ids: list[UUID]) -> Reservation:
        """Reserve ids for a key, or return those that it stands for already. Durable when this returns.

        Raises:
            BadInput: the key came before with another body.
            StoreUnavailable: nothing was reserved.
        """
        existing = self._find(key_sha256, body_sha256)
        if existing is not None:
            return existing
        try:
            with self._database.writing() as session:
                session.add(
                    IdempotencyKeyRow(
                        key_sha256=key_sha256,
                        body_sha256=body_sha256,
                        model_sha256=model_sha256,
                        ids=[str(id_) for id_ in ids],
                        at=self._database.utc_now(),
                    )
                )
        except StoreUnavailable as error:
            if not isinstance(error.__cause__, IntegrityError):
                raise
            # Another gateway got the same request at the same instant.
            existing = self._find(key_sha256, body_sha256)
            if existing is None:
                raise
            return existing
        return Reservation(ids, model_sha256, fresh=True)

    def forget_before(self, instant: datetime) -> int:
        """Delete keys older than `instant`, and return how many."""
        with self._database.writing() as session:
            result = session.execute(delete(IdempotencyKeyRow).where(IdempotencyKeyRow.at < instant))
        return int(result.rowcount)  # type: ignore[attr-defined]

    def _find(self, key_sha256: str, body_sha256: str) -> Reservation | None:
        with self._database.reading() as session:
            row = session.scalar(select(IdempotencyKeyRow).where(IdempotencyKeyRow.key_sha256 == key_sha256))
        if row is None:
            return None
        if row.body_sha256 != body_sha256:
            raise BadInput(
                "This Idempotency-Key came before with another body. Use a new key for a new request, and the same key "
                "only to send the same request again.",
                field="idempotency-key",
            )
        return Reservation([UUID(text) for text in row.ids], row.model_sha256, fresh=False)
