"""A learner that predicts numbers is watched for other numbers, within the error rate of all checks together."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monitor.checks.verdict import judge
from monitor.checks.window_comparison import check_window, groups_of
from monitor.ingest.ingest_batch import IngestBatch
from monitor.ingest.model_ingest import ModelIngest, register_external_model
from monitor.reference.fit import fit_reference
from monitor.reference.profile import Reference
from monitor.reference.profile_content import Origin
from monitor.reference.profile_file import encode
from monitor.reference.window import Window
from monitor.settings import MonitorSettings
from monitor.shift import max_t, permutation
from monitor.shift.row_features import features_of
from store.errors import BadInput
from store.repositories.runs import CheckResult, Verdict
from store.store import Store

DIMENSION = 12
WEIGHTS = np.random.default_rng(1).normal(size=(DIMENSION, 2))
# Of tests with two predicted numbers: a price and an area.
NAMES = ("price", "area")


def rows(n: int, rng: np.random.Generator, *, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings, and the two numbers predicted from them; another scale is another head over the same embeddings."""
    embeddings = np.abs(rng.normal(size=(n, DIMENSION)))
    return embeddings, 100 + scale * 10 * (embeddings @ WEIGHTS)


@pytest.fixture(scope="module")
def reference() -> Reference:
    rng = np.random.default_rng(2)
    embeddings, numbers = rows(1_500, rng)
    return fit_reference(rows(800, rng)[0], calibration=(embeddings, None, None), rng=rng, numbers=numbers)


def result_of(reference: Reference, embeddings: np.ndarray, numbers: np.ndarray) -> CheckResult:
    window = Window.of_rows(reference, reference.rows(embeddings, numbers))
    judgement = judge(reference, window, MonitorSettings(), np.random.default_rng(0))
    return next(result for result in judgement.results if result.check == "prediction_shift")


def test_windows_without_a_shift_are_detected_at_the_promised_rate(reference: Reference) -> None:
    """All checks together, those of the predicted numbers among them, alpha .05: between 8 and 36 of 400."""
    features = features_of(reference)
    assert set(groups_of(features)) == {"flagged_share", "covariate_shift", "prediction_shift"}
    rng, few, detected = np.random.default_rng(3), features.held_out[:400], 0
    for _ in range(400):
        order = rng.permutation(len(few))
        drawn = permutation.permuted_gaps(few[order[40:200]], few[order[:40]], 99, rng)
        detected += max_t.max_t_test(drawn, features.blocks, groups_of(features)).p_value <= 0.05
    assert 8 <= detected <= 36


def test_other_numbers_over_the_same_embeddings_are_noticed_and_told_with_their_medians(reference: Reference) -> None:
    embeddings, numbers = rows(400, np.random.default_rng(4))
    numbers[:, 1] += 25
    result = result_of(reference, embeddings, numbers)
    assert result.verdict is Verdict.SHIFTED
    assert result.p_value is not None
    assert result.p_value <= 0.01
    medians = [np.median(reference.held_out.numbers[:, 1]), np.median(numbers[:, 1])]  # type: ignore[index]
    assert f"predicted number 2: median {medians[0]:.0f} → {medians[1]:.0f}" in result.sentence
    assert result.detail["numbers"][0]["name"] == "predicted number 2"


def test_the_spread_of_numbers_is_noticed_where_their_median_stays(reference: Reference) -> None:
    embeddings, numbers = rows(600, np.random.default_rng(5))
    middle = np.median(numbers, axis=0)
    result = result_of(reference, embeddings, middle + 3 * (numbers - middle))
    assert result.verdict is Verdict.SHIFTED


def test_usual_numbers_are_told_to_be_usual(reference: Reference) -> None:
    result = result_of(reference, *rows(400, np.random.default_rng(6)))
    assert result.verdict is Verdict.OK
    assert "as in held-out training data: predicted number" in result.sentence
    assert "→" not in result.sentence


