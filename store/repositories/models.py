"""Models and their references."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from store.database.engine import Database
from store.database.tables import ModelRow, ReferenceRow
from store.errors import NotFound


@dataclass(frozen=True)
class ModelRecord:
    """A learner version, identified by the SHA-256 of its file."""

    sha256: str
    name: str
    application: str
    task: str
    classes: list[str]
    reference_sha256: str | None
    registered_at: datetime


class ModelRepository:
    """Every model whose predictions are recorded in this database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(
        self,
        *,
        sha256: str,
        name: str,
        application: str,
        task: str,
        classes: list[str],
        reference: bytes | None,
    ) -> ModelRecord:
        """Insert or update a model, with the content of its reference file where there is one."""
        reference_sha256 = None if reference is None else hashlib.sha256(reference).hexdigest()
        with self._database.writing() as session:
            if reference is not None and session.get(ReferenceRow, reference_sha256) is None:
                session.add(
                    ReferenceRow(sha256=reference_sha256, content=reference, created_at=self._database.utc_now())
                )
                session.flush()
            row = session.get(ModelRow, sha256)
            if row is None:
                row = ModelRow(sha256=sha256, registered_at=self._database.utc_now())
                session.add(row)
            row.name, row.application, row.task, row.classes = name, application, task, classes
            row.reference_sha256 = reference_sha256
            return _record(row)

    def all(self) -> list[ModelRecord]:
        """Every model, the latest registered first."""
        with self._database.reading() as session:
            return [_record(row) for row in session.scalars(select(ModelRow).order_by(ModelRow.registered_at.desc()))]

    def matching(self, name_or_hash: str | None) -> list[ModelRecord]:
        """The models with this name, or with a hash that begins so, the latest registered first; all models for None."""
        models = self.all()
        if name_or_hash is None:
            return models
        return [model for model in models if model.name == name_or_hash or model.sha256.startswith(name_or_hash)]

    def get(self, sha256: str) -> ModelRecord:
        """The model with this hash.

        Raises:
            NotFound: there is none in this database.
        """
        with self._database.reading() as session:
            row = session.get(ModelRow, sha256)
        if row is None:
            raise NotFound(f"No model {sha256[:12]} was ever served from this database.")
        return _record(row)

    def embeddings_forgotten_until(self, sha256: str) -> datetime | None:
        """The instant up to which a model's embeddings were deleted; None if none were."""
        with self._database.reading() as session:
            return session.scalar(select(ModelRow.embeddings_forgotten_until).where(ModelRow.sha256 == sha256))

    def reference(self, sha256: str) -> bytes:
        """The content of a reference file.

        Raises:
            NotFound: it is not in this database.
        """
        with self._database.reading() as session:
            row = session.get(ReferenceRow, sha256)
        if row is None:
            raise NotFound(f"No reference {sha256[:12]} is kept in this database.")
        return row.content


def _record(row: ModelRow) -> ModelRecord:
    return ModelRecord(
        sha256=row.sha256,
        name=row.name,
        application=row.application,
        task=row.task,
        classes=list(row.classes),
        reference_sha256=row.reference_sha256,
        registered_at=row.registered_at,
    )
