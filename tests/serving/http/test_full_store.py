"""A store that is full: pages read what was added up, and show a bounded part of what there is. FAULTS 28.

How long they take over ten million predictions is measured by `python -m bench.recording pages`.
"""

from datetime import timedelta

import pytest
from sqlalchemy import event, insert
from starlette.testclient import TestClient

from store.clock import new_id, utc_now
from store.database.tables import RunRow
from store.repositories.alerts import AlertRecord, AlertState
from store.store import Store
from tests.conftest import Trained

HTML = {"accept": "text/html"}


@pytest.fixture
def full(digits_client: TestClient, digits: Trained, sqlite_store: Store) -> TestClient:
    """A gateway that has predicted, over a record with many models, runs and open alerts."""
    content = next((digits.folder / "traffic").rglob("*.png")).read_bytes()
    digits_client.post("/v1/predict", content=content, headers={"content-type": "image/png"})
    now, sha256 = utc_now(), sqlite_store.models.all()[0].sha256
    runs = [
        {
            "id": new_id(),
            "model_sha256": sha256,
            "at": now - timedelta(minutes=index),
            "since": now - timedelta(minutes=index + 1),
            "until": now - timedelta(minutes=index),
            "count": 1_000,
            "flagged": 10,
            "verdict": "ok",
            "sentence": "Nothing has changed.",
            "seed": "test",
        }
        for index in range(10_000)
    ]
    with sqlite_store.writing() as session:
        session.execute(insert(RunRow), runs)
    for index in range(200):
        sqlite_store.models.register(
            sha256=f"{index:064x}",
            name=f"model {index}",
            application="vision",
            task="single_label",
            classes=[],
            reference=None,
        )
    with sqlite_store.writing() as session:
        for index in range(1_000):
            check = ("flagged_share", "covariate_shift", "label_shift", "confidence_shift", "accuracy")[index % 5]
            of_model, run_id = f"{index // 5:064x}", runs[0]["id"]
            alert = AlertRecord(new_id(), of_model, check, AlertState.FIRING, now, now, run_id, "It has shifted.")  # type: ignore[arg-type]
            sqlite_store.alerts.save(session, alert)
    return digits_client


def test_pages_read_no_prediction_and_show_a_bounded_part(full: TestClient, sqlite_store: Store) -> None:
    statements: list[str] = []

    def note(_connection, _cursor, statement, *_: object) -> None:
        statements.append(statement)

    pages: dict[str, str] = {}
    event.listen(sqlite_store.database.engine, "before_cursor_execute", note)
    try:
        for path in ("/", "/models", "/history?span=quarter", "/reports", "/alerts", "/v1/models"):
            answer = full.get(path, headers=HTML)
            assert answer.status_code == 200
            assert len(answer.content) < 200_000, path
            pages[path] = answer.text
    finally:
        event.remove(sqlite_store.database.engine, "before_cursor_execute", note)
    assert statements
    assert not [sql for sql in statements if "FROM predictions" in sql or "FROM inputs" in sql]
    assert "And 900 more, 900 of them firing" in pages["/alerts"]
    assert "<b>1000</b>" in pages["/"]
    assert "990 more</a>" in pages["/"]
    assert "200 more models" in pages["/"]
    assert "And 150 more" in pages["/models"]
