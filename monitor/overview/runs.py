"""The windows that the monitor judged, and which of them have a report."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from store.repositories.runs import RunRecord
from store.store import Store

RUNS_SHOWN = 100


@dataclass(frozen=True)
class RunList:
    """The latest runs, newest first, and the ids of those that have a report."""

    runs: Sequence[RunRecord]
    reported: frozenset[UUID]


@dataclass(frozen=True)
class StoredReport:
    """A report as it was written: its document, whether Evidently's page lies beside it, and the run that judged the
    same window again, if one did."""

    run_id: UUID
    document: dict[str, Any]
    has_columns_page: bool
    replaced_by: UUID | None


def list_runs(store: Store, model_sha256: str | None = None, *, limit: int = RUNS_SHOWN) -> RunList:
    """The latest runs of one model, or of all."""
    return RunList(
        runs=store.runs.recent(model_sha256, limit=limit),
        reported=frozenset(entry.run_id for entry in store.reports.recent(limit=RUNS_SHOWN)),
    )


def list_reported_runs(store: Store) -> list[RunRecord]:
    """The runs of the latest reports, newest first."""
    return [store.runs.get(entry.run_id) for entry in store.reports.recent()]


def read_report(store: Store, run_id: UUID) -> StoredReport:
    """One report.

    Raises:
        NotFound: this run has no report.
    """
    return StoredReport(
        run_id=run_id,
        document=store.reports.document(run_id),
        has_columns_page=store.reports.has_columns_page(run_id),
        replaced_by=store.runs.get(run_id).replaced_by,
    )
