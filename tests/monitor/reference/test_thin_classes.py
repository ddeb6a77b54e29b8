"""A class without held-out rows: said, scored, and no alarm while traffic is as training was."""

import numpy as np
import pytest

from monitor.alarm.streams import make_alarms, stream_values, without_thin_classes
from monitor.checks.verdict import judge
from monitor.checks.window_comparison import check_window, run_window_test
from monitor.reference.fit import fit_reference
from monitor.reference.profile import Reference
from monitor.reference.thin_classes import find_thin_classes, thin_class_warning
from monitor.reference.window import Window
from monitor.settings import MonitorSettings
from monitor.shift.diagnosis import Cause
from store.errors import BadInput
from store.repositories.runs import CheckResult, Verdict
from tests.conftest import CLASSES, DIMENSION, Population

HELD_OUT_SHARES = [0.25, 0.25, 0.25, 0.25, 0.0]


@pytest.fixture(scope="module", params=[2.0, 0.7], ids=["sure", "often wrong"])
def crowd(request: pytest.FixtureRequest) -> Population:
    """Classes far apart, and classes that the learner mistakes for each other."""
    return Population(np.random.default_rng(1).normal(size=(CLASSES, DIMENSION)) * request.param)


@pytest.fixture(scope="module")
def lacking(crowd: Population) -> Reference:
    """Five classes in training, and no held-out row of the last."""
    rng = np.random.default_rng(2)
    return fit_reference(
        *crowd.draw(1_000, rng),
        calibration=crowd.draw(1_000, rng, shares=HELD_OUT_SHARES),
        head=(crowd.means / 4, np.zeros(CLASSES)),
        rng=rng,
    )


def window_of(reference: Reference, embeddings: np.ndarray, logits: np.ndarray) -> Window:
    return Window.of_rows(reference, reference.rows(embeddings, logits))


def test_a_class_is_thin_where_its_share_of_training_promises_more_rows() -> None:
    training = np.repeat([0, 1, 2, 3], [600, 300, 99, 1])
    thin = find_thin_classes(training, np.repeat([0, 2], [90, 10]))
    # The class with one training row of a thousand is rare in traffic too.
    assert [(one.index, one.held_out_rows, one.training_share) for one in thin] == [(1, 0, 0.3)]
    assert find_thin_classes(training, training[::2]) == ()
    assert find_thin_classes(None, None) == ()


def test_a_class_that_a_weak_learner_never_predicts_is_not_thin(crowd: Population) -> None:
    """Labels are compared with labels, and predictions with predictions."""
    rng = np.random.default_rng(12)
    (embeddings, logits, labels), (held_out, held_out_logits, _) = crowd.draw(600, rng), crowd.draw(600, rng)
    for outputs in (logits, held_out_logits):
        outputs[:, 4] = -100
    reference = fit_reference(embeddings, logits, labels, calibration=(held_out, held_out_logits, None), rng=rng)
    assert reference.thin_classes == ()


def test_healthy_traffic_of_every_class_raises_no_alert(lacking: Reference, crowd: Population) -> None:
    rng, settings = np.random.default_rng(3), MonitorSettings()
    verdicts, detected = [], 0
    for _ in range(30):
        window = window_of(lacking, *crowd.draw(400, rng)[:2])
        verdicts.append(judge(lacking, window, settings, rng, alert_alpha=0.001).verdict)
        detected += run_window_test(lacking, window, 0.05, rng).detected
    assert set(verdicts) == {Verdict.OK}
    # At .05, more than 7 of 30 come once in five thousand runs.
    assert detected <= 7


def test_sequential_alarms_keep_their_promise_on_it(lacking: Reference, crowd: Population) -> None:
    rng, rings = np.random.default_rng(4), 0
    for seed in range(20):
        rows = lacking.rows(*crowd.draw(1_000, rng)[:2])
        values = stream_values(rows)
        for name, alarm in make_alarms(lacking, 10_000, seed).items():
            stream = without_thin_classes(lacking, values[name], rows.class_indices)
            if alarm.update(stream[~np.isnan(stream)]):
                rings += 1
                break
    # The promise allows two of twenty streams; seven come once in two hundred runs.
    assert rings <= 6


