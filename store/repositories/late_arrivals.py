"""Late arrivals: predictions that were recorded after their time, as from the spool, or ingested later."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from store.database.engine import Database
from store.database.tables import LateArrivalRow


class LateArrivalRepository:
    """Counts of late arrivals by minute."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def minutes(self, model_sha256: str) -> dict[datetime, int]:
        """The minutes of one model that have late arrivals, and how many each."""
        query = select(LateArrivalRow).where(LateArrivalRow.model_sha256 == model_sha256)
        with self._database.reading() as session:
            return {row.minute: row.count for row in session.scalars(query)}

    def delete_unchanged(self, session: Session, model_sha256: str, counts: Mapping[datetime, int]) -> None:
        """Delete these minutes once their windows were judged again, in the caller's transaction.

        A minute whose count has grown meanwhile stays.
        """
        for minute, count in counts.items():
            session.execute(
                delete(LateArrivalRow).where(
                    LateArrivalRow.model_sha256 == model_sha256,
                    LateArrivalRow.minute == minute,
                    LateArrivalRow.count == count,
                )
            )
