"""Fitting, scoring, saving: what a reference promises."""

from pathlib import Path

import numpy as np
import pytest

from monitor.checks.window_comparison import check_window
from monitor.reference.fit import fit_reference
from monitor.reference.profile import Reference
from monitor.reference.profile_content import Examples, Origin, ParitySample
from monitor.reference.profile_file import decode, encode
from store.errors import BadInput, BadReference
from tests.conftest import Population


def test_fresh_in_domain_rows_are_flagged_at_their_calibrated_rate(population: Population) -> None:
    rates = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        fitted = fit_reference(*population.draw(1_000, rng), calibration=population.draw(2_000, rng), rng=rng)
        rates.append(fitted.score(*population.draw(20_000, rng)[:2]).flagged.mean())
    # Each rate is Beta(15, 1486) about .010; the mean of ten has a standard error below .001.
    assert 0.0065 <= np.mean(rates) <= 0.0135


def test_most_strangers_are_flagged(reference: Reference, population: Population) -> None:
    scores = reference.score(*population.strangers(500, np.random.default_rng(3)))
    assert scores.flagged.mean() > 0.8


def test_the_fused_score_is_the_mean_of_its_parts(reference: Reference, population: Population) -> None:
    scores = reference.score(*population.draw(20, np.random.default_rng(4))[:2])
    assert set(scores.parts) == {"fdbd", "knn", "knn_raw", "knn_whitened"}
    np.testing.assert_allclose(scores.score, np.mean(list(scores.parts.values()), axis=0))


def test_flagged_means_at_or_past_the_threshold(reference: Reference, population: Population) -> None:
    rng = np.random.default_rng(5)
    both = [
        np.concatenate(pair) for pair in zip(population.draw(500, rng)[:2], population.strangers(500, rng), strict=True)
    ]
    scores = reference.score(*both)
    np.testing.assert_array_equal(scores.flagged, scores.score >= reference.threshold)
    np.testing.assert_array_equal(scores.flagged, scores.p_value <= reference.alpha)


def test_a_row_that_is_not_finite_is_flagged_and_spoils_no_other(reference: Reference, population: Population) -> None:
    embeddings, logits, _ = population.draw(5, np.random.default_rng(6))
    alone = reference.score(embeddings, logits)
    embeddings[2, 0] = np.nan
    logits[4, 0] = np.inf
    scores = reference.score(embeddings, logits)
    assert scores.flagged[[2, 4]].all()
    assert (scores.p_value[[2, 4]] == 1 / (reference.calibration_scores.size + 1)).all()
    np.testing.assert_allclose(scores.score[[0, 1, 3]], alone.score[[0, 1, 3]])


def test_scoring_nothing_gives_nothing(reference: Reference) -> None:
    assert reference.score(np.zeros((0, 32)), np.zeros((0, 5))).score.shape == (0,)


@pytest.mark.parametrize(
    ("embeddings", "logits", "message"),
    [
        (np.zeros((3, 31)), np.zeros((3, 5)), "another learner or another layer"),
        (np.zeros(32), np.zeros(5), "another learner or another layer"),
        (np.zeros((3, 32)), None, "fitted with logits"),
        (np.zeros((3, 32)), np.zeros((3, 4)), "fitted with logits"),
        (np.zeros((3, 32)), np.zeros((2, 5)), "fitted with logits"),
    ],
)
def test_rows_of_another_shape_are_refused(reference: Reference, embeddings, logits, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        reference.score(embeddings, logits)


def test_a_saved_reference_scores_exactly_as_before(
    reference: Reference, population: Population, tmp_path: Path
) -> None:
    features = population.draw(200, np.random.default_rng(7))[:2]
    loaded = Reference.load(reference.save(tmp_path / "a.reference"))
    np.testing.assert_array_equal(loaded.score(*features).score, reference.score(*features).score)
    assert loaded.summary() == reference.summary()
    assert encode(loaded) == encode(reference)


def test_everything_a_reference_carries_comes_back(reference: Reference, tmp_path: Path) -> None:
    from dataclasses import replace

    full = replace(
        reference,
        origin=Origin(
            "a" * 64, "b" * 64, "digits", "vision", "single_label", ["x", "y"], "now", "0.1", "held out", 0.9
        ),
        examples=Examples(np.eye(3, 32, dtype=np.float32), ["x", "ü", ""], [b"one", b"", b"three"]),
        parity_samples=(ParitySample("image/png", b"\x00\x01", {"decode": np.arange(3, dtype=np.float32)}),),
        columns=[{"age": 3.5, "kind": None}],
        warnings=("take care",),
    )
    loaded = Reference.load(full.save(tmp_path / "full.reference"))
    assert (loaded.origin, loaded.warnings, loaded.columns) == (full.origin, full.warnings, full.columns)
    assert loaded.examples is not None
    assert full.examples is not None
    assert (loaded.examples.captions, loaded.examples.pictures) == (full.examples.captions, full.examples.pictures)
    assert loaded.parity_samples[0].content == b"\x00\x01"
    np.testing.assert_array_equal(loaded.parity_samples[0].steps["decode"], [0, 1, 2])


def test_one_changed_byte_anywhere_is_noticed(reference: Reference) -> None:
    content = encode(reference)
    positions = np.random.default_rng(8).choice(len(content), 200, replace=False)
    for position in [*range(40), *positions]:
        damaged = bytearray(content)
        damaged[position] ^= 0x20
        with pytest.raises(BadReference):
            decode(bytes(damaged))


@pytest.mark.parametrize("length", [0, 7, 8, 100, 5_000])
def test_a_file_cut_short_is_refused(reference: Reference, length: int) -> None:
    with pytest.raises(BadReference, match="damaged, cut short"):
        decode(encode(reference)[:length])


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BadReference, match="tidegate profile"):
        Reference.load(tmp_path / "none.reference")


