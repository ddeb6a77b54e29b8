"""Judging windows: quiet when nothing has changed, loud when something has, and always in words."""

import numpy as np
import pytest

from monitor.checks import CHECKS, Finding
from monitor.checks.verdict import judge
from monitor.reference.profile import Reference
from monitor.reference.window import Window
from monitor.settings import MaterialEffects, MonitorSettings
from store.repositories.runs import CheckResult, Verdict
from tests.conftest import Population

SETTINGS = MonitorSettings()


def window_of(reference: Reference, embeddings: np.ndarray, logits: np.ndarray | None) -> Window:
    return Window.of_rows(reference, reference.rows(embeddings, logits))


def verdicts(reference: Reference, window: Window, settings: MonitorSettings = SETTINGS) -> dict[str, CheckResult]:
    judgement = judge(reference, window, settings, np.random.default_rng(0))
    return {result.check: result for result in judgement.results}


def test_windows_without_a_shift_are_called_shifted_at_most_at_the_set_rate(
    reference: Reference, population: Population
) -> None:
    """With no effect too small to matter, the family-wise error alone decides."""
    rng = np.random.default_rng(1)
    anything = MaterialEffects(flagged_excess=0, separability=0.5, class_mix_change=0, confidence_distance=0)
    settings = MonitorSettings(alpha=0.05, matters=anything)
    cried = sum(
        judge(reference, window_of(reference, *population.draw(150, rng)[:2]), settings, rng).verdict is Verdict.SHIFTED
        for _ in range(100)
    )
    # 100 windows at .05 cry more than 13 times in one run of two thousand.
    assert cried <= 13


def test_strangers_are_noticed_as_out_of_domain(reference: Reference, population: Population) -> None:
    rng = np.random.default_rng(2)
    members, strangers = population.draw(270, rng)[:2], population.strangers(30, rng)
    mixed = [np.concatenate(pair) for pair in zip(members, strangers, strict=True)]
    result = verdicts(reference, window_of(reference, *mixed))["flagged_share"]
    assert result.verdict is Verdict.SHIFTED
    assert result.effect is not None
    assert 0.05 < result.effect < 0.12
    assert "300 inputs" in result.sentence


def test_noisier_inputs_are_noticed_as_covariate_shift(reference: Reference, population: Population) -> None:
    shifted = population.draw(400, np.random.default_rng(3), noise=1.6)[:2]
    result = verdicts(reference, window_of(reference, *shifted))["covariate_shift"]
    assert result.verdict is Verdict.SHIFTED
    assert result.effect is not None
    assert 0.5 <= result.effect <= 1.0


def test_another_mix_of_classes_is_noticed_and_the_classes_named(reference: Reference, population: Population) -> None:
    shifted = population.draw(400, np.random.default_rng(4), shares=[0.6, 0.1, 0.1, 0.1, 0.1])[:2]
    result = verdicts(reference, window_of(reference, *shifted))["label_shift"]
    assert result.verdict is Verdict.SHIFTED
    assert result.effect == pytest.approx(0.4, abs=0.1)
    assert result.detail["classes"][0]["class"] == "0"


def test_overconfidence_alone_is_noticed_as_confidence_shift(reference: Reference, population: Population) -> None:
    embeddings, logits, _ = population.draw(400, np.random.default_rng(5))
    results = verdicts(reference, window_of(reference, embeddings, 4 * logits))
    assert results["confidence_shift"].verdict is Verdict.SHIFTED
    assert "more sure" in results["confidence_shift"].sentence
    assert results["covariate_shift"].verdict is Verdict.OK


def test_a_certain_difference_that_does_not_matter_is_shown_but_not_alerted(
    reference: Reference, population: Population
) -> None:
    shifted = population.draw(2_000, np.random.default_rng(6), shares=[0.28, 0.18, 0.18, 0.18, 0.18])[:2]
    settings = MonitorSettings(matters=MaterialEffects(class_mix_change=0.3))
    result = verdicts(reference, window_of(reference, *shifted), settings)["label_shift"]
    assert result.verdict is Verdict.OK
    assert result.p_value is not None
    assert result.p_value < 0.01
    assert "smaller than what is set to matter" in result.sentence


