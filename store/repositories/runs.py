"""What the monitor found: one run per window, one result per check."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.database.engine import Database
from store.database.tables import CheckResultRow, RunRow
from store.errors import NotFound

# The key of `CheckResult.alerting` in the stored document.
_ALERTING = "alert"


class Verdict(StrEnum):
    """What a check, or a whole run, says of a window."""

    OK = "ok"
    SHIFTED = "shifted"
    NOT_ENOUGH_DATA = "not enough data"
    NOT_APPLICABLE = "not applicable"
    FAILED = "failed"

    @property
    def is_judged(self) -> bool:
        """Whether the window was judged, one way or the other."""
        return self in (Verdict.OK, Verdict.SHIFTED)


_IS_JUDGED = RunRow.verdict.in_([verdict.value for verdict in Verdict if verdict.is_judged])


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    `sentence` says it in plain words. `effect` is the size of the difference, in the unit that `effect_name` names;
    a number that is not defined is None, never NaN. `alerting` says whether a shift raises an alert: it is False for a
    shift that is certain enough for a report and not for an alert.
    """

    check: str
    verdict: Verdict
    sentence: str
    statistic: float | None = None
    p_value: float | None = None
    effect: float | None = None
    effect_name: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    alerting: bool = True

    @property
    def detail_document(self) -> dict[str, Any]:
        """`detail` as it is stored and shown to people: with `alerting` in it, where the check gave a verdict."""
        return {**self.detail, _ALERTING: self.alerting} if self.verdict.is_judged else dict(self.detail)


@dataclass(frozen=True)
class RunRecord:
    """One pass of the monitor over one window. `seed` is all the randomness it used, so that it can be repeated.

    `compared_with` says in words which rows it was compared with, `cause` what kind of shift it is, and `accuracy_loss`
    how much accuracy is estimated to be lost: the severity. `replaced_by` is the run that judged the same window again,
    after more of its predictions had come.
    """

    id: UUID
    model_sha256: str
    reference_sha256: str | None
    at: datetime
    since: datetime
    until: datetime
    count: int
    flagged: int
    verdict: Verdict
    sentence: str
    seed: str
    results: tuple[CheckResult, ...] = ()
    compared_with: str | None = None
    cause: str | None = None
    accuracy_loss: float | None = None
    replaced_by: UUID | None = None


class RunRepository:
    """Every run of the monitor."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, session: Session, run: RunRecord) -> None:
        """Write a run and its results in the caller's transaction."""
        session.add(
            RunRow(
                id=run.id,
                model_sha256=run.model_sha256,
                reference_sha256=run.reference_sha256,
                at=run.at,
                since=run.since,
                until=run.until,
                count=run.count,
                flagged=run.flagged,
                verdict=run.verdict.value,
                sentence=run.sentence,
                seed=run.seed,
                compared_with=run.compared_with,
                cause=run.cause,
                accuracy_loss=run.accuracy_loss,
            )
        )
        session.flush()
        for result in run.results:
            session.add(
                CheckResultRow(
                    run_id=run.id,
                    check=result.check,
                    verdict=result.verdict.value,
                    sentence=result.sentence,
                    statistic=result.statistic,
                    p_value=result.p_value,
                    effect=result.effect,
                    effect_name=result.effect_name,
                    detail=result.detail_document,
                )
            )
        session.flush()

    def last_judged_until(self, model_sha256: str, transaction: Session | None = None) -> datetime | None:
        """Where the last window with a verdict ended. Windows without enough data stay open and grow."""
        query = (
            select(RunRow.until)
            .where(RunRow.model_sha256 == model_sha256, _IS_JUDGED)
            .order_by(RunRow.until.desc())
            .limit(1)
        )
        if transaction is not None:
            return transaction.scalar(query)
        with self._database.reading() as session:
            return session.scalar(query)

    def judged(self, model_sha256: str, since: datetime | None = None, *, limit: int = 1_000) -> list[RunRecord]:
        """The windows with a verdict that stands, those that end last first, without their results.

        Args:
            model_sha256: of the model.
            since: only those that end after this instant.
            limit: at most so many.
        """
        query = (
            select(RunRow)
            .where(RunRow.model_sha256 == model_sha256, RunRow.replaced_by.is_(None), _IS_JUDGED)
            .order_by(RunRow.until.desc())
            .limit(limit)
        )
        if since is not None:
            query = query.where(RunRow.until > since)
        with self._database.reading() as session:
            return [_record(row, ()) for row in session.scalars(query)]

    def replace(self, session: Session, old: UUID, new: UUID) -> bool:
        """Let one run stand in another's place, in the caller's transaction; False if one does already."""
        row = session.get(RunRow, old, with_for_update=True)
        if row is None or row.replaced_by is not None:
            return False
        row.replaced_by = new
        session.flush()
        return True

    def get(self, run_id: UUID) -> RunRecord:
        """One run with its results.

        Raises:
            NotFound: there is no such run.
        """
        with self._database.reading() as session:
            row = session.get(RunRow, run_id)
            if row is None:
                raise NotFound(f"No run {run_id} is recorded.")
            results = session.scalars(select(CheckResultRow).where(CheckResultRow.run_id == run_id))
            return _record(row, tuple(sorted((_result(result) for result in results), key=lambda item: item.check)))

    def recent(self, model_sha256: str | None = None, *, limit: int = 50) -> list[RunRecord]:
        """The latest runs, newest first, without their results."""
        query = select(RunRow).order_by(RunRow.at.desc()).limit(limit)
        if model_sha256 is not None:
            query = query.where(RunRow.model_sha256 == model_sha256)
        with self._database.reading() as session:
            return [_record(row, ()) for row in session.scalars(query)]


def _record(row: RunRow, results: tuple[CheckResult, ...]) -> RunRecord:
    return RunRecord(
        id=row.id,
        model_sha256=row.model_sha256,
        reference_sha256=row.reference_sha256,
        at=row.at,
        since=row.since,
        until=row.until,
        count=row.count,
        flagged=row.flagged,
        verdict=Verdict(row.verdict),
        sentence=row.sentence,
        seed=row.seed,
        results=results,
        compared_with=row.compared_with,
        cause=row.cause,
        accuracy_loss=row.accuracy_loss,
        replaced_by=row.replaced_by,
    )


def _result(row: CheckResultRow) -> CheckResult:
    detail = {key: value for key, value in row.detail.items() if key != _ALERTING}
    return CheckResult(
        check=row.check,
        verdict=Verdict(row.verdict),
        sentence=row.sentence,
        statistic=row.statistic,
        p_value=row.p_value,
        effect=row.effect,
        effect_name=row.effect_name,
        detail=detail,
        alerting=row.detail.get(_ALERTING, True),
    )