def test_a_reference_needs_no_labels_no_head_and_no_logits(population: Population) -> None:
    rng = np.random.default_rng(9)
    embeddings, held_out = population.draw(500, rng)[0], population.draw(1_000, rng)[0]
    plain = fit_reference(embeddings, calibration=(held_out, None, None), rng=rng)
    assert list(plain.scorers) == ["knn", "knn_raw", "knn_whitened"]
    assert plain.score(population.strangers(200, rng)[0]).flagged.mean() > 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embeddings": np.zeros(4)}, "must have shape"),
        ({"logits": np.zeros((3, 5))}, "must have shape"),
        ({"labels": np.full(50, 7)}, "labels lie between 7 and 7"),
        ({"labels": np.full(50, -1)}, "labels lie between -1"),
        ({"labels": np.full(50, 0.5)}, "class indices"),
        ({"head": (np.zeros((5, 3)), np.zeros(5))}, "head must be weights"),
        ({"calibration": (np.zeros((50, 9)), np.zeros((50, 5)), None)}, "dimensions"),
        ({"calibration": (np.zeros((50, 32)), None, None)}, "give both, or neither"),
        ({"calibration": (np.zeros((2, 32)), np.zeros((2, 5)), None)}, "too few"),
        ({"embeddings": np.full((50, 32), np.nan)}, "too few"),
    ],
)
def test_what_does_not_fit_together_is_refused_with_the_reason(
    population: Population, change: dict, message: str
) -> None:
    rng = np.random.default_rng(10)
    embeddings, logits, labels = population.draw(50, rng)
    arguments = {"embeddings": embeddings, "logits": logits, "labels": labels, "calibration": population.draw(50, rng)}
    with pytest.raises(BadInput, match=message):
        fit_reference(**{**arguments, **change}, rng=rng)


@pytest.mark.parametrize("kind", ["constant", "one class", "30 rows", "duplicates", "wide"])
def test_degenerate_training_sets_warn_and_never_give_nan(kind: str, population: Population) -> None:
    rng = np.random.default_rng(11)
    embeddings, logits, labels = population.draw(300, rng)
    held_out = population.draw(300, rng)
    if kind == "constant":
        embeddings[:] = 1.0
    elif kind == "one class":
        labels[:] = 0
    elif kind == "30 rows":
        embeddings, logits, labels = embeddings[:30], logits[:30], labels[:30]
    elif kind == "duplicates":
        embeddings, logits, labels = (np.repeat(rows[:10], 30, axis=0) for rows in (embeddings, logits, labels))
    else:
        embeddings, held_out = np.tile(embeddings, 20), (np.tile(held_out[0], 20), *held_out[1:])
    fitted = fit_reference(embeddings, logits, labels, calibration=held_out, rng=rng)
    assert fitted.warnings
    scores = fitted.score(held_out[0], held_out[1])
    assert np.isfinite(scores.score).all()
    assert np.isfinite(scores.p_value).all()


def test_too_few_calibration_rows_are_said_to_flag_nothing(population: Population) -> None:
    rng = np.random.default_rng(12)
    fitted = fit_reference(*population.draw(300, rng), calibration=population.draw(60, rng), rng=rng)
    (warning,) = [warning for warning in fitted.warnings if "held-out" in warning]
    assert warning == "With 60 held-out rows no input can be flagged at alpha 0.01: give 132 or more."
    assert not fitted.score(*population.strangers(100, rng)).flagged.any()
    assert "never" in dict(fitted.summary())["flagged from OOD score"]


@pytest.mark.parametrize("size", [1e-10, 1e-6, 1e6, 1e13])
def test_embeddings_of_any_size_are_scored_alike(population: Population, tmp_path: Path, size: float) -> None:
    """Files keep float16: what would overflow or vanish there is brought into its range."""
    rng = np.random.default_rng(20)
    training, held_out, new = (population.draw(n, rng)[0] for n in (400, 400, 100))
    usual, other = (
        fit_reference(training * factor, calibration=(held_out * factor, None, None), rng=np.random.default_rng(0))
        for factor in (1.0, size)
    )
    scores = other.score(new * size)
    assert np.corrcoef(scores.score, usual.score(new).score)[0, 1] > 0.98
    loaded = Reference.load(other.save(tmp_path / "saved"))
    np.testing.assert_array_equal(loaded.score(new * size).score, scores.score)
    assert check_window(loaded, new * size, rng=rng).p_value > 1e-3


def test_a_thousand_classes_of_which_few_rows_are_known(tmp_path: Path) -> None:
    rng = np.random.default_rng(21)
    means = 2 * rng.normal(size=(1_000, 24))

    def draw(n: int) -> tuple:
        labels = rng.integers(1_000, size=n)
        embeddings = means[labels] + rng.normal(size=(n, 24))
        return embeddings, embeddings @ means.T / 4, labels

    reference = fit_reference(*draw(1_500), calibration=draw(500), head=(means / 4, np.zeros(1_000)), rng=rng)
    loaded = Reference.load(reference.save(tmp_path / "saved"))
    embeddings, logits, _ = draw(200)
    scores = loaded.score(embeddings, logits)
    assert np.isfinite(scores.score).all()
    assert scores.flagged.mean() < 0.06
    assert check_window(loaded, embeddings, logits, rng=rng).p_value > 1e-3


def test_a_reference_is_one_line_wherever_it_is_printed(reference: Reference) -> None:
    line = repr(reference)
    assert len(line) < 200
    assert "\n" not in line
    assert "1,000 training rows, 2,000 held-out rows, 32 numbers each" in line
    assert f"flagged from OOD score {reference.threshold:.2f}" in line