def test_a_shift_of_the_other_classes_is_found_and_named(lacking: Reference, crowd: Population) -> None:
    rng = np.random.default_rng(5)
    window = window_of(lacking, *crowd.draw(400, rng, shares=[0.5, 0.1, 0.1, 0.1, 0.2])[:2])
    test = run_window_test(lacking, window, 0.01, rng)
    assert test.cause is Cause.LABEL_SHIFT
    assert test.classes[0].name == "0"
    judgement = judge(lacking, window, MonitorSettings(), rng)
    assert judgement.verdict is Verdict.SHIFTED


def test_what_is_not_compared_is_said(lacking: Reference, crowd: Population) -> None:
    rng = np.random.default_rng(6)
    judgement = judge(lacking, window_of(lacking, *crowd.draw(400, rng)[:2]), MonitorSettings(), rng)
    results: dict[str, CheckResult] = {result.check: result for result in judgement.results}
    sentence = results["label_shift"].sentence
    assert "of predictions, because there are too few held-out rows of '4' (0 held-out rows" in sentence
    assert "'4' (0 held-out rows" in dict(lacking.summary())["not compared"]
    assert "'e' (0 held-out rows" in thin_class_warning(lacking.thin_classes, list("abcde"))


def test_its_usual_inputs_are_hardly_flagged_and_its_strange_ones_are_and_count(
    lacking: Reference, crowd: Population
) -> None:
    rng = np.random.default_rng(7)
    embeddings, logits, labels = crowd.draw(5_000, rng)
    flagged = lacking.score(embeddings, logits).flagged
    assert flagged[labels == 4].mean() < 0.03
    # Far beyond the class, so that they are taken for it.
    strange = np.maximum(crowd.means[4] * 4 + 3 * rng.normal(size=(40, DIMENSION)), 0)
    towards = strange @ crowd.means.T / 4
    assert (towards.argmax(axis=1) == 4).mean() > 0.5
    mixed = [np.concatenate(pair) for pair in zip(crowd.draw(360, rng)[:2], (strange, towards), strict=True)]
    judgement = judge(lacking, window_of(lacking, *mixed), MonitorSettings(), rng)
    results: dict[str, CheckResult] = {result.check: result for result in judgement.results}
    assert results["flagged_share"].verdict is Verdict.SHIFTED


def test_the_rows_most_typical_of_a_shift_are_those_of_the_window(lacking: Reference, crowd: Population) -> None:
    rng = np.random.default_rng(8)
    members, moved = crowd.draw(200, rng)[:2], crowd.draw(200, rng, noise=2.5)[:2]
    mixed = [np.concatenate(pair) for pair in zip(members, moved, strict=True)]
    test = check_window(lacking, *mixed, rng=rng)
    assert test.detected
    assert np.mean(test.witnesses >= 200) >= 0.7


def test_a_window_of_nothing_else_gets_no_verdict_and_says_why(lacking: Reference, crowd: Population) -> None:
    rng = np.random.default_rng(9)
    rows = crowd.draw(300, rng, shares=[0, 0, 0, 0, 1.0])[:2]
    judgement = judge(lacking, window_of(lacking, *rows), MonitorSettings(), rng)
    assert judgement.verdict is Verdict.NOT_ENOUGH_DATA
    assert "too few held-out rows of '4'" in judgement.sentence


def test_a_baseline_of_production_has_rows_of_the_class_and_is_compared_with_all(
    lacking: Reference, crowd: Population
) -> None:
    rng = np.random.default_rng(10)
    baseline = lacking.against(lacking.rows(*crowd.draw(1_000, rng)[:2]), "the baseline calm")
    window = window_of(baseline, *crowd.draw(400, rng, shares=[0.1, 0.1, 0.1, 0.1, 0.6])[:2])
    test = run_window_test(baseline, window, 0.01, rng)
    assert test.n == 400
    assert test.classes[0].name == "4"


def test_rows_of_thin_classes_alone_are_refused(lacking: Reference, crowd: Population) -> None:
    rng = np.random.default_rng(11)
    embeddings, logits, _ = crowd.draw(200, rng, shares=[0, 0, 0, 0, 1.0])
    rows = lacking.rows(embeddings, logits)
    thin = lacking.left_out(rows)
    with pytest.raises(BadInput, match="No row can be compared"):
        check_window(lacking, embeddings[thin], logits[thin], rng=rng)
