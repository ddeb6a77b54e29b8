"""Sums of windows: those of pieces add up to those of the whole, and the verdict keeps its error rate."""

import numpy as np
import pytest

from monitor.checks.sums_comparison import check_sums
from monitor.reference.fit import fit_reference
from monitor.reference.profile import Reference
from monitor.shift.row_features import features_of
from monitor.shift.window_sums import WindowSums
from store.errors import BadInput
from tests.conftest import Population


def sums_of(reference: Reference, rows: tuple) -> WindowSums:
    return WindowSums.of(reference, reference.rows(*rows))


def test_the_sums_of_parts_are_the_sums_of_the_whole(reference: Reference, population: Population) -> None:
    embeddings, logits, _ = population.draw(300, np.random.default_rng(0))
    whole = sums_of(reference, (embeddings, logits))
    pieces = (slice(0, 1), slice(1, 120), slice(120, 300))
    first, second, third = (sums_of(reference, (embeddings[rows], logits[rows])) for rows in pieces)
    joined = first + second + third
    assert (joined.count, joined.flagged) == (whole.count, whole.flagged)
    np.testing.assert_allclose(joined.features, whole.features, atol=0.02)


def test_windows_without_a_shift_keep_the_rate_and_shifted_ones_do_not(
    reference: Reference, population: Population
) -> None:
    rng = np.random.default_rng(1)
    calm = [check_sums(reference, sums_of(reference, population.draw(500, rng)[:2]), alpha=0.05) for _ in range(200)]
    # A binomial of 200 at .05 exceeds 22 once in two thousand.
    assert sum(test.detected for test in calm) <= 22
    shifted = check_sums(reference, sums_of(reference, population.draw(500, rng, noise=1.3)[:2]))
    assert shifted.detected
    assert shifted.n == 500


def test_a_baseline_is_compared_by_the_same_sums(reference: Reference, population: Population) -> None:
    rng = np.random.default_rng(2)
    baseline = reference.against(reference.rows(*population.draw(800, rng, noise=1.4)[:2]), "a baseline")
    window = sums_of(reference, population.draw(600, rng, noise=1.4)[:2])
    assert features_of(baseline).sha256 == features_of(reference).sha256
    assert check_sums(reference, window).detected
    assert not check_sums(baseline, window).detected


def test_sums_of_few_rows_or_of_another_reference_are_refused(reference: Reference, population: Population) -> None:
    rng = np.random.default_rng(3)
    few = sums_of(reference, population.draw(50, rng)[:2])
    with pytest.raises(BadInput, match="needs 200"):
        check_sums(reference, few)
    other = fit_reference(*population.draw(300, rng), calibration=population.draw(300, rng), rng=rng)
    with pytest.raises(BadInput, match="different references"):
        few + sums_of(other, population.draw(50, rng)[:2])
    with pytest.raises(BadInput, match="another reference"):
        check_sums(other, few)


def test_two_windows_are_compared_with_each_other(reference: Reference, population: Population) -> None:
    rng = np.random.default_rng(4)
    pairs = [[sums_of(reference, population.draw(400, rng)[:2]) for _ in range(2)] for _ in range(100)]
    calm = [check_sums(reference, first, against=second, alpha=0.05) for first, second in pairs]
    # A binomial of 100 at .05 exceeds 14 once in three thousand.
    assert sum(test.detected for test in calm) <= 14
    whole, strange = pairs[0][0] + pairs[0][1], sums_of(reference, population.draw(400, rng, noise=1.3)[:2])
    everything = whole + strange
    rest = everything - strange
    assert rest.count == whole.count
    np.testing.assert_allclose(rest.features, whole.features, atol=1e-6)
    assert check_sums(reference, strange, against=rest).detected
    # Both differ from training alike, and so not from each other, though they vary as training rows never did.
    detected = []
    for _ in range(60):
        first, second = (sums_of(reference, population.draw(400, rng, noise=1.3)[:2]) for _ in range(2))
        assert check_sums(reference, first).detected
        detected.append(check_sums(reference, first, against=second, alpha=0.05).detected)
    # A binomial of 60 at .05 exceeds 10 once in three thousand.
    assert sum(detected) <= 10
