"""The drift report: a document, and a page drawn from it that needs nothing else."""

import io
import re
from dataclasses import replace
from datetime import timedelta

import numpy as np
import orjson
import pytest
from PIL import Image

from monitor.history.report_material import read_report_material
from monitor.passes.monitor_pass import PassResult
from monitor.passes.run_passes import WindowClock, run_passes
from monitor.reference.profile import Reference
from monitor.reference.profile_content import Examples
from monitor.reference.profile_file import encode
from monitor.settings import MonitorSettings
from reports.drift import DriftReport, OnSite, drift_report
from reports.sections import SECTIONS
from store.clock import new_id, utc_now
from store.maintenance.retention import Retention
from store.recording.prediction_batch import PredictionRecord, RawInput
from store.store import Store
from tests.conftest import Population

MODEL = "e" * 64
NASTY = "<script>alert('x')</script>"


def picture(rng: np.random.Generator) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (28, 28), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def judged(sqlite_store: Store, reference: Reference, population: Population) -> PassResult:
    """A window in which a fifth of the inputs are strangers, of a model whose class names are hostile."""
    rng = np.random.default_rng(0)
    examples = Examples(reference.held_out.embeddings[:50], [NASTY] * 50, [picture(rng) for _ in range(50)])
    full = replace(reference, examples=examples)
    classes = [NASTY, "b", "c", "d", "e"]
    sqlite_store.models.register(
        sha256=MODEL, name=NASTY, application="vision", task="single_label", classes=classes, reference=encode(full)
    )
    rows = [
        np.concatenate(pair) for pair in zip(population.draw(240, rng)[:2], population.strangers(60, rng), strict=True)
    ]
    scores = full.score(*rows)
    sqlite_store.predictions.record(
        MODEL,
        [
            PredictionRecord(
                id=new_id(),
                at=utc_now(),
                prediction=classes[rows[1][row].argmax()],
                class_index=int(rows[1][row].argmax()),
                confidence=0.5 + row / 1_000,
                ood_score=float(scores.score[row]),
                ood_p_value=float(scores.p_value[row]),
                flagged=bool(scores.flagged[row]),
                latency_seconds=0.01,
                tags={"site": NASTY},
                embedding=rows[0][row],
                logits=rows[1][row],
                raw_input=RawInput("image/png", picture(rng)),
            )
            for row in range(300)
        ],
    )
    (result,) = run_passes(sqlite_store, MonitorSettings(), WindowClock(settle=lambda _seconds: None))
    return result


def report_of(judged: PassResult, store: Store) -> DriftReport:
    return drift_report(judged, read_report_material(judged, store.predictions))


def test_the_page_is_one_small_file_that_asks_nothing_of_any_host(judged: PassResult, sqlite_store: Store) -> None:
    html = report_of(judged, sqlite_store).html()
    assert len(html.encode()) < 1_000_000
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", html)
    assert not re.findall(r"url\(\s*['\"]?(?!data:)", html)
    assert "<script" not in html


def test_every_section_is_drawn(judged: PassResult, sqlite_store: Store) -> None:
    report = report_of(judged, sqlite_store)
    html = report.html()
    for section in SECTIONS:
        # Pictures have no columns.
        assert (report.document["sections"][section.name] is None) == (section.name == "columns")
        assert (section.title in html) == (section.name != "columns")
    assert html.count("<svg") == 7
    assert html.count('<article class="strange"') == 12 + 8 + 4
    assert "Production has shifted" in html


def test_names_and_tags_are_shown_as_text(judged: PassResult, sqlite_store: Store) -> None:
    report = report_of(judged, sqlite_store)
    for html in (report.html(), report.html(OnSite("http://127.0.0.1:8000", None, None)), report._repr_html_()):
        assert "<script>alert" not in html


def test_a_notebook_keeps_a_small_card_of_a_report_and_no_page(judged: PassResult, sqlite_store: Store) -> None:
    report = report_of(judged, sqlite_store)
    card = report._repr_html_()
    assert len(card) < 5_000
    assert "Production has shifted" in card
    assert report.document["summary"] in card
    assert ".save(" in card
    assert len(repr(report)) < 200
    assert "Production has shifted" in repr(report)


def test_the_page_is_a_function_of_the_document(judged: PassResult, sqlite_store: Store) -> None:
    report = report_of(judged, sqlite_store)
    stored = orjson.loads(orjson.dumps(report.document))
    assert stored == report.document
    assert DriftReport(stored).html() == report.html()


def test_the_same_window_gives_the_same_report(judged: PassResult, sqlite_store: Store) -> None:
    documents = [report_of(judged, sqlite_store).document for _ in range(2)]
    assert documents[0] == documents[1]


def test_the_strangest_inputs_come_first_with_their_pictures(judged: PassResult, sqlite_store: Store) -> None:
    inputs = report_of(judged, sqlite_store).document["sections"]["gallery"]["inputs"]
    scores = [values["score"] for values in inputs]
    assert scores == sorted(scores, reverse=True)
    assert all(values["picture"].startswith("data:image/png;base64,") for values in inputs)


def test_forgotten_inputs_leave_the_rest_of_the_report(judged: PassResult, sqlite_store: Store) -> None:
    Retention(sqlite_store.database).forget(utc_now() + timedelta(days=sqlite_store.database.settings.keep_inputs_days))
    html = report_of(judged, sqlite_store).html()
    assert "were not kept, or are forgotten" in html


def test_an_input_that_is_not_finite_is_the_strangest_and_no_number(judged: PassResult, sqlite_store: Store) -> None:
    recorded = judged.recorded
    recorded.scores[5], recorded.embeddings[5] = np.nan, np.inf
    report = report_of(judged, sqlite_store)
    assert report.document["sections"]["gallery"]["inputs"][0]["id"] == str(recorded.ids[5])
    assert b"NaN" not in orjson.dumps(report.document)
    assert "not finite" in report.html()
    assert ">nan<" not in report.html().lower()


def test_a_section_that_fails_leaves_the_verdicts(
    judged: PassResult, sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(type(SECTIONS[0]), "values", broken)
    html = report_of(judged, sqlite_store).html()
    assert SECTIONS[0].title not in html
    assert "Production has shifted" in html


def test_a_report_can_be_saved_as_page_or_as_document(judged: PassResult, sqlite_store: Store, tmp_path) -> None:
    report = report_of(judged, sqlite_store)
    assert report.save(tmp_path / "a" / "drift.html").read_text(encoding="utf-8") == report.html()
    assert orjson.loads(report.save(tmp_path / "drift.json").read_bytes()) == report.document


@pytest.mark.e2e
@pytest.mark.filterwarnings("ignore")
def test_evidently_draws_a_page_of_the_recorded_columns(judged: PassResult, sqlite_store: Store) -> None:
    from reports.columns_page import columns_page

    material = read_report_material(judged, sqlite_store.predictions, with_columns=True)
    page = columns_page(judged, material).html
    assert page is not None
    for column in ("confidence", "ood_score", "prediction", "tag: site"):
        assert column in page
