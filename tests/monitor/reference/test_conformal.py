"""Conformal p-values and the law of flagged counts keep what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from monitor.reference.conformal import FlaggedLaw, conformal_p_values, largest_flagged_rank

scores = arrays.arrays(np.float64, st.integers(1, 50), elements=st.floats(-1e6, 1e6))


@given(scores, scores)
def test_p_values_count_the_calibration_rows_at_least_as_strange(calibration: np.ndarray, new: np.ndarray) -> None:
    expected = [(1 + (calibration >= score).sum()) / (calibration.size + 1) for score in new]
    np.testing.assert_allclose(conformal_p_values(np.sort(calibration), new), expected)


@given(scores, scores)
def test_a_higher_score_never_has_a_higher_p_value(calibration: np.ndarray, new: np.ndarray) -> None:
    ordered = np.sort(new)
    assert (np.diff(conformal_p_values(np.sort(calibration), ordered)) <= 0).all()


@pytest.mark.parametrize("m", [1, 5, 49, 300])
def test_p_values_are_valid_whatever_the_number_of_calibration_rows(m: int) -> None:
    rng = np.random.default_rng(0)
    p = np.array([conformal_p_values(np.sort(rng.normal(size=m)), rng.normal(size=1))[0] for _ in range(4_000)])
    for level in (0.01, 0.05, 0.2, 0.5):
        # Four standard errors above: a broken p-value, such as one without the + 1, is far beyond.
        assert (p <= level).mean() <= level + 4 * np.sqrt(level * (1 - level) / p.size)


def test_an_infinite_score_has_the_smallest_p_value() -> None:
    assert conformal_p_values(np.arange(9.0), np.array([np.inf]))[0] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("alpha", "m", "rank"), [(0.01, 1099, 11), (0.01, 98, 0), (0.01, 99, 1), (0.1, 9, 1), (0.05, 0, 0)]
)
def test_the_number_of_flagged_ranks(alpha: float, m: int, rank: int) -> None:
    assert largest_flagged_rank(alpha, m) == rank


def test_the_flagged_count_test_holds_its_level_where_a_binomial_one_does_not() -> None:
    """Calibration rows are finite: each calibration set has a true rate of its own."""
    rng = np.random.default_rng(3)
    m, n, alpha, repeats = 200, 500, 0.05, 1_000
    law = FlaggedLaw(m, alpha)
    rejected = 0
    for _ in range(repeats):
        p = conformal_p_values(np.sort(rng.uniform(size=m)), rng.uniform(size=n))
        rejected += law.p_value(int((p <= alpha).sum()), n) <= 0.01
    assert 0 <= rejected <= 22, "at level .01, 1,000 windows reject between 0 and 22 times but for one time in 5,000"


def test_the_expected_share_lies_in_its_own_interval() -> None:
    law = FlaggedLaw(500, 0.01)
    low, high = law.interval(1_000)
    assert low < law.expected_share < high


def test_too_few_calibration_rows_have_no_law() -> None:
    with pytest.raises(ValueError, match="can't flag anything"):
        FlaggedLaw(50, 0.01).p_value(0, 10)
