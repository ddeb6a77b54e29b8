"""One verdict per window: its error rate, its power, its cause, what carries it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from monitor.checks.window_comparison import WindowTest, check_window, groups_of
from monitor.reference.profile import Reference
from monitor.shift import max_t, permutation
from monitor.shift.attribution import class_mix
from monitor.shift.diagnosis import Cause, CauseEvidence, cause_of
from monitor.shift.row_features import BlockStatistic, FeatureBlock, features_of
from store.errors import BadInput
from tests.conftest import Population


def check(reference: Reference, rows: tuple, alpha: float = 0.01, seed: int = 0) -> WindowTest:
    return check_window(reference, *rows, alpha=alpha, rng=np.random.default_rng(seed))


def mixed(population: Population, n: int, strange: int, rng: np.random.Generator) -> tuple:
    members, strangers = population.draw(n - strange, rng)[:2], population.strangers(strange, rng)
    return tuple(np.concatenate(pair) for pair in zip(members, strangers, strict=True))


def test_windows_without_a_shift_are_detected_at_the_promised_rate(reference: Reference) -> None:
    """All checks together, alpha .05: between 24 and 62 of 800, by rows that were held out."""
    features = features_of(reference)
    rng = np.random.default_rng(1)
    detected = 0
    few = features.held_out[:400]
    for _ in range(800):
        order = rng.permutation(len(few))
        drawn = permutation.permuted_gaps(few[order[40:200]], few[order[:40]], 99, rng)
        detected += max_t.max_t_test(drawn, features.blocks, groups_of(features)).p_value <= 0.05
    assert 24 <= detected <= 62


def test_the_verdict_needs_no_more_than_one_draw_to_be_exact() -> None:
    """p-values of a permutation test on noise are never below their own rate, however odd the statistics."""
    rng = np.random.default_rng(2)
    blocks = (
        FeatureBlock("a", slice(0, 3), BlockStatistic.SUM_OF_SQUARES, np.ones(3, np.float32)),
        FeatureBlock("b", slice(3, 5), BlockStatistic.LARGEST, np.ones(2, np.float32)),
    )
    groups = {"both": ("a", "b")}
    p_values = []
    for _ in range(400):
        rows = rng.standard_cauchy((30, 5)).astype(np.float32)
        drawn = permutation.permuted_gaps(rows[:20], rows[20:], 19, rng)
        p_values.append(max_t.max_t_test(drawn, blocks, groups).p_value)
    assert np.mean(np.array(p_values) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_a_few_strangers_among_many_are_noticed_in_a_small_window(reference: Reference, population: Population) -> None:
    detections = [
        check(reference, mixed(population, 20, 4, np.random.default_rng(seed)), 0.05, seed).detected
        for seed in range(20)
    ]
    assert np.mean(detections) >= 0.8


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_the_cause_is_named(reference: Reference, population: Population, seed: int) -> None:
    rng = np.random.default_rng(seed)
    calm = population.draw(500, rng)[:2]
    embeddings, logits, _ = population.draw(500, rng)
    causes = {
        Cause.NOTHING: calm,
        Cause.NEW_INPUTS: mixed(population, 500, 50, rng),
        Cause.LABEL_SHIFT: population.draw(500, rng, shares=[0.6, 0.1, 0.1, 0.1, 0.1])[:2],
        Cause.COVARIATE_SHIFT: population.draw(500, rng, noise=1.25)[:2],
        Cause.CONFIDENCE_ONLY: (embeddings, 4 * logits),
    }
    assert {cause: check(reference, rows, seed=seed).cause for cause, rows in causes.items()} == {
        cause: cause for cause in causes
    }


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        (CauseEvidence(0.4, 0.0, 2.0, 0.0, 0.5, 0.0, 0.0), Cause.NEW_INPUTS),
        (CauseEvidence(0.1, 0.0, 0.0, 0.5, 0.0, 0.5, 0.5), Cause.NEW_INPUTS),
        (CauseEvidence(0.1, 0.0, 0.1, 0.0, 0.05, 0.0, 0.5), Cause.NEW_INPUTS),
        (CauseEvidence(0.1, 0.0, 0.1, 0.0, 0.40, 0.0, 0.5), Cause.MIXED),
        (CauseEvidence(0.2, 0.0, 0.9, 0.0, 0.40, 0.0, 0.5), Cause.COVARIATE_SHIFT),
        (CauseEvidence(0.0, 0.5, 0.9, 0.0, 0.40, 0.0, 0.5), Cause.COVARIATE_SHIFT),
        (CauseEvidence(0.0, 0.5, 0.1, 0.0, 0.40, 0.0, 0.5), Cause.LABEL_SHIFT),
        (CauseEvidence(0.0, 0.5, 0.1, 0.0, 0.0, 0.5, 0.5), Cause.COVARIATE_SHIFT),
        (CauseEvidence(0.0, 0.5, 0.0, 0.5, 0.0, 0.5, 0.0), Cause.CONFIDENCE_ONLY),
        (CauseEvidence(0.0, 0.5, 0.0, 0.5, 0.0, 0.5, 0.5), Cause.MIXED),
    ],
)
def test_the_cause_is_a_table_of_signs(signs: CauseEvidence, expected: Cause) -> None:
    assert cause_of(signs, 0.01) is expected


def test_the_witnesses_are_the_strangers(reference: Reference, population: Population) -> None:
    rng = np.random.default_rng(6)
    test = check(reference, mixed(population, 400, 40, rng))
    # Strangers lie at the end of the window.
    assert np.mean(test.witnesses >= 360) >= 0.8


def test_the_interval_of_each_class_holds_its_true_share(reference: Reference, population: Population) -> None:
    """Ten label shifts, five classes each: 95 % intervals of true shares, from predictions alone."""
    inside = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        shares = rng.dirichlet(np.ones(5))
        embeddings, logits, _ = population.draw(600, rng, shares=shares.tolist())
        mix = class_mix(reference, reference.rows(embeddings, logits), rng)
        assert all(share.estimated for share in mix)
        assert sum(share.now for share in mix) == pytest.approx(1, abs=1e-6)
        inside += [share.low - 1e-9 <= shares[int(share.name)] <= share.high + 1e-9 for share in mix]
    assert np.mean(inside) >= 0.86


@given(st.permutations(range(60)))
@settings(max_examples=8, deadline=None)
def test_the_order_of_rows_does_not_matter_to_effects(
    reference: Reference, population: Population, order: list[int]
) -> None:
    rows = population.draw(60, np.random.default_rng(7), noise=1.3)[:2]
    features = features_of(reference)
    whole = features.rows(reference.rows(*rows)).mean(axis=0)
    turned = features.rows(reference.rows(*(part[order] for part in rows))).mean(axis=0)
    np.testing.assert_allclose(whole, turned, atol=1e-4)


def test_detail_of_the_answer(reference: Reference, population: Population) -> None:
    test = check(reference, population.draw(300, np.random.default_rng(8), noise=2.0)[:2])
    assert test.detected
    assert {window_check.name for window_check in test.checks} == {
        "flagged_share",
        "covariate_shift",
        "label_shift",
        "confidence_shift",
    }
    for window_check in test.checks:
        assert 0 < window_check.p_value <= 1
        assert np.isfinite([window_check.statistic, window_check.effect]).all()
        assert window_check.detected == (window_check.p_value <= test.alpha)
        assert window_check.sentence.endswith(".")
    assert test.p_value == min(window_check.p_value for window_check in test.checks)
    assert test.p_value >= 1 / (test.draws + 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embeddings": np.zeros((5, 3))}, "shape \\(n, 32\\)"),
        ({"embeddings": np.zeros(32)}, "shape \\(n, 32\\)"),
        ({"embeddings": [["a"] * 32]}, "must be numbers"),
        ({"logits": np.zeros((5, 4))}, "\\(5, 5\\) is needed"),
        ({"logits": None}, "none came"),
        ({"embeddings": np.zeros((0, 32)), "logits": np.zeros((0, 5))}, "no rows"),
        ({"alpha": 0.0}, "alpha must lie"),
    ],
)
def test_bad_input_is_told_what_was_expected_and_what_came(reference: Reference, change: dict, message: str) -> None:
    arguments = {"embeddings": np.ones((5, 32)), "logits": np.zeros((5, 5)), **change}
    with pytest.raises(BadInput, match=message):
        check_window(reference, **arguments, rng=np.random.default_rng(0))


def test_one_row_that_is_not_finite_is_flagged_and_spoils_no_other(
    reference: Reference, population: Population
) -> None:
    embeddings, logits, _ = population.draw(40, np.random.default_rng(9))
    usual = reference.score(embeddings, logits)
    embeddings[7, 3] = np.nan
    scores = reference.score(embeddings, logits)
    assert scores.flagged[7]
    assert scores.p_value[7] == scores.p_value.min() == 1 / (reference.calibration_scores.size + 1)
    assert (scores.nearest[7] == -1).all()
    others = np.arange(40) != 7
    np.testing.assert_allclose(scores.score[others], usual.score[others], rtol=1e-5)
    assert np.isfinite(check(reference, (embeddings, logits)).p_value)


def test_the_nearest_training_rows_come_with_the_score(population: Population) -> None:
    from monitor.reference.fit import fit_reference

    rng = np.random.default_rng(10)
    training = population.draw(500, rng)
    # The first rows are unusable: places count all rows that were given.
    training[0][:3] = np.nan
    reference = fit_reference(*training, calibration=population.draw(400, rng), rng=rng)
    scores = reference.score(training[0][100:110], training[1][100:110])
    np.testing.assert_array_equal(scores.nearest[:, 0], np.arange(100, 110))
    np.testing.assert_allclose(scores.distances[:, 0], 0, atol=2e-3)
    assert (np.diff(scores.distances, axis=1) >= 0).all()


def test_a_large_window_is_told_apart_more_finely_where_an_alert_asks_for_it(
    reference: Reference, population: Population
) -> None:
    from monitor.checks.window_comparison import run_window_test
    from monitor.reference.window import Window

    rows = reference.rows(*population.draw(200, np.random.default_rng(11), noise=2.0)[:2])
    test = run_window_test(reference, Window.of_rows(reference, rows), 0.01, np.random.default_rng(0), finest=2e-4)
    assert test.detected
    assert test.p_value <= 2e-4


@given(st.floats(0.05, 5_000), st.lists(st.floats(1e-9, 50), min_size=1, max_size=20))
def test_the_surprise_of_a_gamma_law_is_that_of_scipy_and_goes_on_where_that_ends(
    shape: float, spreads: list[float]
) -> None:
    values = np.sort(shape + np.array(spreads) * np.sqrt(shape))
    surprise = max_t.gamma_surprise(values, shape)
    expected = -stats.gamma.logsf(values, shape)
    usual = expected < 600
    np.testing.assert_allclose(surprise[usual], expected[usual], rtol=1e-9, atol=1e-12)
    assert np.isfinite(surprise).all()
    assert (np.diff(surprise) >= -1e-2).all()
