"""Baselines: windows of production that a person accepted as healthy, named and versioned."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from store.clock import new_id
from store.database.engine import Database
from store.database.tables import BaselineRow
from store.errors import NotFound


@dataclass(frozen=True)
class NewBaseline:
    """A baseline to be pinned: a window of `count` predictions, and `content`, the rows to compare with, encoded.

    `certificate` is what was measured of it, as JSON.
    """

    model_sha256: str
    name: str
    since: datetime
    until: datetime
    count: int
    content: bytes
    certificate: dict[str, Any]


@dataclass(frozen=True)
class BaselineRecord:
    """A pinned baseline without its rows. `certificate` is what was measured when it was pinned."""

    id: UUID
    model_sha256: str
    name: str
    version: int
    pinned_at: datetime
    active: bool
    since: datetime
    until: datetime
    count: int
    sha256: str
    certificate: dict[str, Any]

    @property
    def label(self) -> str:
        """Name and version, such as `autumn v2`."""
        return f"{self.name} v{self.version}"


class BaselineRepository:
    """Every baseline; at most one of each model is active."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pin(self, session: Session, baseline: NewBaseline) -> BaselineRecord:
        """Record a baseline as the next version of its name and make it the active one, in the caller's transaction."""
        latest_version = session.scalar(
            select(func.max(BaselineRow.version)).where(
                BaselineRow.model_sha256 == baseline.model_sha256, BaselineRow.name == baseline.name
            )
        )
        self.deactivate(session, baseline.model_sha256)
        row = BaselineRow(
            id=new_id(),
            model_sha256=baseline.model_sha256,
            name=baseline.name,
            version=(latest_version or 0) + 1,
            pinned_at=self._database.utc_now(),
            active=True,
            since=baseline.since,
            until=baseline.until,
            count=baseline.count,
            sha256=hashlib.sha256(baseline.content).hexdigest(),
            content=baseline.content,
            certificate=baseline.certificate,
        )
        session.add(row)
        session.flush()
        return _record(row)

    def deactivate(self, session: Session, model_sha256: str) -> None:
        """Make no baseline of a model active, so that it is compared with training; in the caller's transaction."""
        session.execute(update(BaselineRow).where(BaselineRow.model_sha256 == model_sha256).values(active=False))

    def activate(self, session: Session, baseline_id: UUID, model_sha256: str) -> None:
        """Make a pinned baseline the active one, in the caller's transaction."""
        self.deactivate(session, model_sha256)
        session.execute(update(BaselineRow).where(BaselineRow.id == baseline_id).values(active=True))

    def active(self, model_sha256: str) -> BaselineRecord | None:
        """The baseline a model is compared with; None where it is compared with training."""
        query = select(BaselineRow).where(BaselineRow.model_sha256 == model_sha256, BaselineRow.active.is_(True))
        with self._database.reading() as session:
            row = session.scalar(query)
            return None if row is None else _record(row)

    def of_model(self, model_sha256: str) -> list[BaselineRecord]:
        """Every baseline of a model, the latest first."""
        query = (
            select(BaselineRow)
            .where(BaselineRow.model_sha256 == model_sha256)
            .order_by(BaselineRow.pinned_at.desc(), BaselineRow.id.desc())
        )
        with self._database.reading() as session:
            return [_record(row) for row in session.scalars(query)]

    def find(self, model_sha256: str, label: str) -> BaselineRecord:
        """Find a baseline by `name` (its latest version) or `name v2`.

        Raises:
            NotFound: there is none.
        """
        for record in self.of_model(model_sha256):
            if label in (record.name, record.label):
                return record
        raise NotFound(f"No baseline {label!r} of this model. `tidegate baseline list` names those there are.")

    def content(self, baseline_id: UUID) -> bytes:
        """The encoded rows of a baseline, as they were pinned.

        Raises:
            NotFound: there is no such baseline.
        """
        with self._database.reading() as session:
            row = session.get(BaselineRow, baseline_id)
            if row is None:
                raise NotFound(f"No baseline {baseline_id} is kept in this database.")
            return row.content


def _record(row: BaselineRow) -> BaselineRecord:
    return BaselineRecord(
        id=row.id,
        model_sha256=row.model_sha256,
        name=row.name,
        version=row.version,
        pinned_at=row.pinned_at,
        active=row.active,
        since=row.since,
        until=row.until,
        count=row.count,
        sha256=row.sha256,
        certificate=row.certificate,
    )