def test_the_same_window_always_gives_the_same_numbers(reference: Reference, population: Population) -> None:
    window = window_of(reference, *population.draw(300, np.random.default_rng(7))[:2])
    judgements = [judge(reference, window, SETTINGS, np.random.default_rng(8)) for _ in range(2)]
    assert judgements[0].results == judgements[1].results


@pytest.mark.parametrize("rows", [0, 1, 5, 99])
def test_too_few_predictions_get_no_verdict_but_how_many_more_are_needed(
    reference: Reference, population: Population, rows: int
) -> None:
    window = window_of(reference, *population.draw(rows, np.random.default_rng(9))[:2])
    judgement = judge(reference, window, SETTINGS, np.random.default_rng(0))
    assert judgement.verdict is Verdict.NOT_ENOUGH_DATA
    assert f"{100 - rows:,} more are needed" in judgement.sentence


@pytest.mark.parametrize("kind", ["identical", "constant", "not finite", "partly not finite", "huge"])
def test_odd_windows_get_a_verdict_and_never_a_nan(reference: Reference, population: Population, kind: str) -> None:
    embeddings, logits, _ = population.draw(200, np.random.default_rng(10))
    if kind == "identical":
        embeddings[:], logits[:] = embeddings[0], logits[0]
    elif kind == "constant":
        embeddings[:] = 0.0
    elif kind == "not finite":
        embeddings[:] = np.nan
    elif kind == "partly not finite":
        embeddings[::2] = np.inf
    else:
        embeddings *= 1e30
        logits *= 1e30
    window = window_of(reference, embeddings, logits)
    judgement = judge(reference, window, SETTINGS, np.random.default_rng(0))
    assert judgement.verdict in (Verdict.OK, Verdict.SHIFTED)
    for result in judgement.results:
        assert result.verdict is not Verdict.FAILED, result.sentence
        assert all(value is None or np.isfinite(value) for value in (result.statistic, result.p_value, result.effect))
        assert "nan" not in result.sentence


def test_a_check_that_fails_is_recorded_as_failed_and_changes_no_other(
    reference: Reference, population: Population
) -> None:
    class Broken:
        name, title = "broken", "Broken"
        blocks: tuple[str, ...] = ("score",)

        def describe(self, reference: Reference, window: Window, rng: np.random.Generator) -> Finding:
            raise ZeroDivisionError("no rows left")

        def matters(self, effect: float, matters: MaterialEffects) -> bool:
            return True

    window = window_of(reference, *population.draw(300, np.random.default_rng(11))[:2])
    whole = judge(reference, window, SETTINGS, np.random.default_rng(0))
    with_broken = judge(reference, window, SETTINGS, np.random.default_rng(0), [*CHECKS, Broken()])
    results = {result.check: result for result in with_broken.results}
    assert results.pop("broken").verdict is Verdict.FAILED
    assert "1 of 6 checks failed" in with_broken.sentence
    assert [(result.check, result.verdict, result.effect) for result in results.values()] == [
        (result.check, result.verdict, result.effect) for result in whole.results
    ]


def test_checks_that_do_not_apply_say_why(population: Population) -> None:
    from monitor.reference.fit import fit_reference

    rng = np.random.default_rng(12)
    plain = fit_reference(population.draw(500, rng)[0], calibration=(population.draw(500, rng)[0], None, None), rng=rng)
    results = verdicts(plain, window_of(plain, population.draw(300, rng)[0], None))
    for name in ("label_shift", "confidence_shift"):
        assert results[name].verdict is Verdict.NOT_APPLICABLE
        assert "learner" in results[name].sentence
    assert results["covariate_shift"].verdict is Verdict.OK
