"""What a check found, as it is stored: rows of every version hold the same document."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import select, update

from store.clock import new_id
from store.database.tables import CheckResultRow
from store.repositories.runs import CheckResult, RunRecord, Verdict
from store.store import Store

MODEL, INSTANT = "c" * 64, datetime(2026, 5, 1, tzinfo=UTC)


def write(store: Store, result: CheckResult) -> RunRecord:
    store.models.register(
        sha256=MODEL, name="clusters", application="vision", task="single_label", classes=["a", "b"], reference=None
    )
    run = RunRecord(
        id=new_id(),
        model_sha256=MODEL,
        reference_sha256=None,
        at=INSTANT,
        since=INSTANT,
        until=INSTANT,
        count=3,
        flagged=1,
        verdict=result.verdict,
        sentence=result.sentence,
        seed="a seed",
        results=(result,),
    )
    with store.writing() as transaction:
        store.runs.add(transaction, run)
    return run


@pytest.mark.parametrize(
    ("verdict", "alerting", "document"),
    [
        (Verdict.SHIFTED, True, {"alpha": 0.01, "alert": True}),
        (Verdict.SHIFTED, False, {"alpha": 0.01, "alert": False}),
        (Verdict.OK, False, {"alpha": 0.01, "alert": False}),
        (Verdict.FAILED, True, {"alpha": 0.01}),
    ],
)
def test_whether_a_result_alerts_stands_in_its_stored_detail(
    sqlite_store: Store, verdict: Verdict, alerting: bool, document: dict
) -> None:
    result = CheckResult("flagged_share", verdict, "a sentence", detail={"alpha": 0.01}, alerting=alerting)
    run = write(sqlite_store, result)
    with sqlite_store.database.reading() as session:
        assert session.scalar(select(CheckResultRow.detail)) == document == result.detail_document
    assert sqlite_store.runs.get(run.id) == run


def test_a_result_of_an_older_version_that_does_not_say_so_alerts(sqlite_store: Store) -> None:
    run = write(sqlite_store, CheckResult("flagged_share", Verdict.SHIFTED, "a sentence", alerting=False))
    with sqlite_store.writing() as transaction:
        transaction.execute(update(CheckResultRow).values(detail={"alpha": 0.01}))
    (result,) = sqlite_store.runs.get(run.id).results
    assert (result.alerting, result.detail) == (True, {"alpha": 0.01})