def test_the_reference_keeps_the_numbers_and_their_names_in_its_file(reference: Reference, tmp_path: Path) -> None:
    named = Reference.load(replace(reference, number_names=NAMES).save(tmp_path / "a.reference"))
    assert named.held_out.numbers is not None
    assert named.number_names == NAMES
    np.testing.assert_array_equal(named.held_out.numbers, reference.held_out.numbers)
    embeddings, numbers = rows(400, np.random.default_rng(7))
    assert "predicted price: median" in result_of(named, embeddings, numbers + 50).sentence


def test_scores_do_not_depend_on_the_numbers(reference: Reference) -> None:
    embeddings, numbers = rows(50, np.random.default_rng(8))
    np.testing.assert_array_equal(
        reference.score(embeddings, numbers).score, reference.score(embeddings, numbers + 1e6).score
    )


def test_rows_that_came_without_numbers_say_nothing_of_them(reference: Reference) -> None:
    embeddings, _ = rows(400, np.random.default_rng(9))
    result = result_of(reference, embeddings, np.zeros((400, 0)))
    assert result.verdict is Verdict.NOT_APPLICABLE
    assert "No prediction of this window came with its numbers" in result.sentence
    assert not check_window(reference, embeddings, alpha=0.01, rng=np.random.default_rng(0)).detected


def test_numbers_of_another_learner_are_refused(reference: Reference) -> None:
    with pytest.raises(BadInput, match="another learner"):
        reference.rows(np.ones((3, DIMENSION)), np.ones((3, 5)))


def test_a_service_elsewhere_is_told_to_send_its_numbers(reference: Reference, sqlite_store: Store) -> None:
    """Nothing that it sends instead ends the monitoring of the model."""
    register_external_model(sqlite_store, "prices", reference, encode(reference))
    embeddings, numbers = rows(5, np.random.default_rng(12))
    answers = [str(row) for row in numbers.tolist()]
    sqlite_store.recording.open()
    ingest = ModelIngest(sqlite_store, "prices")
    for wrong, said in ((None, "Send them as `logits`"), (numbers[:, :1], "2 predicted numbers a row")):
        with pytest.raises(BadInput, match=said):
            ingest.record(IngestBatch(embeddings=embeddings, logits=wrong, predictions=answers))
    assert len(ingest.record(IngestBatch(embeddings=embeddings, logits=numbers, predictions=answers))) == 5


@pytest.mark.parametrize("strange", [np.nan, np.inf, 1e30])
def test_odd_numbers_get_a_verdict_and_never_a_nan(reference: Reference, strange: float) -> None:
    embeddings, numbers = rows(300, np.random.default_rng(10))
    numbers[::3] = strange
    result = result_of(reference, embeddings, numbers)
    assert result.verdict in (Verdict.OK, Verdict.SHIFTED)
    assert "nan" not in result.sentence


def test_a_learner_of_several_labels_is_not_asked_for_numbers() -> None:
    rng = np.random.default_rng(13)
    labels = fit_reference(rows(400, rng)[0], calibration=(rows(400, rng)[0], None, None), rng=rng)
    origin = Origin(
        learner_sha256=None,
        weights_sha256="w",
        name="tags",
        application="vision",
        task="multi_label",
        classes=["x", "y"],
        created_at="now",
        tidegate_version="0",
        calibration_source="held-out rows",
        accuracy=None,
    )
    result = result_of(replace(labels, origin=origin), *rows(200, rng))
    assert result.verdict is Verdict.NOT_APPLICABLE
    assert result.sentence == "This learner predicts classes, not numbers."


def test_a_reference_from_before_says_how_to_get_the_check() -> None:
    rng = np.random.default_rng(11)
    older = fit_reference(rows(400, rng)[0], calibration=(rows(400, rng)[0], None, None), rng=rng)
    result = result_of(older, *rows(200, rng))
    assert result.verdict is Verdict.NOT_APPLICABLE
    assert "make it again with `tidegate profile`" in result.sentence
