"""A record and a reference that an earlier version made are opened, read, replayed and gone on with.

`older_record/` was made by the tree of 2026-11-24, before its rooms were rebuilt, by the script beside it (`made_by.txt`,
which runs on that tree only): a reference, 550 predictions of three windows, a pinned baseline, an alert with its evidence,
rollups, counters, a report, a system alert and an idempotency key.
"""

import gzip
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from monitor.checks.window_comparison import check_window
from monitor.passes.replay import replay
from monitor.passes.run_passes import WindowClock, run_passes
from monitor.reference.profile import Reference
from monitor.reference.profile_file import encode
from monitor.settings import MonitorSettings
from monitor.shift.row_features import features_of
from reports.drift import DriftReport
from store.settings import StoreSettings
from store.store import Store
from tests.monitor.passes.test_monitor_pass import serve

HERE = Path(__file__).parent / "older_record"
CLASSES, DIMENSION = 3, 8
MODEL = "c" * 64


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((HERE / "expected.json").read_text())
    return document


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference.load(HERE / "reference.safetensors")


@pytest.fixture
def older(tmp_path: Path):
    file = tmp_path / "older.db"
    file.write_bytes(gzip.decompress((HERE / "record.sqlite.gz").read_bytes()))
    with_store = Store.open(StoreSettings(database=f"sqlite:///{file}"))
    yield with_store
    with_store.close()


def rows(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """In-domain embeddings and logits, as the script drew them."""
    means = np.random.default_rng(1).normal(size=(CLASSES, DIMENSION)) * 2
    rng = np.random.default_rng(seed)
    labels = rng.choice(CLASSES, n)
    embeddings = np.maximum(means[labels] + rng.normal(size=(n, DIMENSION)), 0)
    return embeddings, embeddings @ means.T / 4


def strangers(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    means = np.random.default_rng(1).normal(size=(CLASSES, DIMENSION)) * 2
    embeddings = np.abs(np.random.default_rng(seed).normal(scale=2, size=(n, DIMENSION)))
    return embeddings, embeddings @ means.T / 4


def test_an_older_reference_gives_the_same_scores(reference: Reference, expected: dict[str, Any]) -> None:
    scores = reference.score(*rows(60, 9))
    np.testing.assert_allclose(scores.score, expected["scores"], rtol=1e-6)
    np.testing.assert_allclose(scores.p_value, expected["p_values"], rtol=1e-12)
    assert scores.flagged.tolist() == expected["flagged"]
    assert scores.nearest.tolist() == expected["nearest"]


def test_an_older_reference_gives_the_same_window_test(reference: Reference, expected: dict[str, Any]) -> None:
    test = check_window(reference, *strangers(80, 8), rng=np.random.default_rng(7))
    assert (test.p_value, test.cause.value) == (expected["window"]["p_value"], expected["window"]["cause"])
    assert test.witnesses.tolist() == expected["window"]["witnesses"]
    for check in test.checks:
        assert [check.statistic, check.p_value, check.effect] == pytest.approx(expected["window"]["checks"][check.name])


def test_sums_of_features_that_were_written_before_still_add_up(reference: Reference, expected: dict[str, Any]) -> None:
    assert features_of(reference).sha256 == expected["features_sha256"]


def test_an_older_reference_is_written_again_byte_by_byte(reference: Reference) -> None:
    assert encode(reference) == (HERE / "reference.safetensors").read_bytes()


def test_an_older_record_is_read(older: Store, expected: dict[str, Any]) -> None:
    assert older.predictions.count(MODEL) == older.counters.total(MODEL).count == expected["count"]
    verdicts = [run.verdict.value for run in reversed(older.runs.recent(MODEL))]
    assert verdicts == expected["verdicts"]
    run = older.runs.get(UUID(expected["raised"]))
    assert run.sentence == expected["sentence"]
    for result in run.results:
        assert [result.statistic, result.p_value, result.effect] == pytest.approx(expected["results"][result.check])
    baseline = older.baselines.active(MODEL)
    assert baseline is not None
    assert (baseline.label, baseline.sha256) == (expected["baseline"], expected["baseline_sha256"])
    assert [alert.subject for alert in older.system_alerts.all()] == ["monitor"]


def test_an_older_alert_is_replayed_to_the_same_numbers(older: Store, expected: dict[str, Any]) -> None:
    replayed = replay(older, UUID(expected["raised"]))
    assert replayed.same
    for number in replayed.numbers:
        assert number.replayed == pytest.approx(expected["replayed"][f"{number.check} {number.number}"])


def test_an_older_report_is_drawn(older: Store, expected: dict[str, Any]) -> None:
    document = older.reports.document(UUID(expected["raised"]))
    drawn = sorted(name for name, values in document["sections"].items() if values is not None)
    assert drawn == expected["report_sections"]
    assert "What carries the shift" in DriftReport(document).html()


def test_the_monitor_goes_on_with_an_older_record(older: Store, reference: Reference) -> None:
    before = older.runs.recent(MODEL)
    at_once = WindowClock(settle=lambda _seconds: None)
    serve(older, reference, *rows(150, 21), sha256=MODEL)
    (result,) = run_passes(older, MonitorSettings(), at_once)
    assert (result.run.verdict.value, result.run.count) == ("ok", 150)
    assert result.run.since == before[0].until, "the next window begins where the last one that was judged ended"
    serve(older, reference, *strangers(150, 22), sha256=MODEL)
    (result,) = run_passes(older, MonitorSettings(), at_once)
    assert result.run.verdict.value == "shifted"
    assert replay(older, result.run.id).same
    assert [run.id for run in older.runs.recent(MODEL)][2:] == [run.id for run in before]
