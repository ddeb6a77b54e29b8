"""One set of checks for every registered scorer."""

import numpy as np
import pytest

from monitor.reference.scorers import SCORERS, Features, Scorer, Training
from tests.conftest import CLASSES, Population

each = pytest.mark.parametrize("method", SCORERS, ids=lambda method: method.name)


def training_of(population: Population, n: int = 800) -> Training:
    embeddings, logits, labels = population.draw(n, np.random.default_rng(0))
    return Training(Features(embeddings, logits), labels, (population.means / 4, np.zeros(CLASSES)), np.arange(n))


def fitted(method: type[Scorer], training: Training) -> Scorer:
    return method.fit(training, np.random.default_rng(0))


@each
def test_strangers_score_higher_than_members(method: type[Scorer], population: Population) -> None:
    rng = np.random.default_rng(1)
    scorer = fitted(method, training_of(population))
    members = scorer.score(Features(*population.draw(300, rng)[:2]))
    strangers = scorer.score(Features(*population.strangers(300, rng)))
    assert (strangers[:, None] > members[None, :]).mean() > 0.85


@each
def test_a_row_scores_the_same_alone_and_in_any_batch(method: type[Scorer], population: Population) -> None:
    embeddings, logits, _ = population.draw(64, np.random.default_rng(2))
    scorer = fitted(method, training_of(population))
    whole = scorer.score(Features(embeddings, logits))
    single = [scorer.score(Features(embeddings[[row]], logits[[row]]))[0] for row in range(64)]
    np.testing.assert_allclose(whole, single, rtol=1e-4, atol=1e-4)
    order = np.random.default_rng(3).permutation(64)
    np.testing.assert_allclose(
        scorer.score(Features(embeddings[order], logits[order])), whole[order], rtol=1e-4, atol=1e-4
    )


@each
def test_a_scorer_that_went_through_arrays_scores_the_same(method: type[Scorer], population: Population) -> None:
    features = Features(*population.draw(50, np.random.default_rng(4))[:2])
    scorer = fitted(method, training_of(population))
    np.testing.assert_allclose(method.from_arrays(scorer.arrays()).score(features), scorer.score(features), rtol=1e-6)


@each
@pytest.mark.parametrize("kind", ["constant", "duplicates", "one class", "wide", "zero rows", "dead dimensions"])
def test_degenerate_training_rows_never_give_nan(method: type[Scorer], kind: str) -> None:
    rng = np.random.default_rng(5)
    embeddings, classes = rng.normal(size=(30, 8)), rng.integers(0, 3, 30)
    if kind == "constant":
        embeddings[:] = 1.0
    elif kind == "duplicates":
        embeddings = np.repeat(embeddings[:3], 10, axis=0)
    elif kind == "one class":
        classes[:] = 0
    elif kind == "wide":
        embeddings = rng.normal(size=(30, 200))
    elif kind == "zero rows":
        embeddings[:5] = 0.0
    else:
        embeddings[:, :4] = 0.0
    weights = np.vstack([rng.normal(size=(2, embeddings.shape[1])), np.zeros((1, embeddings.shape[1]))])
    training = Training(
        Features(embeddings, embeddings @ weights.T), classes, (weights, np.zeros(3)), np.arange(len(classes))
    )
    if not method.applies(training):
        pytest.skip("this method can't be fitted on such rows")
    new = np.vstack([rng.normal(size=(10, embeddings.shape[1])), np.zeros((1, embeddings.shape[1])), embeddings[:1]])
    assert np.isfinite(fitted(method, training).score(Features(new, new @ weights.T))).all()


def test_fdbd_needs_logits_that_come_from_the_head(population: Population) -> None:
    from monitor.reference.scorers.fdbd import FastDecisionBoundary

    full = training_of(population)
    assert FastDecisionBoundary.applies(full)
    assert not FastDecisionBoundary.applies(Training(full.features, full.classes, None, full.row_indices))
    assert not FastDecisionBoundary.applies(
        Training(Features(full.features.embeddings, None), full.classes, full.head, full.row_indices)
    )
    assert not FastDecisionBoundary.applies(
        Training(full.features, full.classes, (np.zeros((3, 32)), np.zeros(3)), full.row_indices)
    )
