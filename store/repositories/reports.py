"""Drift reports, one for each run: the document, and Evidently's page on its columns."""

import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import select

from store.database.engine import Database
from store.database.tables import ReportRow
from store.errors import NotFound


@dataclass(frozen=True)
class ReportEntry:
    """A line in the list of reports."""

    run_id: UUID
    at: datetime
    has_columns_page: bool


class ReportRepository:
    """Every drift report."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, run_id: UUID, at: datetime, document: dict[str, Any], columns_page: str | None) -> None:
        """Write a report; an older one of the same run is replaced."""
        with self._database.writing() as session:
            session.merge(
                ReportRow(
                    run_id=run_id,
                    at=at,
                    document=zlib.compress(orjson.dumps(document)),
                    columns_page=None if columns_page is None else zlib.compress(columns_page.encode()),
                )
            )

    def document(self, run_id: UUID) -> dict[str, Any]:
        """The document of one report.

        Raises:
            NotFound: this run has no report.
        """
        row = self._get(run_id)
        document: dict[str, Any] = orjson.loads(zlib.decompress(row.document))
        return document

    def columns_page(self, run_id: UUID) -> str:
        """Evidently's page of one report, HTML.

        Raises:
            NotFound: this run has none.
        """
        row = self._get(run_id)
        if row.columns_page is None:
            reason = orjson.loads(zlib.decompress(row.document)).get("no_columns_page")
            raise NotFound(
                f"The report of run {run_id} has no page of columns. {reason or 'The monitor was not asked for one.'}"
            )
        return zlib.decompress(row.columns_page).decode()

    def has_columns_page(self, run_id: UUID) -> bool:
        """Whether a report has Evidently's page."""
        with self._database.reading() as session:
            return bool(session.scalar(select(ReportRow.columns_page.is_not(None)).where(ReportRow.run_id == run_id)))

    def recent(self, *, limit: int = 100) -> list[ReportEntry]:
        """The latest reports, newest first."""
        query = (
            select(ReportRow.run_id, ReportRow.at, ReportRow.columns_page.is_not(None))
            .order_by(ReportRow.at.desc())
            .limit(limit)
        )
        with self._database.reading() as session:
            return [ReportEntry(run_id, at, has_page) for run_id, at, has_page in session.execute(query)]

    def _get(self, run_id: UUID) -> ReportRow:
        with self._database.reading() as session:
            row = session.get(ReportRow, run_id)
        if row is None:
            raise NotFound(f"No report of run {run_id} is kept.")
        return row
