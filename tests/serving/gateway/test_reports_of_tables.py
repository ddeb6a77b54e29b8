"""A table with dates, through the whole path: learner, reference, gateway, monitor, report, and Evidently's page."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from monitor.passes.run_passes import WindowClock, run_passes
from monitor.reference.profile import Reference
from monitor.settings import MonitorSettings
from reports.drift import DriftReport
from serving.engine.engine import Engine
from serving.learner.loading import load
from serving.learner.torchvision_operators import declare_missing_operators
from serving.profiling.labelled_data import plain_rows
from serving.profiling.notebook import profile_learner
from store.repositories.runs import Verdict
from store.store import Store
from tests.serving.conftest import Connect
from tidegate.monitor_jobs import write_report

# fastai's add_datepart, and Evidently on import.
pytestmark = pytest.mark.filterwarnings("ignore")

declare_missing_operators()


@dataclass(frozen=True)
class Sales:
    """A regression learner over a table of add_datepart, its reference, and the table."""

    engine: Engine
    reference: Reference
    table: pd.DataFrame


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> Sales:
    from fastai.tabular import all as fastai

    folder, rng, n = tmp_path_factory.mktemp("sales"), np.random.default_rng(0), 1_000
    table = pd.DataFrame(
        {
            "date": pd.date_range("2020-01-01", periods=n, freq="9h"),
            "shop": rng.choice(["north", "south", "west"], n),
            "weight": rng.normal(70, 15, n),
        }
    )
    table["price"] = table["weight"] * 2
    table = fastai.add_datepart(table, "date")
    table.loc[rng.random(n) < 0.1, "weight"] = np.nan
    numbers = ["weight", "Elapsed"]
    data = fastai.TabularDataLoaders.from_df(
        table,
        procs=[fastai.Categorify, fastai.FillMissing, fastai.Normalize],
        cat_names=[name for name in table.columns if name not in (*numbers, "price")],
        cont_names=numbers,
        y_names="price",
        y_block=fastai.RegressionBlock(),
        valid_idx=list(range(0, n, 2)),
        bs=64,
    )
    learner = fastai.tabular_learner(data, layers=[32, 16], y_range=(0, 300))
    with learner.no_bar(), learner.no_logging():
        learner.fit(1, 1e-2)
    learner.path = folder
    learner.export("export.pkl")
    reference = profile_learner(learner, folder / "export.pkl")
    return Sales(Engine(load(folder / "export.pkl")), reference, table.drop(columns="price"))


def predict(sales: Sales, connect: Connect, folder: Path, rows: list[dict[str, Any]]) -> TestClient:
    client = connect(sales.engine, sales.reference.save(folder / "sales.reference"))
    for start in range(0, len(rows), 50):
        assert client.post("/v1/predict", json={"rows": rows[start : start + 50]}).status_code == 200
    return client


def heavier_rows(sales: Sales) -> list[dict[str, Any]]:
    rows = plain_rows(sales.table.sample(300, random_state=1))
    for number, row in enumerate(rows):
        row["weight"] = None if number % 3 == 0 else (row["weight"] or 70.0) + 40
        if number % 10 == 0:
            row["shop"] = "harbour"
    return rows


def look(store: Store) -> tuple[Any, DriftReport]:
    (result,) = run_passes(store, MonitorSettings(), WindowClock(settle=lambda _seconds: None))
    write_report(store, result, columns=True)
    return result, DriftReport(store.reports.document(result.run.id))


@pytest.mark.e2e
def test_every_kind_of_column_is_drawn_and_nothing_is_logged(
    sales: Sales, connect: Connect, sqlite_store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predict(sales, connect, tmp_path, plain_rows(sales.table.sample(200, random_state=2)))
    with caplog.at_level(logging.WARNING):
        result, report = look(sqlite_store)
    assert not caplog.records
    page = sqlite_store.reports.columns_page(result.run.id)
    for column in ("Is_month_end", "Elapsed", "shop", "weight", "ood_score"):
        assert column in page
    assert report.document["no_columns_page"] is None


def test_the_verdict_speaks_in_the_words_of_the_table(
    sales: Sales, connect: Connect, sqlite_store: Store, tmp_path: Path
) -> None:
    predict(sales, connect, tmp_path, heavier_rows(sales))
    (result,) = run_passes(sqlite_store, MonitorSettings(), WindowClock(settle=lambda _seconds: None))
    assert result.run.verdict is Verdict.SHIFTED
    sentence = result.run.sentence
    assert re.search(r"weight: median [67]\S+ → 1[01]\d;", sentence)
    assert "weight: missing in 3" in sentence
    assert "shop: 'harbour' was never in training, 10% of rows" in sentence
    numbers = next(check for check in result.run.results if check.check == "prediction_shift")
    assert numbers.verdict is Verdict.SHIFTED
    assert "predicted price: median" in numbers.sentence
    looks = next(check for check in result.run.results if check.check == "covariate_shift")
    assert "weight: median" in looks.sentence, "alerts repeat it"


def test_rows_are_shown_with_the_training_row_nearest_to_them(
    sales: Sales, connect: Connect, sqlite_store: Store, tmp_path: Path
) -> None:
    predict(sales, connect, tmp_path, heavier_rows(sales))
    (result,) = run_passes(sqlite_store, MonitorSettings(), WindowClock(settle=lambda _seconds: None))
    write_report(sqlite_store, result, columns=False)
    document = sqlite_store.reports.document(result.run.id)
    assert document["sections"]["columns"]["columns"]
    for card in document["sections"]["gallery"]["inputs"]:
        assert card["differences"]
        assert len(card["prediction"]) <= 5, "three figures, and no tail of a float"
        for cell in card["differences"]:
            assert cell["value"] != cell["other"]
            assert len(cell["value"]) <= 12
    html = DriftReport(document).html()
    assert "nearest in training" in html
    assert "What moved in the inputs" in html


def test_where_evidently_fails_one_line_says_why_wherever_the_page_is_asked_for(
    sales: Sales,
    connect: Connect,
    sqlite_store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    import evidently

    def fail(*_: object, **__: object) -> None:
        raise TypeError("boolean subtract\nis not supported")

    monkeypatch.setattr(evidently.Report, "run", fail)
    client = predict(sales, connect, tmp_path, plain_rows(sales.table.sample(150, random_state=3)))
    with caplog.at_level(logging.WARNING):
        result, report = look(sqlite_store)
    (record,) = caplog.records
    assert record.exc_info is None
    reason = "Evidently could not draw the columns (TypeError: boolean subtract)."
    assert reason in record.getMessage()
    assert reason in report.html()
    answer = client.get(f"/reports/{result.run.id}/columns")
    assert answer.status_code == 404
    assert reason in answer.text
