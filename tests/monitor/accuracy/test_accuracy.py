"""Accuracy estimated without labels, realized with late ones, and audited with a few random ones."""

import numpy as np
import pytest

from monitor.accuracy.audited import audited_accuracy
from monitor.accuracy.estimate import NoEstimate, correctness, estimate_accuracy, fitted_temperature
from monitor.accuracy.realized import realized_accuracies, realized_accuracy
from monitor.reference.fit import fit_reference
from monitor.reference.profile import Reference
from store.errors import BadInput
from tests.conftest import Population


@pytest.fixture(scope="module")
def learned(population: Population) -> Reference:
    """A reference of a population in which classes overlap: about three in four are predicted rightly."""
    rng = np.random.default_rng(0)
    return fit_reference(*noisy(population, 2_000, rng), calibration=noisy(population, 2_000, rng), rng=rng)


def noisy(population: Population, n: int, rng: np.random.Generator, noise: float = 3.5) -> tuple:
    return population.draw(n, rng, noise=noise)


def accuracy(rows: tuple) -> float:
    return float((rows[1].argmax(axis=1) == rows[2]).mean())


def test_a_window_like_the_held_out_rows_is_estimated_at_their_accuracy(
    learned: Reference, population: Population
) -> None:
    rows = noisy(population, 3_000, np.random.default_rng(1))
    estimate = estimate_accuracy(learned, rows[1], rows[0])
    assert estimate.value == pytest.approx(accuracy(rows), abs=0.04)
    assert estimate.low <= accuracy(rows) <= estimate.high
    assert "about what it was" in estimate.sentence


def test_a_harder_window_is_estimated_lower_and_its_loss_is_said(learned: Reference, population: Population) -> None:
    rows = noisy(population, 3_000, np.random.default_rng(2), noise=5.5)
    estimate = estimate_accuracy(learned, rows[1], rows[0])
    assert accuracy(rows) < learned_accuracy(learned) - 0.1
    assert estimate.value < learned_accuracy(learned) - 0.03
    assert estimate.loss > 0


def learned_accuracy(reference: Reference) -> float:
    assert reference.held_out.labels is not None
    assert reference.held_out.class_indices is not None
    return float((reference.held_out.class_indices == reference.held_out.labels).mean())


def test_strange_inputs_count_at_chance_and_widen_the_interval(learned: Reference, population: Population) -> None:
    rng = np.random.default_rng(3)
    rows = noisy(population, 900, rng)
    strangers = (np.full((300, 32), 40.0) + rng.normal(size=(300, 32)), np.tile([30.0, 0, 0, 0, 0], (300, 1)))
    usual = estimate_accuracy(learned, rows[1], rows[0])
    mixed = estimate_accuracy(learned, np.vstack([rows[1], strangers[1]]), np.vstack([rows[0], strangers[0]]))
    assert mixed.parts["confidence"] < usual.parts["confidence"] - 0.05
    assert mixed.high - mixed.low > usual.high - usual.low


def test_without_labels_or_classes_there_is_no_estimate_and_why(population: Population) -> None:
    rng = np.random.default_rng(4)
    embeddings, logits, labels = population.draw(400, rng)
    unlabelled = fit_reference(embeddings, logits, labels, calibration=(embeddings, logits, None), rng=rng)
    with pytest.raises(NoEstimate, match="knows no labels"):
        estimate_accuracy(unlabelled, logits, embeddings)
    numbers = fit_reference(embeddings, calibration=(embeddings, None, None), rng=rng)
    with pytest.raises(NoEstimate, match="predicts no classes"):
        estimate_accuracy(numbers, logits, embeddings)
    with pytest.raises(BadInput, match="no rows"):
        estimate_accuracy(unlabelled, logits[:0], embeddings[:0])


def test_the_temperature_undoes_overconfidence() -> None:
    rng = np.random.default_rng(5)
    logits = rng.normal(scale=1.5, size=(20_000, 4))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (shares.cumsum(axis=1) > rng.uniform(size=(20_000, 1))).argmax(axis=1)
    assert fitted_temperature((3 * logits).astype(np.float32), labels) == pytest.approx(3, rel=0.1)


def test_the_realized_interval_holds_at_every_look() -> None:
    """300 streams looked at 12 times each: at level .9 at most 30 may ever miss, 45 by the luck of the draw."""
    missed = 0
    for seed in range(300):
        right = np.random.default_rng(seed).uniform(size=240) < 0.8
        looks = realized_accuracies(right, range(20, 241, 20), level=0.9)
        missed += any(not interval.low <= 0.8 <= interval.high for interval in looks)
    assert missed <= 45


def test_looks_at_a_stream_are_those_at_its_beginnings() -> None:
    right = np.random.default_rng(0).uniform(size=90) < 0.8
    assert realized_accuracies(right, (1, 30, 90)) == [realized_accuracy(right[:n]) for n in (1, 30, 90)]


def test_the_realized_interval_narrows_and_contains_the_share() -> None:
    right = np.random.default_rng(6).uniform(size=2_000) < 0.9
    first, last = realized_accuracy(right[:50]), realized_accuracy(right)
    assert last.high - last.low < (first.high - first.low) / 2
    assert last.low <= last.value <= last.high
    assert last.high - last.low < 0.08


@pytest.mark.parametrize("correct", [[], [0.5], [2], [[True]]])
def test_labels_that_are_none_are_refused(correct: list) -> None:
    with pytest.raises(BadInput, match="right or wrong"):
        realized_accuracy(correct)


def test_an_audit_is_unbiased_whatever_the_beliefs_and_beats_plain_labels_where_they_are_good() -> None:
    covered, widths, plain_widths = [], [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        truth = rng.uniform(size=5_000)
        right = rng.uniform(size=5_000) < truth
        sample = rng.choice(5_000, 150, replace=False)
        # Beliefs that know who is likely to be right, and are far too high.
        audit = audited_accuracy(np.clip(truth + 0.3, 0, 1), sample, right[sample])
        covered.append(audit.low <= right.mean() <= audit.high)
        widths.append(audit.high - audit.low)
        plain_widths.append(2 * 1.96 * right[sample].std() / np.sqrt(150))
    assert np.mean(covered) >= 0.9
    assert np.mean(widths) < np.mean(plain_widths)


@pytest.mark.parametrize(
    ("row_indices", "right"), [([0], [1]), ([0, 1], [1]), ([0, 9], [1, 1]), ([0, 0], [1, 1])], ids=str
)
def test_an_audit_of_rows_that_are_not_there_is_refused(row_indices: list, right: list) -> None:
    with pytest.raises(BadInput):
        audited_accuracy([0.5] * 5, row_indices, right)


def test_an_audit_that_found_no_error_still_doubts() -> None:
    audit = audited_accuracy(np.full(1_000, 0.9), np.arange(20), np.ones(20))
    assert audit.low < 1


def test_correctness_is_a_probability_for_each_row(learned: Reference, population: Population) -> None:
    rows = noisy(population, 50, np.random.default_rng(7))
    probabilities = correctness(learned, learned.rows(rows[0], rows[1]))
    assert probabilities.shape == (50,)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
