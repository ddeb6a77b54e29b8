"""Groups of new inputs that look alike, matched from window to window."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import numpy as np
import numpy.typing as npt
from sqlalchemy import select
from sqlalchemy.orm import Session

from store.database.engine import Database
from store.database.tables import GroupRow


@dataclass(frozen=True)
class GroupRecord:
    """A group: its centre on the unit sphere `(d,)`, how far its members lie from it, and when members were seen."""

    id: UUID
    model_sha256: str
    number: int
    centre: npt.NDArray[np.float32]
    radius: float
    first_seen: datetime
    last_seen: datetime
    count: int


class GroupRepository:
    """Every group of new inputs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_model(self, model_sha256: str) -> list[GroupRecord]:
        """The groups of a model, in the order of their numbers."""
        query = select(GroupRow).where(GroupRow.model_sha256 == model_sha256).order_by(GroupRow.number)
        with self._database.reading() as session:
            return [
                GroupRecord(
                    row.id,
                    row.model_sha256,
                    row.number,
                    np.frombuffer(row.centre, "<f4").astype(np.float32),
                    row.radius,
                    row.first_seen,
                    row.last_seen,
                    row.count,
                )
                for row in session.scalars(query)
            ]

    def save(self, session: Session, group: GroupRecord) -> None:
        """Insert or update a group, in the caller's transaction."""
        session.merge(
            GroupRow(
                id=group.id,
                model_sha256=group.model_sha256,
                number=group.number,
                centre=group.centre.astype("<f4").tobytes(),
                radius=group.radius,
                first_seen=group.first_seen,
                last_seen=group.last_seen,
                count=group.count,
            )
        )
        session.flush()
